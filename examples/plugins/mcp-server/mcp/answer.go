package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	pb "mortise.test/sdk/proto"
)

// After how long a client that was hung up on comes back.
const retry = 500 * time.Millisecond

// sender takes the pieces of an answer: the gateway's stream, or plain HTTP.
type sender interface {
	Send(*pb.EndpointResponseChunk) error
}

// answer is where the answer to one request goes.
type answer struct {
	ctx context.Context
	out sender
}

func (a answer) head(status int32, headers map[string]string) error {
	return a.out.Send(&pb.EndpointResponseChunk{
		Type: pb.EndpointResponseChunk_HEADERS, StatusCode: status, Headers: headers,
	})
}

func (a answer) body(data []byte) error {
	return a.out.Send(&pb.EndpointResponseChunk{Type: pb.EndpointResponseChunk_BODY, Data: data})
}

func (a answer) done() error {
	return a.out.Send(&pb.EndpointResponseChunk{Type: pb.EndpointResponseChunk_DONE})
}

func (a answer) empty(status int32) error {
	if err := a.head(status, nil); err != nil {
		return err
	}
	return a.done()
}

func (a answer) json(status int32, headers map[string]string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	told := map[string]string{"Content-Type": "application/json"}
	maps.Copy(told, headers)
	if err := a.head(status, told); err != nil {
		return err
	}
	if err := a.body(data); err != nil {
		return err
	}
	return a.done()
}

// follow tells a stream as events that can be asked for again, until it is over, it is hung up, or the client leaves.
func (a answer) follow(session *session, told follower) error {
	headers := map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
	if err := a.head(200, headers); err != nil {
		return err
	}
	number, seen := told.stream.number, told.seen
	if session.primes() {
		event := fmt.Appendf(nil, "id: %d-%d\nretry: %d\ndata: \n\n", number, seen, retry.Milliseconds())
		if err := a.body(event); err != nil {
			return err
		}
	}
	for {
		said, first, over, more := told.stream.from(seen)
		for at, data := range said {
			seen = first + at
			if err := a.body(fmt.Appendf(nil, "id: %d-%d\ndata: %s\n\n", number, seen, data)); err != nil {
				return err
			}
		}
		if over {
			return a.done()
		}
		select {
		case <-more:
		case <-told.hungUp:
			return a.done()
		case <-session.ctx.Done():
			return a.done()
		case <-a.ctx.Done():
			return a.ctx.Err()
		}
	}
}
