package plugin_sdk

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "mortise.test/sdk/proto"
)

// What only a control plane asks for. A gateway calls none of it, so a plugin that has both kinds runs in both.

func (s *server) GetAsset(_ context.Context, req *pb.GetAssetRequest) (*pb.GetAssetResponse, error) {
	handler, has := s.plugin.(UIProvider)
	if !has {
		return &pb.GetAssetResponse{ErrorMessage: "the plugin has no pages"}, nil
	}
	content, mime, err := handler.GetAsset(req.GetAssetPath())
	if err != nil {
		return &pb.GetAssetResponse{ErrorMessage: err.Error()}, nil
	}
	return &pb.GetAssetResponse{Success: true, Content: content, MimeType: mime, ContentLength: int64(len(content))}, nil
}

func (s *server) ListAssets(_ context.Context, req *pb.ListAssetsRequest) (*pb.ListAssetsResponse, error) {
	handler, has := s.plugin.(UIProvider)
	if !has {
		return &pb.ListAssetsResponse{ErrorMessage: "the plugin has no pages"}, nil
	}
	assets, err := handler.ListAssets(req.GetPathPrefix())
	if err != nil {
		return &pb.ListAssetsResponse{ErrorMessage: err.Error()}, nil
	}
	return &pb.ListAssetsResponse{Success: true, Assets: assets}, nil
}

func (s *server) Call(_ context.Context, req *pb.CallRequest) (*pb.CallResponse, error) {
	s.link.know(req.GetServiceBrokerId(), 0)
	handler, has := s.plugin.(UIProvider)
	if !has {
		return &pb.CallResponse{ErrorMessage: "the plugin has no pages"}, nil
	}
	data, err := handler.HandleRPC(req.GetMethod(), []byte(req.GetPayload()))
	if err != nil {
		return &pb.CallResponse{ErrorMessage: err.Error()}, nil
	}
	return &pb.CallResponse{Success: true, Data: text(data)}, nil
}

func (s *server) PortalCall(_ context.Context, req *pb.PortalCallRequest) (*pb.PortalCallResponse, error) {
	s.link.know(req.GetServiceBrokerId(), 0)
	handler, has := s.plugin.(PortalUIProvider)
	if !has {
		return &pb.PortalCallResponse{ErrorMessage: "the plugin has no pages in the portal"}, nil
	}
	data, err := handler.HandlePortalRPC(req.GetMethod(), []byte(req.GetPayload()), req.GetUserContext())
	if err != nil {
		return &pb.PortalCallResponse{ErrorMessage: err.Error()}, nil
	}
	return &pb.PortalCallResponse{Success: true, Data: text(data)}, nil
}

func (s *server) HandleAgentMessage(req *pb.AgentMessageRequest, stream grpc.ServerStreamingServer[pb.AgentMessageChunk]) error {
	s.link.know(req.GetServiceBrokerId(), 0)
	handler, has := s.plugin.(AgentPlugin)
	if !has {
		return status.Error(codes.Unimplemented, "the plugin is no agent")
	}
	return handler.HandleAgentMessage(req, stream)
}

func (s *server) GetObjectHookRegistrations(context.Context, *pb.GetObjectHookRegistrationsRequest) (*pb.GetObjectHookRegistrationsResponse, error) {
	handler, has := s.plugin.(ObjectHookHandler)
	if !has {
		return &pb.GetObjectHookRegistrationsResponse{}, nil
	}
	registrations, err := handler.GetObjectHookRegistrations()
	return &pb.GetObjectHookRegistrationsResponse{Registrations: registrations}, err
}

// An answer of nothing would refuse, so a plugin that says nothing allows.
func (s *server) HandleObjectHook(ctx context.Context, req *pb.ObjectHookRequest) (*pb.ObjectHookResponse, error) {
	handler, has := s.plugin.(ObjectHookHandler)
	if !has {
		return &pb.ObjectHookResponse{AllowOperation: true}, nil
	}
	answer, err := handler.HandleObjectHook(s.context(ctx, req.GetContext()), req)
	if answer == nil && err == nil {
		answer = &pb.ObjectHookResponse{AllowOperation: true}
	}
	return answer, err
}

func (s *server) ExecuteScheduledTask(ctx context.Context, req *pb.ExecuteScheduledTaskRequest) (*pb.ExecuteScheduledTaskResponse, error) {
	s.link.know(req.GetServiceBrokerId(), 0)
	handler, has := s.plugin.(SchedulerPlugin)
	if !has {
		return nil, status.Error(codes.Unimplemented, "the plugin has no schedules")
	}
	if err := handler.ExecuteScheduledTask(s.context(ctx, req.GetContext()), req.GetSchedule()); err != nil {
		return &pb.ExecuteScheduledTaskResponse{ErrorMessage: err.Error()}, nil
	}
	return &pb.ExecuteScheduledTaskResponse{Success: true}, nil
}

func (s *server) AcceptEdgePayload(ctx context.Context, req *pb.EdgePayloadRequest) (*pb.EdgePayloadResponse, error) {
	s.link.know(req.GetServiceBrokerId(), 0)
	handler, has := s.plugin.(EdgePayloadReceiver)
	if !has {
		return &pb.EdgePayloadResponse{}, nil
	}
	handled, err := handler.AcceptEdgePayload(s.context(ctx, req.GetContext()), req)
	if err != nil {
		return &pb.EdgePayloadResponse{Handled: handled, ErrorMessage: err.Error()}, nil
	}
	return &pb.EdgePayloadResponse{Success: true, Handled: handled}, nil
}

func (s *server) GetResourceTypeRegistrations(context.Context, *pb.GetResourceTypeRegistrationsRequest) (*pb.GetResourceTypeRegistrationsResponse, error) {
	return &pb.GetResourceTypeRegistrationsResponse{}, nil
}

func (s *server) ValidateResourceSelection(context.Context, *pb.ValidateResourceSelectionRequest) (*pb.ValidateResourceSelectionResponse, error) {
	return &pb.ValidateResourceSelectionResponse{Valid: true}, nil
}

// Texts in messages must be UTF-8, or nothing is sent at all.
func text(data []byte) string {
	return strings.ToValidUTF8(string(data), "\uFFFD")
}
