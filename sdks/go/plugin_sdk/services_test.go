package plugin_sdk

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mortise.test/sdk/proto/eventspb"
	"mortise.test/sdk/proto/managementpb"
)

// A gateway's services, as far as these tests ask for them.
type host struct {
	managementpb.UnimplementedMicrogatewayManagementServiceServer
	eventspb.UnimplementedPluginEventServiceServer
	lock   sync.Mutex
	values map[string][]byte
	about  *managementpb.PluginContext
	events chan *eventspb.EventMessage
}

func (h *host) WritePluginKV(_ context.Context, req *managementpb.WritePluginKVRequest) (*managementpb.WritePluginKVResponse, error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.about = req.GetContext()
	_, known := h.values[req.GetKey()]
	h.values[req.GetKey()] = req.GetValue()
	return &managementpb.WritePluginKVResponse{Created: !known}, nil
}

func (h *host) ReadPluginKV(_ context.Context, req *managementpb.ReadPluginKVRequest) (*managementpb.ReadPluginKVResponse, error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	value, known := h.values[req.GetKey()]
	if !known {
		return nil, status.Error(codes.NotFound, "key not found")
	}
	return &managementpb.ReadPluginKVResponse{Value: value}, nil
}

func (h *host) QueueControlPayload(context.Context, *managementpb.QueueControlPayloadRequest) (*managementpb.QueueControlPayloadResponse, error) {
	return &managementpb.QueueControlPayloadResponse{ErrorMessage: "the queue is full", PendingCount: 3}, nil
}

func (h *host) Publish(_ context.Context, req *eventspb.PublishRequest) (*eventspb.PublishResponse, error) {
	h.events <- &eventspb.EventMessage{Topic: req.GetTopic(), Payload: req.GetPayload(), Direction: req.GetDirection()}
	return &eventspb.PublishResponse{Success: true}, nil
}

func (h *host) Subscribe(_ *eventspb.SubscribeRequest, stream grpc.ServerStreamingServer[eventspb.EventMessage]) error {
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		select {
		case event := <-h.events:
			if err := stream.Send(event); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

func linked(t *testing.T, runtime RuntimeType) (*host, *services, *int) {
	h := &host{values: map[string][]byte{}, events: make(chan *eventspb.EventMessage, 8)}
	server := grpc.NewServer()
	managementpb.RegisterMicrogatewayManagementServiceServer(server, h)
	eventspb.RegisterPluginEventServiceServer(server, h)
	connection := connect(t, server)
	dials := 0
	link := &link{runtime: runtime, dial: func(uint32) (*grpc.ClientConn, error) {
		dials++
		if dials == 1 {
			return nil, context.DeadlineExceeded
		}
		return connection, nil
	}}
	link.know(1, 42)
	return h, newServices(link), &dials
}

func TestValuesAreKeptByTheGatewayOverOneConnection(t *testing.T) {
	ctx := t.Context()
	h, services, dials := linked(t, RuntimeGateway)
	created, err := services.KV().Write(ctx, "colour", []byte("blue"), nil)
	must(t, err == nil && created, created, err)
	created, err = services.KV().WriteWithTTL(ctx, "colour", []byte("red"), time.Minute)
	must(t, err == nil && !created, created, err)
	value, err := services.KV().Read(ctx, "colour")
	must(t, err == nil && string(value) == "red", value, err)
	_, err = services.KV().Read(ctx, "nothing")
	must(t, status.Code(err) == codes.NotFound, err)
	must(t, *dials == 2, "the first dial failed, the second is kept", *dials)
	must(t, h.about.GetPluginId() == 42 && h.about.GetMethodScope() == "kv.readwrite", h.about)
}

func TestErrorInAnAnswerIsAnError(t *testing.T) {
	_, services, _ := linked(t, RuntimeGateway)
	pending, err := services.Gateway().SendToControlJSON(t.Context(), map[string]int{"a": 1}, "c1", nil)
	must(t, err != nil && err.Error() == "the queue is full" && pending == 3, pending, err)
	_, err = services.Gateway().GetApp(t.Context(), 1)
	must(t, status.Code(err) == codes.Unimplemented, err)
}

func TestGatewayServicesAreNoneOfAControlPlane(t *testing.T) {
	_, services, dials := linked(t, RuntimeStudio)
	_, err := services.Gateway().GetApp(t.Context(), 1)
	must(t, err != nil && *dials == 0, err)
}

func TestEventsComeUntilTheyAreUnsubscribed(t *testing.T) {
	_, services, _ := linked(t, RuntimeGateway)
	got := make(chan Event, 1)
	id, err := services.Events().Subscribe("greetings", func(event Event) {
		got <- event
		panic("a handler's panic is not the end of its subscription")
	})
	must(t, err == nil, err)
	for range 2 {
		err = services.Events().Publish(t.Context(), "greetings", map[string]string{"hello": "you"}, DirUp)
		must(t, err == nil, err)
		event := <-got
		must(t, event.Topic == "greetings" && event.Dir == DirUp && string(event.Payload) == `{"hello":"you"}`, event)
	}
	must(t, services.Events().Unsubscribe(id) == nil, id)
	must(t, services.Events().Unsubscribe(id) != nil, id)
}
