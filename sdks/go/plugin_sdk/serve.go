package plugin_sdk

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "mortise.test/sdk/proto"
	"mortise.test/sdk/proto/configpb"
)

// Largest message that is taken from the gateway, in bytes. The library's own bound of 4 MiB is less than what a model
// may be asked.
const maxMessage = 64 << 20

var handshake = goplugin.HandshakeConfig{
	ProtocolVersion:  1,
	MagicCookieKey:   "AI_STUDIO_PLUGIN",
	MagicCookieValue: "v1",
}

// Serve serves a plugin to the gateway that started this process, and returns when that ends it. Started by hand, the
// process says what it is and ends with status 1.
func Serve(plugin Plugin) {
	info := plugin.GetInfo()
	fmt.Fprintf(os.Stderr, "[INFO] Starting plugin %s %s\n", info.Name, info.Version)
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         goplugin.PluginSet{"plugin": &dispenser{plugin: plugin}},
		GRPCServer:      newGRPCServer,
	})
}

func newGRPCServer(options []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(options,
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
		grpc.ChainUnaryInterceptor(recoverUnary),
		grpc.ChainStreamInterceptor(recoverStream),
	)...)
}

// Register adds a plugin's services to a server of your own: one that runs elsewhere (`grpc://`), or a test's. dial
// connects to the gateway's services of that number; nil where there are none.
func Register(server grpc.ServiceRegistrar, plugin Plugin, dial func(id uint32) (*grpc.ClientConn, error)) {
	served := newServer(plugin, DetectRuntime(), dial)
	pb.RegisterPluginServiceServer(server, served)
	configpb.RegisterConfigProviderServiceServer(server, &describer{plugin: plugin})
}

type dispenser struct {
	goplugin.NetRPCUnsupportedPlugin
	plugin Plugin
}

func (d *dispenser) GRPCServer(broker *goplugin.GRPCBroker, server *grpc.Server) error {
	Register(server, d.plugin, broker.Dial)
	return nil
}

func (*dispenser) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("this is a plugin and no host")
}

// A panic is an error of its call, and not the end of all others.
func recovered(method string, err *error) {
	if cause := recover(); cause != nil {
		fmt.Fprintf(os.Stderr, "[ERROR] %s panicked: %v\n%s", method, cause, debug.Stack())
		*err = status.Errorf(codes.Internal, "the plugin panicked: %v", cause)
	}
}

func recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	defer recovered(info.FullMethod, &err)
	return handler(ctx, req)
}

func recoverStream(served any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer recovered(info.FullMethod, &err)
	return handler(served, stream)
}
