package plugin_sdk

import (
	"context"
	"os"

	pb "mortise.test/sdk/proto"
)

// RuntimeType is where a plugin runs.
type RuntimeType string

const (
	RuntimeStudio  RuntimeType = "studio"
	RuntimeGateway RuntimeType = "gateway"
)

// DetectRuntime says where this process runs, by the variables it was started with.
func DetectRuntime() RuntimeType {
	return detectRuntime(os.Getenv)
}

func detectRuntime(get func(string) string) RuntimeType {
	switch RuntimeType(get("PLUGIN_RUNTIME")) {
	case RuntimeGateway:
		return RuntimeGateway
	case RuntimeStudio:
		return RuntimeStudio
	}
	switch get("GATEWAY_MODE") {
	case "edge", "standalone_gateway":
		return RuntimeGateway
	}
	if get("MICROGATEWAY_MODE") == "standalone" {
		return RuntimeGateway
	}
	return RuntimeStudio
}

// Context is what is known of a call beside its payload. It ends when nobody waits for the call's answer any more.
type Context struct {
	context.Context
	Runtime       RuntimeType
	RequestID     string
	AppID         uint32
	UserID        uint32
	LLMID         uint32
	LLMSlug       string
	Vendor        string
	Metadata      map[string]string
	TraceContext  map[string]string
	EdgeID        string
	EdgeNamespace string
	// Services are what the plugin may ask of its host, at any time and from any goroutine.
	Services ServiceBroker
}

func (s *server) context(ctx context.Context, about *pb.PluginContext) Context {
	metadata := about.GetMetadata()
	return Context{
		Context:       ctx,
		Runtime:       s.runtime,
		RequestID:     about.GetRequestId(),
		AppID:         about.GetAppId(),
		UserID:        about.GetUserId(),
		LLMID:         about.GetLlmId(),
		LLMSlug:       about.GetLlmSlug(),
		Vendor:        about.GetVendor(),
		Metadata:      metadata,
		TraceContext:  about.GetTraceContext(),
		EdgeID:        metadata["edge_id"],
		EdgeNamespace: metadata["edge_namespace"],
		Services:      s.services,
	}
}
