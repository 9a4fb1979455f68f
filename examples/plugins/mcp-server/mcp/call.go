package mcp

import (
	"context"
	"encoding/json"
	"errors"
)

// Call is one call of a tool. Its context ends when the client takes it back, or with the session.
type Call struct {
	context.Context
	session   *session
	stream    *stream
	token     json.RawMessage
	arguments json.RawMessage
}

// Arguments reads the arguments into a value.
func (c *Call) Arguments(into any) error {
	if len(c.arguments) == 0 {
		return nil
	}
	return json.Unmarshal(c.arguments, into)
}

// Progress tells how far the call is, to a client that has asked for it.
func (c *Call) Progress(done, total float64) {
	if c.token != nil {
		c.tell("notifications/progress", map[string]any{"progressToken": c.token, "progress": done, "total": total})
	}
}

// ProgressToken is what the client calls its wish for progress; null without one.
func (c *Call) ProgressToken() json.RawMessage {
	return c.token
}

// Log tells the client something, if it wants words of this level.
func (c *Call) Log(level string, data any) {
	if c.session.logs(level) {
		c.tell("notifications/message", map[string]any{"level": level, "data": data})
	}
}

func (c *Call) tell(method string, params any) {
	if c.stream != nil {
		c.stream.send(notification(method, params))
	}
}

// Ask asks the client: sampling/createMessage, elicitation/create.
func (c *Call) Ask(method string, params any) (json.RawMessage, error) {
	if c.stream == nil {
		return nil, errors.New("the client takes no stream, so it cannot be asked anything")
	}
	id, answer := c.session.asking()
	defer c.session.forget(id)
	c.stream.send(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	select {
	case told := <-answer:
		if told.Error != nil {
			return nil, errors.New(told.Error.Message)
		}
		return told.Result, nil
	case <-c.Done():
		return nil, c.Err()
	}
}

// Can says whether the client has a part of the protocol: sampling, elicitation.
func (c *Call) Can(part string) bool {
	_, can := c.session.able[part]
	return can
}

// HangUp closes the client's connection. The call goes on, and the client comes back for what it gives.
func (c *Call) HangUp() {
	if c.stream != nil {
		c.stream.hangUp()
	}
}
