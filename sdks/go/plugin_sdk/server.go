package plugin_sdk

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "mortise.test/sdk/proto"
)

// server answers the gateway's calls: by the plugin where it implements what is asked for, else for it.
//
// Resource types are answered with what the generated server says: that there are none.
type server struct {
	pb.UnimplementedPluginServiceServer
	plugin   Plugin
	runtime  RuntimeType
	link     *link
	services *services
	sessions sessions
}

func newServer(plugin Plugin, runtime RuntimeType, dial func(id uint32) (*grpc.ClientConn, error)) *server {
	link := &link{dial: dial, runtime: runtime}
	return &server{plugin: plugin, runtime: runtime, link: link, services: newServices(link)}
}

func (s *server) Initialize(ctx context.Context, req *pb.InitRequest) (*pb.InitResponse, error) {
	config := req.GetConfig()
	if config == nil {
		config = map[string]string{}
	}
	s.link.know(number(config, "_service_broker_id", "service_broker_id"), number(config, "_plugin_id", "plugin_id"))
	if err := s.plugin.Initialize(s.context(ctx, nil), config); err != nil {
		return &pb.InitResponse{ErrorMessage: err.Error()}, nil
	}
	return &pb.InitResponse{Success: true}, nil
}

// The first of the keys that holds a number.
func number(config map[string]string, keys ...string) uint32 {
	for _, key := range keys {
		if value, err := strconv.ParseUint(config[key], 10, 32); err == nil && value > 0 {
			return uint32(value)
		}
	}
	return 0
}

func (s *server) Ping(_ context.Context, req *pb.PingRequest) (*pb.PingResponse, error) {
	return &pb.PingResponse{Timestamp: req.GetTimestamp(), Healthy: true}, nil
}

func (s *server) Shutdown(ctx context.Context, req *pb.ShutdownRequest) (*pb.ShutdownResponse, error) {
	if seconds := req.GetTimeoutSeconds(); seconds > 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
		defer cancel()
		ctx = limited
	}
	s.services.events.close()
	err := s.plugin.Shutdown(s.context(ctx, nil))
	return &pb.ShutdownResponse{Success: err == nil}, nil
}

func (s *server) ProcessPreAuth(ctx context.Context, req *pb.PluginRequest) (*pb.PluginResponse, error) {
	handler, has := s.plugin.(PreAuthHandler)
	if !has {
		return &pb.PluginResponse{}, nil
	}
	return or(handler.HandlePreAuth(s.context(ctx, req.GetContext()), req))
}

func (s *server) Authenticate(ctx context.Context, req *pb.AuthRequest) (*pb.AuthResponse, error) {
	handler, has := s.plugin.(AuthHandler)
	if !has {
		return &pb.AuthResponse{ErrorMessage: "the plugin does not authenticate"}, nil
	}
	return or(handler.HandleAuth(s.context(ctx, req.GetContext()), req))
}

func (s *server) GetAppByCredential(ctx context.Context, req *pb.GetAppRequest) (*pb.GetAppResponse, error) {
	handler, has := s.plugin.(AuthHandler)
	if !has {
		return &pb.GetAppResponse{ErrorMessage: "the plugin does not authenticate"}, nil
	}
	app, err := handler.GetAppByCredential(s.context(ctx, req.GetContext()), req.GetCredential())
	if err != nil {
		return &pb.GetAppResponse{ErrorMessage: err.Error()}, nil
	}
	return &pb.GetAppResponse{Success: true, App: app}, nil
}

func (s *server) GetUserByCredential(ctx context.Context, req *pb.GetUserRequest) (*pb.GetUserResponse, error) {
	handler, has := s.plugin.(AuthHandler)
	if !has {
		return &pb.GetUserResponse{ErrorMessage: "the plugin does not authenticate"}, nil
	}
	user, err := handler.GetUserByCredential(s.context(ctx, req.GetContext()), req.GetCredential())
	if err != nil {
		return &pb.GetUserResponse{ErrorMessage: err.Error()}, nil
	}
	return &pb.GetUserResponse{Success: true, User: user}, nil
}

func (s *server) ProcessPostAuth(ctx context.Context, req *pb.EnrichedRequest) (*pb.PluginResponse, error) {
	handler, has := s.plugin.(PostAuthHandler)
	if !has {
		return &pb.PluginResponse{}, nil
	}
	return or(handler.HandlePostAuth(s.context(ctx, req.GetRequest().GetContext()), req))
}

func (s *server) OnBeforeWriteHeaders(ctx context.Context, req *pb.HeadersRequest) (*pb.HeadersResponse, error) {
	handler, has := s.plugin.(ResponseHandler)
	if !has {
		return &pb.HeadersResponse{}, nil
	}
	return or(handler.OnBeforeWriteHeaders(s.context(ctx, req.GetContext()), req))
}

