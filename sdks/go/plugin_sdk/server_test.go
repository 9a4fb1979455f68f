package plugin_sdk

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pb "mortise.test/sdk/proto"
	"mortise.test/sdk/proto/configpb"
)

// serve gives a connection to a plugin, as a gateway has one.
func serve(t *testing.T, plugin Plugin, dial func(uint32) (*grpc.ClientConn, error)) *grpc.ClientConn {
	t.Helper()
	server := newGRPCServer(nil)
	pb.RegisterPluginServiceServer(server, newServer(plugin, RuntimeGateway, dial))
	configpb.RegisterConfigProviderServiceServer(server, &describer{plugin: plugin})
	return connect(t, server)
}

func connect(t *testing.T, server *grpc.Server) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

type plain struct{ BasePlugin }

func TestWhatAPluginDoesNotImplementIsAnsweredForIt(t *testing.T) {
	ctx := t.Context()
	connection := serve(t, &plain{NewBasePlugin("plain", "1.0.0", "")}, nil)
	plugin, config := pb.NewPluginServiceClient(connection), configpb.NewConfigProviderServiceClient(connection)

	started, err := plugin.Initialize(ctx, &pb.InitRequest{})
	must(t, err == nil && started.GetSuccess(), started, err)
	alive, err := plugin.Ping(ctx, &pb.PingRequest{Timestamp: 7})
	must(t, err == nil && alive.GetHealthy() && alive.GetTimestamp() == 7, alive, err)
	passed, err := plugin.ProcessPreAuth(ctx, &pb.PluginRequest{})
	must(t, err == nil && !passed.GetModified() && !passed.GetBlock(), passed, err)
	known, err := plugin.Authenticate(ctx, &pb.AuthRequest{})
	must(t, err == nil && !known.GetAuthenticated() && known.GetErrorMessage() != "", known, err)
	object, err := plugin.HandleObjectHook(ctx, &pb.ObjectHookRequest{})
	must(t, err == nil && object.GetAllowOperation(), object, err)
	collected, err := plugin.HandleAnalytics(ctx, &pb.AnalyticsRequest{})
	must(t, err == nil && collected.GetSuccess() && !collected.GetHandled(), collected, err)
	endpoint, err := plugin.HandleEndpointRequest(ctx, &pb.EndpointRequest{})
	must(t, err == nil && endpoint.GetStatusCode() == 501, endpoint, err)
	stream, err := plugin.HandleEndpointRequestStream(ctx, &pb.EndpointRequest{})
	must(t, err == nil, err)
	_, err = stream.Recv()
	must(t, status.Code(err) == codes.Unimplemented, err)
	none, err := plugin.GetManifest(ctx, &pb.GetManifestRequest{})
	must(t, err == nil && !none.GetSuccess(), none, err)
	empty, err := config.GetManifest(ctx, &configpb.GetManifestRequest{})
	must(t, err == nil && empty.GetSuccess() && empty.GetManifestJson() == "{}", empty, err)
	schema, err := config.GetConfigSchema(ctx, &configpb.ConfigSchemaRequest{})
	must(t, err == nil && schema.GetSchemaJson() == "{}", schema, err)
}

type troubled struct{ BasePlugin }

func (troubled) Initialize(Context, map[string]string) error { return errors.New("no licence") }
func (troubled) HandlePreAuth(_ Context, req *pb.PluginRequest) (*pb.PluginResponse, error) {
	switch req.GetPath() {
	case "/panic":
		panic("on demand")
	case "/nothing":
		return nil, nil
	}
	return nil, errors.New("out of order")
}
func (troubled) HandleProxyLog(Context, *pb.ProxyLogRequest) (*pb.DataCollectionResponse, error) {
	return nil, errors.New("the disk is full")
}
func (troubled) HandleAnalytics(Context, *pb.AnalyticsRequest) (*pb.DataCollectionResponse, error) {
	return nil, nil
}
func (troubled) HandleBudgetUsage(Context, *pb.BudgetUsageRequest) (*pb.DataCollectionResponse, error) {
	return nil, nil
}

func TestErrorsAndPanicsAreThoseOfOneCall(t *testing.T) {
	ctx := t.Context()
	plugin := pb.NewPluginServiceClient(serve(t, &troubled{}, nil))

	refused, err := plugin.Initialize(ctx, &pb.InitRequest{})
	must(t, err == nil && !refused.GetSuccess() && refused.GetErrorMessage() == "no licence", refused, err)
	_, err = plugin.ProcessPreAuth(ctx, &pb.PluginRequest{Path: "/panic"})
	must(t, status.Code(err) == codes.Internal && strings.Contains(err.Error(), "on demand"), err)
	_, err = plugin.ProcessPreAuth(ctx, &pb.PluginRequest{Path: "/"})
	must(t, err != nil && strings.Contains(err.Error(), "out of order"), err)
	nothing, err := plugin.ProcessPreAuth(ctx, &pb.PluginRequest{Path: "/nothing"})
	must(t, err == nil && !nothing.GetBlock(), nothing, err)
	failed, err := plugin.HandleProxyLog(ctx, &pb.ProxyLogRequest{})
	must(t, err == nil && !failed.GetSuccess() && failed.GetErrorMessage() == "the disk is full", failed, err)
	handled, err := plugin.HandleAnalytics(ctx, &pb.AnalyticsRequest{})
	must(t, err == nil && handled.GetSuccess() && handled.GetHandled(), handled, err)
}

