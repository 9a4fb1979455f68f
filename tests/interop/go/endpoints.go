package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginpb "mortise.test/sdk/proto"
)

// Endpoints of its own, where its arguments ask for them. What one does is the first segment of its path.
var all = []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"}

func (p *plugin) GetEndpointRegistrations(ctx context.Context, _ *pluginpb.GetEndpointRegistrationsRequest) (*pluginpb.GetEndpointRegistrationsResponse, error) {
	answer := &pluginpb.GetEndpointRegistrationsResponse{}
	if !*endpoints {
		return answer, status.Error(codes.Unimplemented, "an older library does not know this")
	}
	add := func(path string, methods []string, auth, stream bool) *pluginpb.EndpointRegistration {
		registration := &pluginpb.EndpointRegistration{
			Path: path, Methods: methods, RequireAuth: auth, StreamResponse: stream,
			Description: "what a test asks for",
		}
		answer.Registrations = append(answer.Registrations, registration)
		return registration
	}
	add("/.well-known/openid-configuration", []string{"GET"}, false, false).Metadata = map[string]string{"owner": "tests"}
	add("/token", []string{"post", "TRACE"}, false, false)
	add("/userinfo", []string{"GET"}, true, false)
	add("/stream", []string{"GET", "POST"}, false, true)
	add("/stream/private", []string{"GET"}, true, true)
	add("no-slash", []string{"GET"}, false, false)
	add("/nothing", []string{"TRACE"}, false, false)
	if _, err := os.Stat(*moreWhere); err == nil {
		add("/more", []string{"GET"}, false, false)
		add("/only", []string{"PUT"}, false, false)
		return answer, nil
	}
	add("/only", []string{"PUT"}, false, false)
	add("/echo/*", all, false, false)
	add("/private/*", all, true, false)
	add("/*", []string{"GET", "POST"}, false, false)
	return answer, nil
}

// Everything a request says, as JSON.
func told(request *pluginpb.EndpointRequest) []byte {
	said := map[string]any{
		"method": request.GetMethod(), "path": request.GetPath(), "relative_path": request.GetRelativePath(),
		"path_segments": append([]string{}, request.GetPathSegments()...), "headers": request.GetHeaders(),
		"body": string(request.GetBody()), "query_string": request.GetQueryString(),
		"remote_addr": request.GetRemoteAddr(), "host": request.GetHost(), "protocol": request.GetProtocol(),
		"request_id": request.GetContext().GetRequestId(), "authenticated": request.GetAuthenticated(),
		"scopes": append([]string{}, request.GetScopes()...), "pid": os.Getpid(),
	}
	if app := request.GetApp(); app != nil {
		said["app"] = map[string]any{
			"id": app.GetId(), "name": app.GetName(), "description": app.GetDescription(),
			"owner_email": app.GetOwnerEmail(), "is_active": app.GetIsActive(),
			"monthly_budget": app.GetMonthlyBudget(), "rate_limit": app.GetRateLimit(), "metadata": app.GetMetadata(),
		}
	}
	text, _ := json.Marshal(said)
	return text
}

func (p *plugin) HandleEndpointRequest(ctx context.Context, request *pluginpb.EndpointRequest) (*pluginpb.EndpointResponse, error) {
	segments := append(append([]string{}, request.GetPathSegments()...), "", "")
	answer := &pluginpb.EndpointResponse{
		StatusCode: 200, Headers: map[string]string{"Content-Type": "application/json"}, Body: told(request),
	}
	switch segments[0] {
	case "status":
		code, _ := strconv.Atoi(segments[1])
		answer.StatusCode, answer.Headers = int32(code), map[string]string{"Connection": "close", "X-Kind": "teapot"}
	case "grpc-error":
		return nil, status.Error(codes.Unavailable, "its database is away")
	case "error-message":
		code, _ := strconv.Atoi(segments[1])
		return &pluginpb.EndpointResponse{StatusCode: int32(code), ErrorMessage: "no such user"}, nil
	case "crash":
		os.Exit(3)
	case "hang":
		p.note("hangs")
		<-ctx.Done()
		p.note("cancelled")
		return nil, ctx.Err()
	case "slow":
		time.Sleep(300 * time.Millisecond)
	case "large":
		size, _ := strconv.Atoi(segments[1])
		answer.Headers, answer.Body = nil, bytes.Repeat([]byte("x"), size)
	}
	return answer, nil
}

func (p *plugin) HandleEndpointRequestStream(request *pluginpb.EndpointRequest, stream grpc.ServerStreamingServer[pluginpb.EndpointResponseChunk]) error {
	query := request.GetQueryString()
	head := func(code int32) error {
		return stream.Send(&pluginpb.EndpointResponseChunk{
			Type: pluginpb.EndpointResponseChunk_HEADERS, StatusCode: code,
			Headers: map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "Connection": "keep-alive"},
		})
	}
	body := func(data string) error {
		return stream.Send(&pluginpb.EndpointResponseChunk{Type: pluginpb.EndpointResponseChunk_BODY, Data: []byte(data)})
	}
	fail := func(why string) error {
		return stream.Send(&pluginpb.EndpointResponseChunk{Type: pluginpb.EndpointResponseChunk_ERROR, ErrorMessage: why})
	}
	asked := func(word string) bool { return strings.Contains(query, word) }
	switch {
	case asked("error-first"):
		return fail("no stream today")
	case asked("grpc-first"):
		return status.Error(codes.Internal, "no stream at all")
	case asked("silent"):
		<-stream.Context().Done()
		p.note("stream cancelled")
		return nil
	case asked("no-head"):
		body("data: without a head\n\n")
		return nil
	}
	if asked("teapot") {
		head(418)
	} else {
		head(0)
	}
	switch {
	case asked("echo"):
		body(string(told(request)))
	case asked("forever"):
		for at := 0; body(fmt.Sprintf("data: %d\n\n", at)) == nil && stream.Context().Err() == nil; at++ {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-stream.Context().Done():
			}
		}
		p.note("stream cancelled")
		return nil
	case asked("flood"):
		piece, sent := strings.Repeat("x", 16<<10), 0
		for ; sent < 4096 && body(piece) == nil; sent++ {
			os.WriteFile(p.config["progress"], []byte(strconv.Itoa(sent)), 0o600)
		}
		p.note("flood ended")
		return nil
	case asked("pause"):
		body("data: first\n\n")
		<-stream.Context().Done()
		p.note("stream cancelled")
		return nil
	case asked("error-later"):
		body("data: first\n\n")
		return fail("the source is gone")
	case asked("grpc-later"):
		body("data: first\n\n")
		return status.Error(codes.Internal, "the source is gone")
	case asked("crash-later"):
		body("data: first\n\n")
		time.Sleep(50 * time.Millisecond)
		os.Exit(3)
	default:
		for at := range 3 {
			body(fmt.Sprintf("data: {\"count\": %d}\n\n", at))
		}
	}
	if asked("no-done") {
		return nil
	}
	return stream.Send(&pluginpb.EndpointResponseChunk{Type: pluginpb.EndpointResponseChunk_DONE})
}