func (s *server) OnBeforeWrite(ctx context.Context, req *pb.ResponseWriteRequest) (*pb.ResponseWriteResponse, error) {
	handler, has := s.plugin.(ResponseHandler)
	if !has {
		return &pb.ResponseWriteResponse{}, nil
	}
	return or(handler.OnBeforeWrite(s.context(ctx, req.GetContext()), req))
}

func (s *server) OnStreamComplete(ctx context.Context, req *pb.StreamCompleteRequest) (*pb.StreamCompleteResponse, error) {
	handler, has := s.plugin.(StreamCompleteHandler)
	if !has {
		return &pb.StreamCompleteResponse{}, nil
	}
	return or(handler.OnStreamComplete(s.context(ctx, req.GetContext()), req))
}

func (s *server) HandleProxyLog(ctx context.Context, req *pb.ProxyLogRequest) (*pb.DataCollectionResponse, error) {
	return s.collect(func(handler DataCollector) (*pb.DataCollectionResponse, error) {
		return handler.HandleProxyLog(s.context(ctx, req.GetContext()), req)
	})
}

func (s *server) HandleAnalytics(ctx context.Context, req *pb.AnalyticsRequest) (*pb.DataCollectionResponse, error) {
	return s.collect(func(handler DataCollector) (*pb.DataCollectionResponse, error) {
		return handler.HandleAnalytics(s.context(ctx, req.GetContext()), req)
	})
}

func (s *server) HandleBudgetUsage(ctx context.Context, req *pb.BudgetUsageRequest) (*pb.DataCollectionResponse, error) {
	return s.collect(func(handler DataCollector) (*pb.DataCollectionResponse, error) {
		return handler.HandleBudgetUsage(s.context(ctx, req.GetContext()), req)
	})
}

func (s *server) collect(tell func(DataCollector) (*pb.DataCollectionResponse, error)) (*pb.DataCollectionResponse, error) {
	handler, has := s.plugin.(DataCollector)
	if !has {
		return &pb.DataCollectionResponse{Success: true}, nil
	}
	answer, err := tell(handler)
	switch {
	case err != nil:
		return &pb.DataCollectionResponse{ErrorMessage: err.Error()}, nil
	case answer == nil:
		return &pb.DataCollectionResponse{Success: true, Handled: true}, nil
	}
	return answer, nil
}

func (s *server) GetManifest(context.Context, *pb.GetManifestRequest) (*pb.GetManifestResponse, error) {
	giver, has := s.plugin.(manifestGiver)
	if !has {
		return &pb.GetManifestResponse{ErrorMessage: "the plugin has no manifest"}, nil
	}
	manifest, err := giver.GetManifest()
	if err != nil {
		return &pb.GetManifestResponse{ErrorMessage: err.Error()}, nil
	}
	return &pb.GetManifestResponse{Success: true, ManifestJson: string(manifest)}, nil
}

func (s *server) GetConfigSchema(context.Context, *pb.GetConfigSchemaRequest) (*pb.GetConfigSchemaResponse, error) {
	schema, err := schemaOf(s.plugin)
	if err != nil {
		return &pb.GetConfigSchemaResponse{ErrorMessage: err.Error()}, nil
	}
	return &pb.GetConfigSchemaResponse{Success: true, SchemaJson: schema}, nil
}

func (s *server) GetEndpointRegistrations(context.Context, *pb.GetEndpointRegistrationsRequest) (*pb.GetEndpointRegistrationsResponse, error) {
	handler, has := s.plugin.(CustomEndpointHandler)
	if !has {
		return &pb.GetEndpointRegistrationsResponse{}, nil
	}
	registrations, err := handler.GetEndpointRegistrations()
	return &pb.GetEndpointRegistrationsResponse{Registrations: registrations}, err
}

func (s *server) HandleEndpointRequest(ctx context.Context, req *pb.EndpointRequest) (*pb.EndpointResponse, error) {
	handler, has := s.plugin.(CustomEndpointHandler)
	if !has {
		return &pb.EndpointResponse{StatusCode: 501, ErrorMessage: "the plugin has no endpoints"}, nil
	}
	return or(handler.HandleEndpointRequest(s.context(ctx, req.GetContext()), req))
}

func (s *server) HandleEndpointRequestStream(req *pb.EndpointRequest, stream grpc.ServerStreamingServer[pb.EndpointResponseChunk]) error {
	handler, has := s.plugin.(CustomEndpointHandler)
	if !has {
		return status.Error(codes.Unimplemented, "the plugin has no endpoints")
	}
	return handler.HandleEndpointRequestStream(s.context(stream.Context(), req.GetContext()), req, stream)
}

// A handler that answers nothing and fails with nothing has nothing to say, which is an empty answer.
func or[T any](answer *T, err error) (*T, error) {
	if answer == nil && err == nil {
		answer = new(T)
	}
	return answer, err
}
