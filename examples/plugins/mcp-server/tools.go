package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

var versions = []string{"2025-11-25", "2025-06-18", "2025-03-26"}

func initialized(params json.RawMessage) any {
	var hello struct {
		ProtocolVersion string `json:"protocolVersion"`
	}
	_ = json.Unmarshal(params, &hello)
	version := versions[0]
	if slices.Contains(versions, hello.ProtocolVersion) {
		version = hello.ProtocolVersion
	}
	return map[string]any{
		"protocolVersion": version,
		"capabilities":    map[string]any{"tools": map[string]any{}},
		"serverInfo":      map[string]any{"name": "example-mcp-server", "version": "1.0.0"},
	}
}

func tool(name, description string, properties map[string]any, required ...string) any {
	schema := map[string]any{"type": "object", "properties": properties, "required": required}
	return map[string]any{"name": name, "description": description, "inputSchema": schema}
}

var (
	text   = map[string]any{"type": "string"}
	number = map[string]any{"type": "number"}
	tools  = []any{
		tool("echo", "Says what it is told", map[string]any{"text": text}, "text"),
		tool("add", "Adds two numbers", map[string]any{"a": number, "b": number}, "a", "b"),
		tool("count", "Counts, and tells how far it is", map[string]any{"to": number}, "to"),
	}
)

type call struct {
	Name      string `json:"name"`
	Arguments struct {
		Text string  `json:"text"`
		A    float64 `json:"a"`
		B    float64 `json:"b"`
		To   int     `json:"to"`
	} `json:"arguments"`
	Meta struct {
		ProgressToken any `json:"progressToken"`
	} `json:"_meta"`
}

// ask answers a request. What comes before the answer goes to send, where there is one.
func (s *session) ask(asked message, send func(any)) any {
	switch asked.Method {
	case "ping":
		return result(asked.ID, map[string]any{})
	case "tools/list":
		return result(asked.ID, map[string]any{"tools": tools})
	case "tools/call":
		var called call
		if err := json.Unmarshal(asked.Params, &called); err != nil {
			return failure(asked.ID, -32602, err.Error())
		}
		said, err := s.run(called, send)
		if err != nil {
			return failure(asked.ID, -32602, err.Error())
		}
		content := []any{map[string]any{"type": "text", "text": said}}
		return result(asked.ID, map[string]any{"content": content, "isError": false})
	}
	return failure(asked.ID, -32601, "Method not found: "+asked.Method)
}

func (s *session) run(called call, send func(any)) (string, error) {
	arguments := called.Arguments
	switch called.Name {
	case "echo":
		return arguments.Text, nil
	case "add":
		return fmt.Sprint(arguments.A + arguments.B), nil
	case "count":
		if arguments.To < 0 || arguments.To > 100 {
			return "", fmt.Errorf("counts to 100 at most")
		}
		for at := 1; at <= arguments.To; at++ {
			select {
			case <-s.ended:
				return "", fmt.Errorf("the session has ended")
			case <-time.After(20 * time.Millisecond):
			}
			if send != nil && called.Meta.ProgressToken != nil {
				progress := map[string]any{"progressToken": called.Meta.ProgressToken, "progress": at, "total": arguments.To}
				send(map[string]any{"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})
			}
		}
		return fmt.Sprintf("counted to %d", arguments.To), nil
	}
	return "", fmt.Errorf("Unknown tool: %s", called.Name)
}
