// An endpoint that echoes what it is asked, as JSON or as a stream of events, with a text that can be configured and a
// count that the gateway keeps.
package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

type echo struct {
	plugin_sdk.BasePlugin
	content string
}

func (p *echo) GetManifest() ([]byte, error) {
	return []byte(`{
		"id": "com.example.echo", "name": "Echo", "version": "1.0.0",
		"capabilities": {"hooks": ["custom_endpoint"], "primary_hook": "custom_endpoint"},
		"permissions": {"services": ["kv.readwrite"]}
	}`), nil
}

func (p *echo) GetConfigSchema() ([]byte, error) {
	return []byte(`{
		"type": "object", "required": ["slug"],
		"properties": {
			"slug": {"type": "string", "description": "Where it serves: /plugins/SLUG/"},
			"custom_content": {"type": "string", "description": "What it says beside the echo"}
		}
	}`), nil
}

func (p *echo) Initialize(_ plugin_sdk.Context, config map[string]string) error {
	p.content = config["custom_content"]
	return nil
}

func (p *echo) GetEndpointRegistrations() ([]*pb.EndpointRegistration, error) {
	return []*pb.EndpointRegistration{
		{Path: "/count", Methods: []string{"POST"}, Description: "Counts requests, across restarts of the plugin"},
		{Path: "/stream", Methods: []string{"GET"}, Description: "Three events", StreamResponse: true},
		{Path: "/*", Methods: []string{"GET", "POST", "PUT", "PATCH", "DELETE"}, Description: "Echoes the request"},
	}, nil
}

func (p *echo) HandleEndpointRequest(ctx plugin_sdk.Context, req *pb.EndpointRequest) (*pb.EndpointResponse, error) {
	if req.RelativePath == "/count" {
		return p.count(ctx)
	}
	return answer(map[string]any{
		"method": req.Method, "path": req.RelativePath, "segments": req.PathSegments, "query": req.QueryString,
		"body": string(req.Body), "content": p.content, "request_id": ctx.RequestID,
	})
}

func (p *echo) count(ctx plugin_sdk.Context) (*pb.EndpointResponse, error) {
	count := 0
	// A value that is not there is an error too, and counts as none.
	if value, err := ctx.Services.KV().Read(ctx, "count"); err == nil {
		count, _ = strconv.Atoi(string(value))
	}
	count++
	if _, err := ctx.Services.KV().Write(ctx, "count", []byte(strconv.Itoa(count)), nil); err != nil {
		return nil, err
	}
	return answer(map[string]any{"count": count})
}

func answer(value any) (*pb.EndpointResponse, error) {
	body, err := json.Marshal(value)
	return &pb.EndpointResponse{
		StatusCode: 200, Headers: map[string]string{"Content-Type": "application/json"}, Body: body,
	}, err
}

func (p *echo) HandleEndpointRequestStream(ctx plugin_sdk.Context, req *pb.EndpointRequest, stream grpc.ServerStreamingServer[pb.EndpointResponseChunk]) error {
	if err := stream.Send(&pb.EndpointResponseChunk{
		Type: pb.EndpointResponseChunk_HEADERS, StatusCode: 200,
		Headers: map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache"},
	}); err != nil {
		return err
	}
	for at := range 3 {
		data := fmt.Appendf(nil, "data: {\"count\": %d}\n\n", at)
		if err := stream.Send(&pb.EndpointResponseChunk{Type: pb.EndpointResponseChunk_BODY, Data: data}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			// The client has left.
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return stream.Send(&pb.EndpointResponseChunk{Type: pb.EndpointResponseChunk_DONE})
}

func main() {
	plugin_sdk.Serve(&echo{BasePlugin: plugin_sdk.NewBasePlugin("echo", "1.0.0", "Echoes what it is asked")})
}
