package plugin_sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"mortise.test/sdk/proto/eventspb"
)

// Direction is how far an event goes.
type Direction int32

const (
	// DirLocal stays where it is published.
	DirLocal Direction = 0
	// DirUp goes to the control plane too.
	DirUp Direction = 1
	// DirDown goes to the gateways too.
	DirDown Direction = 2
)

// Event is what was published.
type Event struct {
	ID      string
	Topic   string
	Origin  string
	Dir     Direction
	Payload json.RawMessage
}

// EventHandler is told of events, one after the other.
type EventHandler func(Event)

// EventService publishes events and tells of them, at most once each.
type EventService interface {
	// Publish sends a value as JSON; bytes and raw JSON go as they are.
	Publish(ctx context.Context, topic string, payload any, dir Direction) error
	// Subscribe tells of the events of a topic until Unsubscribe or the plugin's end. Where it returns without error, no
	// event published from then on is missed, unless the handler is too slow.
	Subscribe(topic string, handler EventHandler) (string, error)
	SubscribeAll(handler EventHandler) (string, error)
	Unsubscribe(subscriptionID string) error
}

// How long a subscription may take to stand.
const subscribing = 30 * time.Second

// The pause before a subscription that broke is made again.
const subscribeAgain = time.Second

type events struct {
	link *link
	lock sync.Mutex
	next int
	ends map[string]context.CancelFunc
}

func newEvents(link *link) *events {
	return &events{link: link, ends: map[string]context.CancelFunc{}}
}

func (e *events) Publish(ctx context.Context, topic string, payload any, dir Direction) error {
	data, err := encoded(payload)
	if err != nil {
		return err
	}
	connection, err := e.link.connect(ctx)
	if err != nil {
		return err
	}
	request := &eventspb.PublishRequest{Topic: topic, Payload: data, Direction: int32(dir), PluginId: e.plugin()}
	answer, err := eventspb.NewPluginEventServiceClient(connection).Publish(ctx, request)
	if err == nil && !answer.GetSuccess() {
		err = errors.New(answer.GetErrorMessage())
	}
	return err
}

func encoded(payload any) ([]byte, error) {
	switch payload := payload.(type) {
	case nil:
		return nil, nil
	case []byte:
		return payload, nil
	case json.RawMessage:
		return payload, nil
	}
	return json.Marshal(payload)
}

func (e *events) plugin() string {
	_, _, plugin := e.link.known()
	return fmt.Sprint(plugin)
}

func (e *events) Subscribe(topic string, handler EventHandler) (string, error) {
	if topic == "" {
		return "", errors.New("a topic is needed")
	}
	return e.subscribe(&eventspb.SubscribeRequest{Topic: topic}, handler)
}

func (e *events) SubscribeAll(handler EventHandler) (string, error) {
	return e.subscribe(&eventspb.SubscribeRequest{SubscribeAll: true}, handler)
}

func (e *events) subscribe(request *eventspb.SubscribeRequest, handler EventHandler) (string, error) {
	request.PluginId = e.plugin()
	ctx, end := context.WithCancel(context.Background())
	// Until it stands, it has a limit; afterwards it has none.
	limit := time.AfterFunc(subscribing, end)
	stream, err := e.open(ctx, request)
	if err == nil && !limit.Stop() {
		err = context.DeadlineExceeded
	}
	if err != nil {
		limit.Stop()
		end()
		return "", fmt.Errorf("subscribing to events: %w", err)
	}
	e.lock.Lock()
	e.next++
	id := fmt.Sprintf("subscription-%d", e.next)
	e.ends[id] = end
	e.lock.Unlock()
	go e.tell(ctx, request, stream, handler)
	return id, nil
}

type eventStream interface {
	Recv() (*eventspb.EventMessage, error)
}

// open gives a stream of events once it stands, which it does when it is answered with headers.
func (e *events) open(ctx context.Context, request *eventspb.SubscribeRequest) (eventStream, error) {
	connection, err := e.link.connect(ctx)
	if err != nil {
		return nil, err
	}
	stream, err := eventspb.NewPluginEventServiceClient(connection).Subscribe(ctx, request)
	if err != nil {
		return nil, err
	}
	if _, err := stream.Header(); err != nil {
		return nil, err
	}
	return stream, nil
}

// tell hands events on, and subscribes again where the stream breaks before its end.
func (e *events) tell(ctx context.Context, request *eventspb.SubscribeRequest, stream eventStream, handler EventHandler) {
	for {
		for stream != nil {
			message, err := stream.Recv()
			if err != nil {
				break
			}
			hand(handler, message)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(subscribeAgain):
		}
		stream, _ = e.open(ctx, request)
	}
}

func hand(handler EventHandler, message *eventspb.EventMessage) {
	defer func() {
		if cause := recover(); cause != nil {
			fmt.Fprintf(os.Stderr, "[ERROR] a handler of events panicked: %v\n", cause)
		}
	}()
	handler(Event{
		ID:      message.GetId(),
		Topic:   message.GetTopic(),
		Origin:  message.GetOrigin(),
		Dir:     Direction(message.GetDirection()),
		Payload: message.GetPayload(),
	})
}

func (e *events) Unsubscribe(subscriptionID string) error {
	e.lock.Lock()
	defer e.lock.Unlock()
	end, known := e.ends[subscriptionID]
	if !known {
		return fmt.Errorf("there is no subscription %q", subscriptionID)
	}
	delete(e.ends, subscriptionID)
	end()
	return nil
}

func (e *events) close() {
	e.lock.Lock()
	defer e.lock.Unlock()
	for id, end := range e.ends {
		delete(e.ends, id)
		end()
	}
}