type told struct {
	BasePlugin
	seen  Context
	ready chan struct{}
	ended chan struct{}
}

func (p *told) HandlePostAuth(ctx Context, _ *pb.EnrichedRequest) (*pb.PluginResponse, error) {
	p.seen = ctx
	return nil, nil
}
func (p *told) OnSessionReady(Context)   { close(p.ready) }
func (p *told) OnSessionClosing(Context) { close(p.ended) }

func TestContextTellsOfTheRequest(t *testing.T) {
	plugin := &told{}
	client := pb.NewPluginServiceClient(serve(t, plugin, nil))
	about := &pb.PluginContext{
		RequestId: "r1", AppId: 7, UserId: 8, LlmId: 9, LlmSlug: "gpt", Vendor: "openai",
		Metadata: map[string]string{"edge_id": "e1", "edge_namespace": "eu"},
	}
	_, err := client.ProcessPostAuth(t.Context(), &pb.EnrichedRequest{Request: &pb.PluginRequest{Context: about}})
	must(t, err == nil, err)
	seen := plugin.seen
	must(t, seen.RequestID == "r1" && seen.AppID == 7 && seen.UserID == 8 && seen.LLMID == 9, seen)
	must(t, seen.LLMSlug == "gpt" && seen.Vendor == "openai" && seen.EdgeID == "e1" && seen.EdgeNamespace == "eu", seen)
	must(t, seen.Runtime == RuntimeGateway, seen.Runtime)
	_, err = seen.Services.KV().Read(t.Context(), "k")
	must(t, err != nil && strings.Contains(err.Error(), "no services"), err)
}

func TestSessionLastsUntilItIsClosedOrOver(t *testing.T) {
	ctx := t.Context()
	plugin := &told{ready: make(chan struct{}), ended: make(chan struct{})}
	client := pb.NewPluginServiceClient(serve(t, plugin, nil))

	over, err := client.OpenSession(ctx, &pb.OpenSessionRequest{ServiceBrokerId: 1, PluginId: 3, TimeoutMs: 1})
	must(t, err == nil && over.GetCloseReason() == pb.OpenSessionResponse_TIMEOUT, over, err)
	must(t, over.GetSessionId() == "session-3-1", over)

	answers := make(chan *pb.OpenSessionResponse, 1)
	go func() {
		answer, _ := client.OpenSession(ctx, &pb.OpenSessionRequest{TimeoutMs: 60_000})
		answers <- answer
	}()
	<-plugin.ready
	_, err = client.CloseSession(ctx, &pb.CloseSessionRequest{Reason: "unload"})
	must(t, err == nil, err)
	<-plugin.ended
	select {
	case answer := <-answers:
		must(t, answer.GetCloseReason() == pb.OpenSessionResponse_EXPLICIT_CLOSE, answer)
	case <-time.After(10 * time.Second):
		t.Fatal("the session was not closed")
	}
}

func TestRuntimeIsToldByTheFirstVariableThatSaysIt(t *testing.T) {
	for _, one := range []struct {
		given  map[string]string
		expect RuntimeType
	}{
		{map[string]string{"PLUGIN_RUNTIME": "gateway"}, RuntimeGateway},
		{map[string]string{"PLUGIN_RUNTIME": "studio", "GATEWAY_MODE": "edge"}, RuntimeStudio},
		{map[string]string{"GATEWAY_MODE": "edge"}, RuntimeGateway},
		{map[string]string{"GATEWAY_MODE": "standalone_gateway"}, RuntimeGateway},
		{map[string]string{"MICROGATEWAY_MODE": "standalone"}, RuntimeGateway},
		{nil, RuntimeStudio},
	} {
		got := detectRuntime(func(name string) string { return one.given[name] })
		must(t, got == one.expect, one.given, got)
	}
}

func TestLogLineIsOneLineWithItsFields(t *testing.T) {
	line := logLine("INFO", 7, "received\nforged", []any{"event", "payment", "size", 12, "odd"})
	must(t, line == `[INFO] [Plugin 7] received\nforged event=payment size=12 odd`, line)
}

func must(t *testing.T, holds bool, about ...any) {
	t.Helper()
	if !holds {
		t.Fatal(about...)
	}
}
