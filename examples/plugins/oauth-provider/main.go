// An OAuth provider with discovery, tokens and user information (OpenID Connect), for machines: grants by client
// credentials and by a user's password, tokens signed with RS256.
//
// An example of endpoints beside one another, not an identity provider to run: it knows the clients and users of its
// configuration, and its key is made anew at each start.
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

const (
	keyID = "1"
	lasts = time.Hour
)

// A client or user of the configuration: `{"secret": "…", "name": "…", "email": "…"}`.
type account struct {
	Secret string `json:"secret"`
	Name   string `json:"name"`
	Email  string `json:"email"`
}

type provider struct {
	plugin_sdk.BasePlugin
	issuer         string
	clients, users map[string]account
	key            *rsa.PrivateKey
}

func (p *provider) GetManifest() ([]byte, error) {
	return []byte(`{
		"id": "com.example.oauth-provider", "name": "OAuth provider", "version": "1.0.0",
		"capabilities": {"hooks": ["custom_endpoint"], "primary_hook": "custom_endpoint"}
	}`), nil
}

func (p *provider) Initialize(_ plugin_sdk.Context, config map[string]string) error {
	p.issuer = strings.TrimSuffix(config["issuer"], "/")
	if p.issuer == "" {
		return fmt.Errorf("issuer is required: where clients reach this plugin")
	}
	for key, accounts := range map[string]*map[string]account{"clients": &p.clients, "users": &p.users} {
		if text := config[key]; text != "" {
			if err := json.Unmarshal([]byte(text), accounts); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	var err error
	p.key, err = rsa.GenerateKey(rand.Reader, 2048)
	return err
}

func (p *provider) GetEndpointRegistrations() ([]*pb.EndpointRegistration, error) {
	return []*pb.EndpointRegistration{
		{Path: "/.well-known/openid-configuration", Methods: []string{"GET"}, Description: "OpenID Connect discovery"},
		{Path: "/jwks.json", Methods: []string{"GET"}, Description: "Keys of signatures"},
		{Path: "/token", Methods: []string{"POST"}, Description: "Token endpoint"},
		// Its tokens are not the gateway's, so the gateway is not asked who calls.
		{Path: "/userinfo", Methods: []string{"GET"}, Description: "UserInfo endpoint"},
	}, nil
}

func (p *provider) HandleEndpointRequest(_ plugin_sdk.Context, req *pb.EndpointRequest) (*pb.EndpointResponse, error) {
	switch req.RelativePath {
	case "/.well-known/openid-configuration":
		return answer(200, map[string]any{
			"issuer": p.issuer, "token_endpoint": p.issuer + "/token", "userinfo_endpoint": p.issuer + "/userinfo",
			"jwks_uri": p.issuer + "/jwks.json", "grant_types_supported": []string{"client_credentials", "password"},
			"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
			"id_token_signing_alg_values_supported": []string{"RS256"}, "subject_types_supported": []string{"public"},
			"response_types_supported": []string{"token"}, "scopes_supported": []string{"openid", "email", "profile"},
		})
	case "/jwks.json":
		return answer(200, map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyID, "n": encode(p.key.N.Bytes()),
			"e": encode(big.NewInt(int64(p.key.E)).Bytes()),
		}}})
	case "/token":
		return p.token(req)
	}
	return p.userinfo(req)
}

func (p *provider) token(req *pb.EndpointRequest) (*pb.EndpointResponse, error) {
	form, err := url.ParseQuery(string(req.Body))
	if err != nil {
		return refused(400, "invalid_request", "the body is no form")
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if basic, has := strings.CutPrefix(req.Headers["Authorization"], "Basic "); has {
		pair, _ := base64.StdEncoding.DecodeString(basic)
		id, secret, _ = strings.Cut(string(pair), ":")
	}
	if !matches(p.clients, id, secret) {
		return refused(401, "invalid_client", "client and secret do not match")
	}
	subject := id
	switch form.Get("grant_type") {
	case "client_credentials":
	case "password":
		subject = form.Get("username")
		if !matches(p.users, subject, form.Get("password")) {
			return refused(400, "invalid_grant", "user and password do not match")
		}
	default:
		return refused(400, "unsupported_grant_type", "grants are client_credentials and password")
	}
	scope := form.Get("scope")
	signed, err := p.sign(map[string]any{
		"iss": p.issuer, "sub": subject, "aud": p.issuer, "client_id": id, "scope": scope,
		"iat": time.Now().Unix(), "exp": time.Now().Add(lasts).Unix(),
	})
	if err != nil {
		return nil, err
	}
	return answer(200, map[string]any{
		"access_token": signed, "token_type": "Bearer", "expires_in": int(lasts.Seconds()), "scope": scope,
	})
}

func (p *provider) userinfo(req *pb.EndpointRequest) (*pb.EndpointResponse, error) {
	token, _ := strings.CutPrefix(req.Headers["Authorization"], "Bearer ")
	subject, err := p.subject(token)
	if err != nil {
		response, _ := refused(401, "invalid_token", err.Error())
		response.Headers["WWW-Authenticate"] = `Bearer error="invalid_token"`
		return response, nil
	}
	known := p.users[subject]
	return answer(200, map[string]any{"sub": subject, "name": known.Name, "email": known.Email})
}

// matches says whether an account has this secret, in a time that does not tell how much of it is right.
func matches(accounts map[string]account, name, secret string) bool {
	known, exists := accounts[name]
	wanted, given := sha256.Sum256([]byte(known.Secret)), sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(wanted[:], given[:]) == 1 && exists && known.Secret != ""
}

func encode(data []byte) string {
	return base64.RawURLEncoding.EncodeToString(data)
}

func (p *provider) sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := encode(fmt.Appendf(nil, `{"alg":"RS256","typ":"JWT","kid":"%s"}`, keyID)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, digest[:])
	return text + "." + encode(signature), err
}

// subject gives whom a token is of.
func (p *provider) subject(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("this is no token")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "", fmt.Errorf("this is no token")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(&p.key.PublicKey, crypto.SHA256, digest[:], signature) != nil {
		return "", fmt.Errorf("the token is not signed by this provider")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", fmt.Errorf("this is no token")
	}
	var claims struct {
		Subject string `json:"sub"`
		Expires int64  `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", fmt.Errorf("this is no token")
	}
	if time.Now().Unix() >= claims.Expires {
		return "", fmt.Errorf("the token has expired")
	}
	return claims.Subject, nil
}

func answer(status int32, value any) (*pb.EndpointResponse, error) {
	body, err := json.Marshal(value)
	headers := map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"}
	return &pb.EndpointResponse{StatusCode: status, Headers: headers, Body: body}, err
}

func refused(status int32, code, description string) (*pb.EndpointResponse, error) {
	return answer(status, map[string]string{"error": code, "error_description": description})
}

func (p *provider) HandleEndpointRequestStream(plugin_sdk.Context, *pb.EndpointRequest, grpc.ServerStreamingServer[pb.EndpointResponseChunk]) error {
	return fmt.Errorf("nothing here is streamed")
}

func main() {
	plugin_sdk.Serve(&provider{BasePlugin: plugin_sdk.NewBasePlugin("oauth-provider", "1.0.0", "An OAuth provider")})
}
