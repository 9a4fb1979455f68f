// Adds to requests for a model what its owner wants to know: who asks, and for whom. Refuses what is over a size.
package main

import (
	"fmt"
	"strconv"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

type enricher struct {
	plugin_sdk.BasePlugin
	environment string
	most        int
}

func (p *enricher) GetManifest() ([]byte, error) {
	return []byte(`{
		"id": "com.example.request-enricher", "name": "Request enricher", "version": "1.0.0",
		"capabilities": {"hooks": ["post_auth"], "primary_hook": "post_auth"}
	}`), nil
}

func (p *enricher) Initialize(_ plugin_sdk.Context, config map[string]string) error {
	p.environment = config["environment"]
	if text := config["max_body_bytes"]; text != "" {
		most, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("max_body_bytes: %w", err)
		}
		p.most = most
	}
	return nil
}

func (p *enricher) HandlePostAuth(ctx plugin_sdk.Context, req *pb.EnrichedRequest) (*pb.PluginResponse, error) {
	if size := len(req.Request.Body); p.most > 0 && size > p.most {
		return &pb.PluginResponse{
			Block: true, StatusCode: 413, Headers: map[string]string{"Content-Type": "application/json"},
			Body: fmt.Appendf(nil, `{"error": "a request has at most %d bytes, this one has %d"}`, p.most, size),
		}, nil
	}
	return &pb.PluginResponse{
		Modified: true,
		Headers: map[string]string{
			"X-App-Id": req.AppId, "X-User-Id": req.UserId, "X-Environment": p.environment, "X-Llm": ctx.LLMSlug,
		},
		// For the plugins after this one.
		ContextUpdates: map[string]string{"environment": p.environment},
	}, nil
}

func main() {
	plugin_sdk.Serve(&enricher{
		BasePlugin: plugin_sdk.NewBasePlugin("request-enricher", "1.0.0", "Adds who asks to requests for models"),
	})
}
