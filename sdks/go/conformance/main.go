// The conformance plugin of the Go kit: it does what sdks/conformance/README.md says.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

type conformance struct {
	plugin_sdk.BasePlugin
	config map[string]string
}

func main() {
	plugin_sdk.Serve(&conformance{
		BasePlugin: plugin_sdk.NewBasePlugin("conformance", "1.0.0", "Does what every kit's plugin can do"),
	})
}

func (c *conformance) GetManifest() ([]byte, error) {
	return []byte(`{
		"id": "test.mortise.conformance", "version": "1.0.0", "name": "Conformance",
		"capabilities": {
			"hooks": ["pre_auth", "auth", "post_auth", "on_response", "data_collection", "custom_endpoint"],
			"primary_hook": "pre_auth"
		},
		"permissions": {"services": ["kv.readwrite"]}
	}`), nil
}

func (c *conformance) GetConfigSchema() ([]byte, error) {
	return []byte(`{"type": "object", "properties": {"slug": {"type": "string"}}}`), nil
}

func (c *conformance) Initialize(_ plugin_sdk.Context, config map[string]string) error {
	c.config = config
	if reason := config["refuse"]; reason != "" {
		return errors.New(reason)
	}
	return nil
}

func (c *conformance) Shutdown(plugin_sdk.Context) error {
	c.note("shutdown")
	return nil
}

func (c *conformance) note(line string) {
	if path := c.config["journal"]; path != "" {
		if file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			fmt.Fprintln(file, line)
			file.Close()
		}
	}
}

func (c *conformance) HandlePreAuth(ctx plugin_sdk.Context, req *pb.PluginRequest) (*pb.PluginResponse, error) {
	words := strings.Fields(req.Headers["X-Conformance"])
	if len(words) == 0 {
		return nil, nil
	}
	switch words[0] {
	case "block":
		return &pb.PluginResponse{
			Block: true, StatusCode: 429, Headers: map[string]string{"Retry-After": "7"},
			Body: []byte("blocked on demand"),
		}, nil
	case "block-plain":
		return &pb.PluginResponse{Block: true, ErrorMessage: "no more of this"}, nil
	case "set":
		return &pb.PluginResponse{Modified: true, Headers: map[string]string{"X-Conformance-Set": "1"}}, nil
	case "fail":
		return nil, errors.New("fails on demand")
	case "panic":
		panic("on demand")
	case "config":
		return tell(c.config[words[1]])
	case "about":
		return tell(fmt.Sprintf("%s %s %s", req.Method, req.Path, ctx.RequestID))
	case "pid":
		return tell(strconv.Itoa(os.Getpid()))
	case "write", "read", "delete":
		return c.values(ctx, words)
	case "publish":
		if err := ctx.Services.Events().Publish(ctx, words[1], map[string]string{"from": "conformance"}, plugin_sdk.DirLocal); err != nil {
			return nil, err
		}
		return tell("done")
	case "print":
		fmt.Println("printed on demand")
		ctx.Services.Logger().Info("logged on demand", "kit", "go")
	}
	return nil, nil
}

func (c *conformance) values(ctx plugin_sdk.Context, words []string) (*pb.PluginResponse, error) {
	kv := ctx.Services.KV()
	var err error
	switch words[0] {
	case "read":
		value, err := kv.Read(ctx, words[1])
		if status.Code(err) == codes.NotFound {
			return tell("not found")
		}
		if err != nil {
			return nil, err
		}
		return tell(string(value))
	case "write":
		_, err = kv.Write(ctx, words[1], []byte(words[2]), nil)
	case "delete":
		_, err = kv.Delete(ctx, words[1])
	}
	if err != nil {
		return nil, err
	}
	return tell("done")
}

func tell(text string) (*pb.PluginResponse, error) {
	return &pb.PluginResponse{Block: true, StatusCode: 418, Body: []byte(text)}, nil
}

func (c *conformance) HandleAuth(_ plugin_sdk.Context, req *pb.AuthRequest) (*pb.AuthResponse, error) {
	name, known := strings.CutPrefix(req.Credential, "token-of-")
	if !known {
		return &pb.AuthResponse{ErrorMessage: "nobody knows this token"}, nil
	}
	return &pb.AuthResponse{
		Authenticated: true, UserId: name + "@example.com", AppId: "7", Claims: map[string]string{"tenant": "acme"},
	}, nil
}

func (c *conformance) GetAppByCredential(plugin_sdk.Context, string) (*pb.App, error) {
	return nil, errors.New("nobody knows this token")
}

func (c *conformance) GetUserByCredential(plugin_sdk.Context, string) (*pb.User, error) {
	return nil, errors.New("nobody knows this token")
}

func (c *conformance) HandlePostAuth(ctx plugin_sdk.Context, req *pb.EnrichedRequest) (*pb.PluginResponse, error) {
	answer := &pb.PluginResponse{ContextUpdates: map[string]string{"seen_by": "conformance"}}
	switch body := string(req.Request.Body); {
	case strings.Contains(body, "forbidden"):
		answer.Block, answer.ErrorMessage = true, "not for "+req.UserId
	case strings.Contains(body, "replace me"):
		answer.Modified, answer.Body = true, []byte(`{"model":"small"}`)
	case strings.Contains(body, "context") && ctx.Metadata["seen_by"] != "":
		answer.Modified, answer.Headers = true, map[string]string{"X-Seen-By": ctx.Metadata["seen_by"]}
	}
	return answer, nil
}

