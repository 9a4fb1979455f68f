// What the plugin decides: some paths of the gateway are not there.
package main

import (
	"strings"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

const manifest = `{"id": "com.example.{{name}}", "version": "0.1.0", "name": "{{plugin}}",
	"capabilities": {"hooks": ["pre_auth"], "primary_hook": "pre_auth"}}`

type guard struct {
	plugin_sdk.BasePlugin
	hidden string
}

func (g *guard) GetManifest() ([]byte, error) {
	return []byte(manifest), nil
}

// Initialize is told the `config:` of the entry.
func (g *guard) Initialize(_ plugin_sdk.Context, config map[string]string) error {
	g.hidden = config["hidden"]
	return nil
}

// HandlePreAuth is asked before anything is known of the caller. A nil answer lets the request pass.
func (g *guard) HandlePreAuth(_ plugin_sdk.Context, request *pb.PluginRequest) (*pb.PluginResponse, error) {
	if g.hidden != "" && strings.HasPrefix(request.Path, g.hidden) {
		return &pb.PluginResponse{Block: true, StatusCode: 404, Body: []byte("nothing here")}, nil
	}
	return nil, nil
}

func main() {
	plugin_sdk.Serve(&guard{BasePlugin: plugin_sdk.NewBasePlugin("{{name}}", "0.1.0", "{{about}}")})
}
