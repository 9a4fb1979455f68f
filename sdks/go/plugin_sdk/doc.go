// Package plugin_sdk serves a plugin written in Go as a process of its gateway.
//
// A plugin is a type that embeds [BasePlugin] and implements the interfaces of what it can do: [PreAuthHandler],
// [AuthHandler], [PostAuthHandler], [ResponseHandler], [DataCollector], [CustomEndpointHandler] and others. Its main
// function calls [Serve], which speaks HashiCorp's go-plugin with the gateway that started it. What a plugin does not
// implement is answered for it: requests pass, credentials are refused, endpoints are not there.
//
//	type Greeter struct{ plugin_sdk.BasePlugin }
//
//	func (g *Greeter) HandlePreAuth(ctx plugin_sdk.Context, req *pb.PluginRequest) (*pb.PluginResponse, error) {
//		return &pb.PluginResponse{Modified: true, Headers: map[string]string{"X-Greeted": "yes"}}, nil
//	}
//
//	func main() {
//		plugin_sdk.Serve(&Greeter{plugin_sdk.NewBasePlugin("greeter", "1.0.0", "Greets")})
//	}
//
// Names and signatures are those that authors of Tyk AI Studio plugins know, so that porting one is a change of two
// imports. The package is no host, and knows nothing of what a verdict counts for: that is the gateway's.
package plugin_sdk
