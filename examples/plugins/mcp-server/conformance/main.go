// The server that the MCP conformance suite expects to find, as an endpoint of a plugin: what it looks for by name, on
// the package that the example beside it stands on. What is answered is dictated by the suite, not by taste.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"mortise.test/examples/mcp-server/mcp"
)

const (
	png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
	wav = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
	// How long tools take between two words.
	pause = 50 * time.Millisecond
)

type object = map[string]any

var (
	text  = object{"type": "string"}
	image = object{"type": "image", "data": png, "mimeType": "image/png"}
)

func embedded(uri, mime, text string) any {
	return object{"type": "resource", "resource": object{"uri": uri, "mimeType": mime, "text": text}}
}

// always is a tool that answers the same whatever it is told.
func always(name string, content ...any) mcp.Tool {
	return tool(name, func(*mcp.Call) ([]any, error) { return content, nil })
}

func tool(name string, call func(*mcp.Call) ([]any, error)) mcp.Tool {
	return mcp.Tool{Name: name, Description: "The suite's " + name, Call: call}
}

func logs(call *mcp.Call) ([]any, error) {
	for _, words := range []string{"Tool execution started", "Tool processing data", "Tool execution completed"} {
		call.Log("info", words)
		time.Sleep(pause)
	}
	return []any{mcp.Text("Logged three lines.")}, nil
}

func fails(*mcp.Call) ([]any, error) {
	return nil, errors.New("This tool intentionally returns an error for testing")
}

func progresses(call *mcp.Call) ([]any, error) {
	for _, done := range []float64{0, 50, 100} {
		call.Progress(done, 100)
		time.Sleep(pause)
	}
	return []any{mcp.Text(string(call.ProgressToken()))}, nil
}

func samples(call *mcp.Call) ([]any, error) {
	var told struct{ Prompt string }
	if err := call.Arguments(&told); err != nil {
		return nil, err
	}
	if !call.Can("sampling") {
		return nil, errors.New("the client cannot ask a model")
	}
	asked := object{
		"messages":  []any{object{"role": "user", "content": mcp.Text(told.Prompt)}},
		"maxTokens": 100,
	}
	answered, err := call.Ask("sampling/createMessage", asked)
	if err != nil {
		return nil, err
	}
	var said struct{ Content struct{ Text string } }
	err = json.Unmarshal(answered, &said)
	return []any{mcp.Text("LLM response: " + said.Content.Text)}, err
}

// elicits asks the client's user, and shows what came.
func elicits(call *mcp.Call, message, words string, schema object) ([]any, error) {
	if !call.Can("elicitation") {
		return nil, errors.New("the client cannot ask its user")
	}
	answered, err := call.Ask("elicitation/create", object{"message": message, "requestedSchema": schema})
	if err != nil {
		return nil, err
	}
	var said struct {
		Action  string
		Content json.RawMessage
	}
	err = json.Unmarshal(answered, &said)
	return []any{mcp.Text(fmt.Sprintf(words, said.Action, said.Content))}, err
}

func asks(call *mcp.Call) ([]any, error) {
	var told struct{ Message string }
	if err := call.Arguments(&told); err != nil {
		return nil, err
	}
	wanted := mcp.Object(object{
		"username": object{"type": "string", "description": "User's response"},
		"email":    object{"type": "string", "description": "User's email address"},
	})
	return elicits(call, told.Message, "User response: action: %s, content: %s", wanted)
}

func asksWith(message string, properties object) func(*mcp.Call) ([]any, error) {
	return func(call *mcp.Call) ([]any, error) {
		schema := object{"type": "object", "properties": properties}
		return elicits(call, message, "Elicitation completed: action=%s, content=%s", schema)
	}
}

func hangsUp(call *mcp.Call) ([]any, error) {
	call.HangUp()
	time.Sleep(2 * pause)
	return []any{mcp.Text("You came back.")}, nil
}

func titled(titles ...string) []any {
	var values []any
	for at, title := range titles {
		values = append(values, object{"const": fmt.Sprintf("value%d", at+1), "title": title})
	}
	return values
}

var defaults = object{
	"name":     object{"type": "string", "default": "John Doe"},
	"age":      object{"type": "integer", "default": 30},
	"score":    object{"type": "number", "default": 95.5},
	"status":   object{"type": "string", "enum": []string{"active", "inactive", "pending"}, "default": "active"},
	"verified": object{"type": "boolean", "default": true},
}

var options = []string{"option1", "option2", "option3"}

