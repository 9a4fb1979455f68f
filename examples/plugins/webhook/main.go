// A receiver of webhooks: takes those that are signed with the secret it shares with their sender (HMAC-SHA256).
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

type receiver struct {
	plugin_sdk.BasePlugin
	secret []byte
}

func (p *receiver) GetManifest() ([]byte, error) {
	return []byte(`{
		"id": "com.example.webhook", "name": "Webhook receiver", "version": "1.0.0",
		"capabilities": {"hooks": ["custom_endpoint"], "primary_hook": "custom_endpoint"},
		"permissions": {"services": ["kv.readwrite"]}
	}`), nil
}

func (p *receiver) Initialize(ctx plugin_sdk.Context, config map[string]string) error {
	p.secret = []byte(config["webhook_secret"])
	if len(p.secret) == 0 {
		return fmt.Errorf("webhook_secret is required")
	}
	ctx.Services.Logger().Info("webhook receiver initialized")
	return nil
}

func (p *receiver) GetEndpointRegistrations() ([]*pb.EndpointRegistration, error) {
	return []*pb.EndpointRegistration{{
		Path: "/*", Methods: []string{"POST"}, Description: "Receives webhooks",
		// Who sends is known by the signature.
		RequireAuth: false,
	}}, nil
}

func (p *receiver) HandleEndpointRequest(ctx plugin_sdk.Context, req *pb.EndpointRequest) (*pb.EndpointResponse, error) {
	if !p.signed(req.Body, req.Headers["X-Webhook-Signature"]) {
		return answer(401, map[string]string{"error": "invalid signature"})
	}
	if len(req.PathSegments) == 0 {
		return answer(400, map[string]string{"error": "missing event type"})
	}
	event := req.PathSegments[0]
	ctx.Services.Logger().Info("webhook received", "event", event, "body_size", len(req.Body))
	switch event {
	case "payment":
		return p.payment(ctx, req)
	case "user":
		return p.user(ctx, req)
	}
	return answer(200, map[string]string{"status": "acknowledged"})
}

// Keeps the state of a payment, once: a webhook may be sent again.
func (p *receiver) payment(ctx plugin_sdk.Context, req *pb.EndpointRequest) (*pb.EndpointResponse, error) {
	var payment struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	if err := json.Unmarshal(req.Body, &payment); err != nil || payment.ID == "" {
		return answer(400, map[string]string{"error": "a payment has an id and a status"})
	}
	created, err := ctx.Services.KV().Write(ctx, "payment:"+payment.ID, []byte(payment.Status), nil)
	if err != nil {
		return nil, err
	}
	return answer(200, map[string]any{"status": "processed", "new": created})
}

// Tells other plugins that a user has changed.
func (p *receiver) user(ctx plugin_sdk.Context, req *pb.EndpointRequest) (*pb.EndpointResponse, error) {
	if !json.Valid(req.Body) {
		return answer(400, map[string]string{"error": "the body is no JSON"})
	}
	err := ctx.Services.Events().Publish(ctx, "user.changed", json.RawMessage(req.Body), plugin_sdk.DirLocal)
	if err != nil {
		return nil, err
	}
	return answer(202, map[string]string{"status": "published"})
}

func (p *receiver) HandleEndpointRequestStream(plugin_sdk.Context, *pb.EndpointRequest, grpc.ServerStreamingServer[pb.EndpointResponseChunk]) error {
	return fmt.Errorf("webhooks are not streamed")
}

func (p *receiver) signed(body []byte, signature string) bool {
	mac := hmac.New(sha256.New, p.secret)
	mac.Write(body)
	given, err := hex.DecodeString(signature)
	return err == nil && hmac.Equal(mac.Sum(nil), given)
}

func answer(status int32, value any) (*pb.EndpointResponse, error) {
	body, err := json.Marshal(value)
	headers := map[string]string{"Content-Type": "application/json"}
	return &pb.EndpointResponse{StatusCode: status, Headers: headers, Body: body}, err
}

func main() {
	plugin_sdk.Serve(&receiver{
		BasePlugin: plugin_sdk.NewBasePlugin("webhook-receiver", "1.0.0", "Receives and validates webhooks"),
	})
}
