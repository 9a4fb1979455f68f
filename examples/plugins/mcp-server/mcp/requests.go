package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// Tool is one that clients may call.
type Tool struct {
	Name, Description string
	// Schema is the JSON Schema of its arguments; of none where it is nil.
	Schema map[string]any
	// Call gives the content of the answer. An error is an answer too: the model is shown it.
	Call func(call *Call) ([]any, error)
}

// Prompt is one that clients may get.
type Prompt struct {
	Name, Description string
	// Arguments are needed, all of them.
	Arguments []string
	// Get gives its messages.
	Get func(arguments map[string]string) []any
}

// Text is content of words.
func Text(text string) any {
	return map[string]any{"type": "text", "text": text}
}

// Object is the JSON Schema of an object of these properties, all of which are needed.
func Object(properties map[string]any) map[string]any {
	required := make([]string, 0, len(properties))
	for name := range properties {
		required = append(required, name)
	}
	slices.Sort(required)
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

// rpcError is an answer that is an error.
type rpcError struct {
	code    int
	message string
}

func (e *rpcError) Error() string {
	return e.message
}

func wrong(format string, words ...any) error {
	return &rpcError{code: -32602, message: fmt.Sprintf(format, words...)}
}

// ask answers a request. What comes before the answer goes to the stream, where there is one.
func (s *Server) ask(ctx context.Context, opened *session, asked message, stream *stream) any {
	ctx, done := opened.run(ctx, asked.ID)
	defer done()
	value, err := s.value(ctx, opened, asked, stream)
	if err == nil {
		return result(asked.ID, value)
	}
	if told, known := err.(*rpcError); known {
		return failure(asked.ID, told.code, told.message)
	}
	return failure(asked.ID, -32602, err.Error())
}

func (s *Server) value(ctx context.Context, opened *session, asked message, stream *stream) (any, error) {
	switch asked.Method {
	case "ping":
		return map[string]any{}, nil
	case "logging/setLevel":
		var params struct{ Level string }
		if err := json.Unmarshal(asked.Params, &params); err != nil {
			return nil, err
		}
		return map[string]any{}, opened.logFrom(params.Level)
	case "tools/list":
		return map[string]any{"tools": s.listedTools()}, nil
	case "tools/call":
		return s.call(ctx, opened, asked, stream)
	case "prompts/list":
		return map[string]any{"prompts": s.listedPrompts()}, nil
	case "prompts/get":
		return s.prompt(asked)
	case "completion/complete":
		return s.completion(asked)
	}
	if s.Read != nil {
		return s.resource(opened, asked)
	}
	return nil, unknown(asked.Method)
}

func unknown(method string) error {
	return &rpcError{code: -32601, message: "Method not found: " + method}
}

func (s *Server) listedTools() []any {
	listed := make([]any, 0, len(s.Tools))
	for _, tool := range s.Tools {
		schema := tool.Schema
		if schema == nil {
			schema = Object(map[string]any{})
		}
		listed = append(listed, map[string]any{"name": tool.Name, "description": tool.Description, "inputSchema": schema})
	}
	return listed
}

func (s *Server) call(ctx context.Context, opened *session, asked message, stream *stream) (any, error) {
	var params struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
		Meta      struct {
			ProgressToken json.RawMessage `json:"progressToken"`
		} `json:"_meta"`
	}
	if err := json.Unmarshal(asked.Params, &params); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(s.Tools, func(tool Tool) bool { return tool.Name == params.Name })
	if at < 0 {
		return nil, wrong("Unknown tool: %s", params.Name)
	}
	call := &Call{Context: ctx, session: opened, stream: stream, token: params.Meta.ProgressToken, arguments: params.Arguments}
	content, err := s.Tools[at].Call(call)
	if err != nil {
		return map[string]any{"content": []any{Text(err.Error())}, "isError": true}, nil
	}
	return map[string]any{"content": content, "isError": false}, nil
}

func (s *Server) listedPrompts() []any {
	listed := make([]any, 0, len(s.Prompts))
	for _, prompt := range s.Prompts {
		arguments := make([]any, 0, len(prompt.Arguments))
		for _, name := range prompt.Arguments {
			arguments = append(arguments, map[string]any{"name": name, "required": true})
		}
		listed = append(listed, map[string]any{"name": prompt.Name, "description": prompt.Description, "arguments": arguments})
	}
	return listed
}

func (s *Server) prompt(asked message) (any, error) {
	var params struct {
		Name      string            `json:"name"`
		Arguments map[string]string `json:"arguments"`
	}
	if err := json.Unmarshal(asked.Params, &params); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(s.Prompts, func(prompt Prompt) bool { return prompt.Name == params.Name })
	if at < 0 {
		return nil, wrong("Unknown prompt: %s", params.Name)
	}
	for _, name := range s.Prompts[at].Arguments {
		if _, given := params.Arguments[name]; !given {
			return nil, wrong("the prompt %s needs the argument %s", params.Name, name)
		}
	}
	return map[string]any{"messages": s.Prompts[at].Get(params.Arguments)}, nil
}

func (s *Server) completion(asked message) (any, error) {
	if s.Complete == nil {
		return nil, unknown(asked.Method)
	}
	var params struct {
		Argument struct{ Name, Value string } `json:"argument"`
	}
	if err := json.Unmarshal(asked.Params, &params); err != nil {
		return nil, err
	}
	values := s.Complete(params.Argument.Name, params.Argument.Value)
	return map[string]any{"completion": map[string]any{"values": values, "total": len(values), "hasMore": false}}, nil
}

func (s *Server) resource(opened *session, asked message) (any, error) {
	var params struct{ URI string }
	if len(asked.Params) > 0 {
		if err := json.Unmarshal(asked.Params, &params); err != nil {
			return nil, err
		}
	}
	switch asked.Method {
	case "resources/list":
		return map[string]any{"resources": some(s.Resources)}, nil
	case "resources/templates/list":
		return map[string]any{"resourceTemplates": some(s.Templates)}, nil
	case "resources/read":
		if contents := s.Read(params.URI); len(contents) > 0 {
			return map[string]any{"contents": contents}, nil
		}
		return nil, &rpcError{code: -32002, message: "Resource not found: " + params.URI}
	case "resources/subscribe", "resources/unsubscribe":
		opened.watch(params.URI, asked.Method == "resources/subscribe")
		return map[string]any{}, nil
	}
	return nil, unknown(asked.Method)
}

// some is a list, be it an empty one.
func some(list []any) []any {
	return append([]any{}, list...)
}