var enums = object{
	"untitledSingle": object{"type": "string", "enum": options},
	"titledSingle":   object{"type": "string", "oneOf": titled("First Option", "Second Option", "Third Option")},
	"legacyEnum": object{
		"type": "string", "enum": []string{"opt1", "opt2", "opt3"},
		"enumNames": []string{"Option One", "Option Two", "Option Three"},
	},
	"untitledMulti": object{"type": "array", "items": object{"type": "string", "enum": options}},
	"titledMulti":   object{"type": "array", "items": object{"anyOf": titled("First Choice", "Second Choice", "Third Choice")}},
}

var tools = []mcp.Tool{
	always("test_simple_text", mcp.Text("This is a simple text response for testing.")),
	always("test_image_content", image),
	always("test_audio_content", object{"type": "audio", "data": wav, "mimeType": "audio/wav"}),
	always("test_embedded_resource", embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")),
	always("test_multiple_content_types", mcp.Text("Multiple content types test:"), image,
		embedded("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`)),
	tool("test_tool_with_logging", logs),
	tool("test_error_handling", fails),
	tool("test_tool_with_progress", progresses),
	{Name: "test_sampling", Description: "Asks the client's model", Schema: mcp.Object(object{"prompt": text}), Call: samples},
	{Name: "test_elicitation", Description: "Asks the client's user", Schema: mcp.Object(object{"message": text}), Call: asks},
	tool("test_elicitation_sep1034_defaults", asksWith("Please review the defaults", defaults)),
	tool("test_elicitation_sep1330_enums", asksWith("Please choose", enums)),
	{
		Name: "json_schema_2020_12_tool", Description: "Tool with JSON Schema 2020-12 features",
		Schema: object{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type":    "object",
			"$defs": object{
				"address": object{"type": "object", "properties": object{"street": text, "city": text}},
			},
			"properties":           object{"name": text, "address": object{"$ref": "#/$defs/address"}},
			"additionalProperties": false,
		},
		Call: func(*mcp.Call) ([]any, error) { return []any{mcp.Text("{}")}, nil },
	},
	tool("test_reconnection", hangsUp),
}

func user(contents ...any) []any {
	var messages []any
	for _, content := range contents {
		messages = append(messages, object{"role": "user", "content": content})
	}
	return messages
}

func prompt(name string, get func(map[string]string) []any, arguments ...string) mcp.Prompt {
	return mcp.Prompt{Name: name, Description: "The suite's " + name, Arguments: arguments, Get: get}
}

var prompts = []mcp.Prompt{
	prompt("test_simple_prompt", func(map[string]string) []any {
		return user(mcp.Text("This is a simple prompt for testing."))
	}),
	prompt("test_prompt_with_arguments", func(given map[string]string) []any {
		return user(mcp.Text(fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", given["arg1"], given["arg2"])))
	}, "arg1", "arg2"),
	prompt("test_prompt_with_embedded_resource", func(given map[string]string) []any {
		resource := embedded(given["resourceUri"], "text/plain", "Embedded resource content for testing.")
		return user(resource, mcp.Text("Please process the embedded resource above."))
	}, "resourceUri"),
	prompt("test_prompt_with_image", func(map[string]string) []any {
		return user(image, mcp.Text("Please analyze the image above."))
	}),
}

var resources = []any{
	listed("test://static-text", "text/plain"),
	listed("test://static-binary", "image/png"),
	listed("test://watched-resource", "text/plain"),
}

func listed(uri, mime string) any {
	return object{"uri": uri, "name": uri, "description": "The suite's " + uri, "mimeType": mime}
}

func read(uri string) []any {
	switch uri {
	case "test://static-text":
		return contents(uri, "text/plain", "text", "This is the content of the static text resource.")
	case "test://static-binary":
		return contents(uri, "image/png", "blob", png)
	case "test://watched-resource":
		return contents(uri, "text/plain", "text", "Watched resource content.")
	}
	id, begins := strings.CutPrefix(uri, "test://template/")
	id, ends := strings.CutSuffix(id, "/data")
	if !begins || !ends || id == "" || strings.Contains(id, "/") {
		return nil
	}
	data, err := json.Marshal(object{"id": id, "templateTest": true, "data": "Data for ID: " + id})
	if err != nil {
		return nil
	}
	return contents(uri, "application/json", "text", string(data))
}

func contents(uri, mime, key, data string) []any {
	return []any{object{"uri": uri, "mimeType": mime, key: data}}
}

func main() {
	mcp.Main(&mcp.Server{
		ID: "com.example.mcp-conformance", Name: "mcp-conformance", Version: "1.0.0",
		Tools: tools, Prompts: prompts, Resources: resources, Read: read,
		Templates: []any{object{"uriTemplate": "test://template/{id}/data", "name": "template", "description": "By id"}},
		Complete:  func(string, string) []string { return []string{"paris", "park", "party"} },
		// The suite looks at several streams at once.
		StreamAll: true,
	})
}