func (c *conformance) OnBeforeWriteHeaders(_ plugin_sdk.Context, req *pb.HeadersRequest) (*pb.HeadersResponse, error) {
	req.Headers["X-Conformance-Seen"] = req.Headers["Content-Type"]
	return &pb.HeadersResponse{Modified: true, Headers: req.Headers}, nil
}

func (c *conformance) OnBeforeWrite(_ plugin_sdk.Context, req *pb.ResponseWriteRequest) (*pb.ResponseWriteResponse, error) {
	switch body := string(req.Body); {
	case strings.Contains(body, "empty me"):
		return &pb.ResponseWriteResponse{Modified: true}, nil
	case strings.Contains(body, "secret"):
		body = strings.ReplaceAll(body, "secret", "******")
		return &pb.ResponseWriteResponse{Modified: true, Body: []byte(body), Headers: req.Headers}, nil
	}
	return nil, nil
}

func (c *conformance) OnStreamComplete(_ plugin_sdk.Context, req *pb.StreamCompleteRequest) (*pb.StreamCompleteResponse, error) {
	c.note("stream: " + string(req.AccumulatedResponse))
	return &pb.StreamCompleteResponse{Handled: true}, nil
}

func (c *conformance) HandleProxyLog(_ plugin_sdk.Context, req *pb.ProxyLogRequest) (*pb.DataCollectionResponse, error) {
	c.note(fmt.Sprintf("log: %d %s", req.ResponseCode, req.RequestId))
	if req.ResponseCode >= 500 {
		return nil, errors.New("the disk is full")
	}
	return nil, nil
}

func (c *conformance) HandleAnalytics(_ plugin_sdk.Context, req *pb.AnalyticsRequest) (*pb.DataCollectionResponse, error) {
	c.note("analytics: " + req.ModelName)
	return nil, nil
}

func (c *conformance) HandleBudgetUsage(_ plugin_sdk.Context, req *pb.BudgetUsageRequest) (*pb.DataCollectionResponse, error) {
	c.note(fmt.Sprintf("budget: %d", req.TokensUsed))
	return nil, nil
}

func (c *conformance) GetEndpointRegistrations() ([]*pb.EndpointRegistration, error) {
	return []*pb.EndpointRegistration{
		{Path: "/echo", Methods: []string{"GET", "POST", "PUT", "DELETE", "PATCH"}, Description: "Echoes the request"},
		{Path: "/whoami", Methods: []string{"GET"}, Description: "Tells the caller", RequireAuth: true},
		{Path: "/fail", Methods: []string{"GET"}, Description: "Fails"},
		{Path: "/stream", Methods: []string{"GET"}, Description: "Streams", StreamResponse: true},
		{Path: "/stream-fail", Methods: []string{"GET"}, Description: "Fails to stream", StreamResponse: true},
		{Path: "/*", Methods: []string{"GET"}, Description: "Everything else"},
	}, nil
}

func (c *conformance) HandleEndpointRequest(_ plugin_sdk.Context, req *pb.EndpointRequest) (*pb.EndpointResponse, error) {
	switch req.RelativePath {
	case "/echo":
		return answer(200, map[string]any{
			"method": req.Method, "path": req.Path, "relative_path": req.RelativePath, "segments": req.PathSegments,
			"query": req.QueryString, "body": string(req.Body), "header": req.Headers["X-Conformance"],
			"authenticated": req.Authenticated,
		})
	case "/whoami":
		return answer(200, map[string]any{
			"app": req.App.GetName(), "metadata": req.App.GetMetadata(), "scopes": req.Scopes,
		})
	case "/fail":
		return nil, errors.New("fails on demand")
	}
	return answer(404, map[string]any{"missing": req.RelativePath})
}

func answer(code int32, value any) (*pb.EndpointResponse, error) {
	body, err := json.Marshal(value)
	headers := map[string]string{"Content-Type": "application/json", "X-Echo": "1"}
	return &pb.EndpointResponse{StatusCode: code, Headers: headers, Body: body}, err
}

func (c *conformance) HandleEndpointRequestStream(_ plugin_sdk.Context, req *pb.EndpointRequest, stream grpc.ServerStreamingServer[pb.EndpointResponseChunk]) error {
	if req.RelativePath == "/stream-fail" {
		return stream.Send(&pb.EndpointResponseChunk{
			Type: pb.EndpointResponseChunk_ERROR, ErrorMessage: "no stream today",
		})
	}
	chunks := []*pb.EndpointResponseChunk{{
		Type: pb.EndpointResponseChunk_HEADERS, StatusCode: 201,
		Headers: map[string]string{"Content-Type": "text/event-stream"},
	}}
	for at := range 3 {
		data := fmt.Appendf(nil, "data: %d\n\n", at)
		chunks = append(chunks, &pb.EndpointResponseChunk{Type: pb.EndpointResponseChunk_BODY, Data: data})
	}
	for _, chunk := range append(chunks, &pb.EndpointResponseChunk{Type: pb.EndpointResponseChunk_DONE}) {
		if err := stream.Send(chunk); err != nil {
			return err
		}
	}
	return nil
}
