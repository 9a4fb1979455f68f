package plugin_sdk

import (
	"google.golang.org/grpc"

	pb "mortise.test/sdk/proto"
)

// Words by which a manifest says what a plugin can do.
const (
	HookTypePreAuth        = "pre_auth"
	HookTypeAuth           = "auth"
	HookTypePostAuth       = "post_auth"
	HookTypeOnResponse     = "on_response"
	HookTypeDataCollection = "data_collection"
	HookTypeCustomEndpoint = "custom_endpoint"
	HookTypeStudioUI       = "studio_ui"
	HookTypePortalUI       = "portal_ui"
	HookTypeAgent          = "agent"
	HookTypeObjectHooks    = "object_hooks"
)

// Plugin is what every plugin is. [BasePlugin] implements it for those that embed it.
type Plugin interface {
	GetInfo() PluginInfo
	// Initialize is called once, before anything else, with every key of the plugin's configuration as text. An error
	// ends the start: the plugin is then not available.
	Initialize(ctx Context, config map[string]string) error
	// Shutdown is called once, after the last call.
	Shutdown(ctx Context) error
}

// PluginInfo says what a plugin is called.
type PluginInfo struct {
	Name        string
	Version     string
	Description string
}

// BasePlugin implements [Plugin] with an Initialize and a Shutdown that do nothing.
type BasePlugin struct {
	info PluginInfo
}

// NewBasePlugin is a BasePlugin of this name, version and description.
func NewBasePlugin(name, version, description string) BasePlugin {
	return BasePlugin{info: PluginInfo{Name: name, Version: version, Description: description}}
}

func (b BasePlugin) GetInfo() PluginInfo                         { return b.info }
func (b BasePlugin) Initialize(Context, map[string]string) error { return nil }
func (b BasePlugin) Shutdown(Context) error                      { return nil }

// PreAuthHandler looks at requests before they are authenticated.
//
// An answer with Block refuses the request with StatusCode (403 unless set), Headers and Body; one with Modified sets
// its Headers on the request. Nil passes.
type PreAuthHandler interface {
	Plugin
	HandlePreAuth(ctx Context, req *pb.PluginRequest) (*pb.PluginResponse, error)
}

// AuthHandler says who makes a request.
type AuthHandler interface {
	Plugin
	HandleAuth(ctx Context, req *pb.AuthRequest) (*pb.AuthResponse, error)
	GetAppByCredential(ctx Context, credential string) (*pb.App, error)
	GetUserByCredential(ctx Context, credential string) (*pb.User, error)
}

// PostAuthHandler looks at requests to models once it is known who makes them. As [PreAuthHandler], and a Body that is
// not empty replaces the request's.
type PostAuthHandler interface {
	Plugin
	HandlePostAuth(ctx Context, req *pb.EnrichedRequest) (*pb.PluginResponse, error)
}

// ResponseHandler looks at what models answer. With Modified, headers and body are replaced, an empty body too.
type ResponseHandler interface {
	Plugin
	OnBeforeWriteHeaders(ctx Context, req *pb.HeadersRequest) (*pb.HeadersResponse, error)
	OnBeforeWrite(ctx Context, req *pb.ResponseWriteRequest) (*pb.ResponseWriteResponse, error)
}

// StreamCompleteHandler is shown answers that came as a stream, once they are over.
type StreamCompleteHandler interface {
	Plugin
	OnStreamComplete(ctx Context, req *pb.StreamCompleteRequest) (*pb.StreamCompleteResponse, error)
}

// DataCollector is told what has happened.
type DataCollector interface {
	Plugin
	HandleProxyLog(ctx Context, req *pb.ProxyLogRequest) (*pb.DataCollectionResponse, error)
	HandleAnalytics(ctx Context, req *pb.AnalyticsRequest) (*pb.DataCollectionResponse, error)
	HandleBudgetUsage(ctx Context, req *pb.BudgetUsageRequest) (*pb.DataCollectionResponse, error)
}

// CustomEndpointHandler serves HTTP under /plugins/SLUG/, where SLUG is the key `slug` of its configuration.
//
// An error of HandleEndpointRequest is answered with 502. A stream is HEADERS, any number of BODY, then DONE; or ERROR.
type CustomEndpointHandler interface {
	Plugin
	GetEndpointRegistrations() ([]*pb.EndpointRegistration, error)
	HandleEndpointRequest(ctx Context, req *pb.EndpointRequest) (*pb.EndpointResponse, error)
	HandleEndpointRequestStream(ctx Context, req *pb.EndpointRequest, stream grpc.ServerStreamingServer[pb.EndpointResponseChunk]) error
}

// ConfigProvider describes its configuration by a JSON Schema.
type ConfigProvider interface {
	Plugin
	GetConfigSchema() ([]byte, error)
}

// ManifestProvider says what it can do and what it may ask, as JSON. It is asked before Initialize.
type ManifestProvider interface {
	Plugin
	GetManifest() ([]byte, error)
}

// SessionAware is told when the way back to the gateway stands, and before it ends.
type SessionAware interface {
	OnSessionReady(ctx Context)
	OnSessionClosing(ctx Context)
}

// ObjectHookHandler looks at objects of the control plane before and after they are stored. An answer without
// AllowOperation refuses.
type ObjectHookHandler interface {
	Plugin
	GetObjectHookRegistrations() ([]*pb.ObjectHookRegistration, error)
	HandleObjectHook(ctx Context, req *pb.ObjectHookRequest) (*pb.ObjectHookResponse, error)
}

// UIProvider brings pages into the control plane, and answers their calls.
type UIProvider interface {
	Plugin
	// GetAsset gives a file and its media type.
	GetAsset(path string) ([]byte, string, error)
	ListAssets(prefix string) ([]*pb.AssetInfo, error)
	GetManifest() ([]byte, error)
	HandleRPC(method string, payload []byte) ([]byte, error)
}

// PortalUIProvider answers calls of its pages in the portal.
type PortalUIProvider interface {
	Plugin
	HandlePortalRPC(method string, payload []byte, user *pb.PortalUserContext) ([]byte, error)
}

// AgentPlugin answers what people say to it.
type AgentPlugin interface {
	Plugin
	HandleAgentMessage(req *pb.AgentMessageRequest, stream grpc.ServerStreamingServer[pb.AgentMessageChunk]) error
}

// SchedulerPlugin does what its manifest's schedules ask for.
type SchedulerPlugin interface {
	Plugin
	ExecuteScheduledTask(ctx Context, schedule *pb.ScheduleDefinition) error
}

// EdgePayloadReceiver takes what its instances at gateways sent to the control plane.
type EdgePayloadReceiver interface {
	Plugin
	AcceptEdgePayload(ctx Context, payload *pb.EdgePayloadRequest) (handled bool, err error)
}
