// Package mcp is a server of the Model Context Protocol that is an endpoint of a plugin: Streamable HTTP with sessions,
// streams of events, requests to the client, and resumption.
//
// The gateway carries requests and answers as they are; all of the protocol is here. What there is to offer is told in a
// Server, and Main runs it: as a plugin, or with -listen without any gateway.
package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

// The revisions that are spoken, the newest first.
var versions = []string{"2025-11-25", "2025-06-18", "2025-03-26"}

// Methods of HTTP that are served.
var methods = []string{"POST", "GET", "DELETE"}

// Server is what clients are offered.
type Server struct {
	plugin_sdk.BasePlugin
	// ID is that of the plugin's manifest; Name and Version are the server's too.
	ID, Name, Version string
	Tools             []Tool
	Prompts           []Prompt
	// Resources and Templates are listed as they are; Read gives what is in them.
	Resources []any
	Templates []any
	Read      func(uri string) []any
	// Complete gives values that an argument may have.
	Complete func(argument, value string) []string
	// StreamAll has every request answered by a stream, where the client takes one; else calls of tools are.
	StreamAll bool

	sessions sessions
}

// GetManifest says what the gateway has to know.
func (s *Server) GetManifest() ([]byte, error) {
	return json.Marshal(map[string]any{
		"id": s.ID, "name": s.Name, "version": s.Version,
		"capabilities": map[string]any{"hooks": []string{"custom_endpoint"}, "primary_hook": "custom_endpoint"},
	})
}

// GetEndpointRegistrations has the server stand at /mcp of the plugin's slug.
func (s *Server) GetEndpointRegistrations() ([]*pb.EndpointRegistration, error) {
	return []*pb.EndpointRegistration{{
		Path: "/mcp", Methods: methods, Description: "MCP Streamable HTTP", RequireAuth: true, StreamResponse: true,
	}}, nil
}

// HandleEndpointRequest is never asked.
func (s *Server) HandleEndpointRequest(plugin_sdk.Context, *pb.EndpointRequest) (*pb.EndpointResponse, error) {
	return nil, errors.New("every answer of an MCP server is a stream")
}

// HandleEndpointRequestStream answers a request.
func (s *Server) HandleEndpointRequestStream(ctx plugin_sdk.Context, req *pb.EndpointRequest, out grpc.ServerStreamingServer[pb.EndpointResponseChunk]) error {
	return s.answer(ctx, req, out)
}

// answer answers a request, by whichever way it came.
func (s *Server) answer(ctx context.Context, req *pb.EndpointRequest, out sender) error {
	reply := answer{ctx: ctx, out: out}
	if version := req.Headers["Mcp-Protocol-Version"]; version != "" && !slices.Contains(versions, version) {
		return reply.json(400, nil, failure(nil, -32000, "this server does not speak "+version))
	}
	// A session belongs to who opened it.
	owner := req.App.GetName()
	if req.Method == "POST" {
		return s.post(reply, req, owner)
	}
	opened, known := s.sessions.get(req.Headers["Mcp-Session-Id"], owner)
	switch {
	case !known:
		return reply.empty(404)
	case req.Method == "DELETE":
		s.sessions.end(opened)
		return reply.empty(200)
	case !takesStream(req):
		return reply.empty(406)
	}
	// What the client has missed of a stream, or what the server has to say of its own from now on.
	last := req.Headers["Last-Event-Id"]
	if last == "" {
		return reply.follow(opened, opened.standing.join(latest))
	}
	stream, seen := opened.after(last)
	if stream == nil {
		return reply.empty(400)
	}
	return reply.follow(opened, stream.join(seen))
}

func takesStream(req *pb.EndpointRequest) bool {
	return strings.Contains(req.Headers["Accept"], "text/event-stream")
}

type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	// Of an answer.
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

func (s *Server) post(reply answer, req *pb.EndpointRequest, owner string) error {
	var asked message
	if err := json.Unmarshal(req.Body, &asked); err != nil || asked.Method == "" && asked.ID == nil {
		return reply.json(400, nil, failure(nil, -32700, "this is no JSON-RPC message"))
	}
	if asked.Method == "initialize" {
		return s.initialize(reply, asked, owner)
	}
	id := req.Headers["Mcp-Session-Id"]
	if id == "" {
		return reply.json(400, nil, failure(asked.ID, -32000, "a session is needed: initialize first"))
	}
	opened, known := s.sessions.get(id, owner)
	switch {
	case !known:
		return reply.json(404, nil, failure(asked.ID, -32001, "there is no such session"))
	case asked.Method == "":
		opened.answered(asked)
		return reply.empty(202)
	case asked.ID == nil:
		opened.noticed(asked)
		return reply.empty(202)
	}
	if !takesStream(req) || asked.Method != "tools/call" && !s.StreamAll {
		return reply.json(200, nil, s.ask(reply.ctx, opened, asked, nil))
	}
	stream := opened.begin()
	told := stream.join(0)
	// It runs on when the client leaves, who may come back for the rest.
	go func() {
		defer stream.end()
		stream.send(s.ask(context.WithoutCancel(reply.ctx), opened, asked, stream))
	}()
	return reply.follow(opened, told)
}

func (s *Server) initialize(reply answer, asked message, owner string) error {
	var hello struct {
		ProtocolVersion string                     `json:"protocolVersion"`
		Capabilities    map[string]json.RawMessage `json:"capabilities"`
	}
	if err := json.Unmarshal(asked.Params, &hello); err != nil {
		return reply.json(200, nil, failure(asked.ID, -32602, err.Error()))
	}
	version := versions[0]
	if slices.Contains(versions, hello.ProtocolVersion) {
		version = hello.ProtocolVersion
	}
	opened := s.sessions.open(owner, version, hello.Capabilities)
	return reply.json(200, map[string]string{"Mcp-Session-Id": opened.id}, result(asked.ID, map[string]any{
		"protocolVersion": version,
		"capabilities":    s.offers(),
		"serverInfo":      map[string]any{"name": s.Name, "version": s.Version},
	}))
}

// offers are the parts of the protocol that there is something of.
func (s *Server) offers() map[string]any {
	offers := map[string]any{"logging": map[string]any{}}
	if len(s.Tools) > 0 {
		offers["tools"] = map[string]any{}
	}
	if len(s.Prompts) > 0 {
		offers["prompts"] = map[string]any{}
	}
	if s.Read != nil {
		offers["resources"] = map[string]any{"subscribe": true}
	}
	if s.Complete != nil {
		offers["completions"] = map[string]any{}
	}
	return offers
}

// Updated tells those who have subscribed to a resource that it is another now.
func (s *Server) Updated(uri string) {
	for _, opened := range s.sessions.all() {
		if opened.watches(uri) {
			opened.standing.send(notification("notifications/resources/updated", map[string]any{"uri": uri}))
		}
	}
}

func result(id json.RawMessage, value any) any {
	return map[string]any{"jsonrpc": "2.0", "id": id, "result": value}
}

func failure(id json.RawMessage, code int, message string) any {
	return map[string]any{"jsonrpc": "2.0", "id": id, "error": map[string]any{"code": code, "message": message}}
}

func notification(method string, params any) any {
	return map[string]any{"jsonrpc": "2.0", "method": method, "params": params}
}
