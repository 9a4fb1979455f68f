// An MCP server as an endpoint: three tools, of which one takes its time.
//
// The protocol is in the package mcp beside this file, to be copied for a server of your own.
package main

import (
	"errors"
	"fmt"
	"time"

	"mortise.test/examples/mcp-server/mcp"
)

var (
	text   = map[string]any{"type": "string"}
	number = map[string]any{"type": "number"}
)

func echo(call *mcp.Call) ([]any, error) {
	var told struct{ Text string }
	err := call.Arguments(&told)
	return []any{mcp.Text(told.Text)}, err
}

func add(call *mcp.Call) ([]any, error) {
	var told struct{ A, B float64 }
	err := call.Arguments(&told)
	return []any{mcp.Text(fmt.Sprint(told.A + told.B))}, err
}

func count(call *mcp.Call) ([]any, error) {
	var told struct{ To int }
	if err := call.Arguments(&told); err != nil {
		return nil, err
	}
	if told.To < 0 || told.To > 100 {
		return nil, errors.New("counts to 100 at most")
	}
	for at := 1; at <= told.To; at++ {
		select {
		case <-call.Done():
			return nil, call.Err()
		case <-time.After(20 * time.Millisecond):
		}
		call.Progress(float64(at), float64(told.To))
	}
	return []any{mcp.Text(fmt.Sprintf("counted to %d", told.To))}, nil
}

func main() {
	mcp.Main(&mcp.Server{
		ID: "com.example.mcp-server", Name: "example-mcp-server", Version: "1.0.0",
		Tools: []mcp.Tool{
			{Name: "echo", Description: "Says what it is told", Schema: mcp.Object(map[string]any{"text": text}), Call: echo},
			{Name: "add", Description: "Adds two numbers", Schema: mcp.Object(map[string]any{"a": number, "b": number}), Call: add},
			{Name: "count", Description: "Counts, and tells how far it is", Schema: mcp.Object(map[string]any{"to": number}), Call: count},
		},
	})
}
