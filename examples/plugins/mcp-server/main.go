// An MCP server as an endpoint: Streamable HTTP with sessions, streams of events, and resumption.
//
// The gateway carries requests and answers as they are; all of the protocol is here.
package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/grpc"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

type server struct {
	plugin_sdk.BasePlugin
	sessions sessions
}

func (p *server) GetManifest() ([]byte, error) {
	return []byte(`{
		"id": "com.example.mcp-server", "name": "MCP server", "version": "1.0.0",
		"capabilities": {"hooks": ["custom_endpoint"], "primary_hook": "custom_endpoint"}
	}`), nil
}

func (p *server) GetEndpointRegistrations() ([]*pb.EndpointRegistration, error) {
	return []*pb.EndpointRegistration{{
		Path: "/mcp", Methods: []string{"POST", "GET", "DELETE"}, Description: "MCP Streamable HTTP",
		RequireAuth: true, StreamResponse: true,
	}}, nil
}

func (p *server) HandleEndpointRequest(plugin_sdk.Context, *pb.EndpointRequest) (*pb.EndpointResponse, error) {
	return nil, fmt.Errorf("every answer of an MCP server is a stream")
}

func (p *server) HandleEndpointRequestStream(ctx plugin_sdk.Context, req *pb.EndpointRequest, out grpc.ServerStreamingServer[pb.EndpointResponseChunk]) error {
	// A session belongs to who opened it.
	owner := req.App.GetName()
	reply := answer{ctx: ctx, out: out}
	if req.Method == "POST" {
		return p.post(reply, req, owner)
	}
	opened, known := p.sessions.get(req.Headers["Mcp-Session-Id"], owner)
	switch {
	case !known:
		return reply.empty(404, nil)
	case req.Method == "DELETE":
		p.sessions.end(opened)
		return reply.empty(200, nil)
	case !strings.Contains(req.Headers["Accept"], "text/event-stream"):
		return reply.empty(406, nil)
	}
	// What the client has missed, or what the server has to say of its own.
	stream, next := opened.standing, 0
	if last := req.Headers["Last-Event-Id"]; last != "" {
		if stream, next = opened.after(last); stream == nil {
			return reply.empty(400, nil)
		}
	}
	return reply.follow(opened, stream, next)
}

type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

func (p *server) post(reply answer, req *pb.EndpointRequest, owner string) error {
	var asked message
	if err := json.Unmarshal(req.Body, &asked); err != nil || asked.Method == "" && asked.ID == nil {
		return reply.json(400, nil, failure(nil, -32700, "this is no JSON-RPC message"))
	}
	if asked.Method == "initialize" {
		opened, err := p.sessions.open(owner)
		if err != nil {
			return reply.json(503, nil, failure(asked.ID, -32000, err.Error()))
		}
		return reply.json(200, map[string]string{"Mcp-Session-Id": opened.id}, result(asked.ID, initialized(asked.Params)))
	}
	id := req.Headers["Mcp-Session-Id"]
	if id == "" {
		return reply.json(400, nil, failure(asked.ID, -32000, "a session is needed: initialize first"))
	}
	opened, known := p.sessions.get(id, owner)
	if !known {
		return reply.json(404, nil, failure(asked.ID, -32001, "there is no such session"))
	}
	if asked.ID == nil || asked.Method == "" {
		// A notification, or an answer to a request of which this server makes none.
		return reply.empty(202, nil)
	}
	if asked.Method != "tools/call" || !strings.Contains(req.Headers["Accept"], "text/event-stream") {
		return reply.json(200, nil, opened.ask(asked, nil))
	}
	stream := opened.begin()
	// It runs on when the client leaves, who may come back for the rest.
	go func() {
		defer stream.end()
		stream.send(opened.ask(asked, stream.send))
	}()
	return reply.follow(opened, stream, 0)
}

func result(id json.RawMessage, value any) any {
	return map[string]any{"jsonrpc": "2.0", "id": id, "result": value}
}

func failure(id json.RawMessage, code int, message string) any {
	return map[string]any{"jsonrpc": "2.0", "id": id, "error": map[string]any{"code": code, "message": message}}
}

func main() {
	plugin_sdk.Serve(&server{BasePlugin: plugin_sdk.NewBasePlugin("mcp-server", "1.0.0", "An MCP server")})
}
