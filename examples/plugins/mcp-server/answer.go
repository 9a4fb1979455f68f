package main

import (
	"encoding/json"
	"fmt"

	"google.golang.org/grpc"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

// answer is where the answer to one request goes.
type answer struct {
	ctx plugin_sdk.Context
	out grpc.ServerStreamingServer[pb.EndpointResponseChunk]
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

func (a answer) empty(status int32, headers map[string]string) error {
	if err := a.head(status, headers); err != nil {
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
	for name, value := range headers {
		told[name] = value
	}
	if err := a.head(status, told); err != nil {
		return err
	}
	if err := a.body(data); err != nil {
		return err
	}
	return a.done()
}

// follow tells a stream from there on, as events that can be asked for again, until it is over or the client leaves.
func (a answer) follow(session *session, stream *stream, next int) error {
	headers := map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
	if err := a.head(200, headers); err != nil {
		return err
	}
	for {
		said, over, more := stream.from(next)
		for _, data := range said {
			event := fmt.Appendf(nil, "id: %d-%d\ndata: %s\n\n", stream.number, next, data)
			if err := a.body(event); err != nil {
				return err
			}
			next++
		}
		if over {
			return a.done()
		}
		select {
		case <-more:
		case <-session.ended:
			return a.done()
		case <-a.ctx.Done():
			return a.ctx.Err()
		}
	}
}
