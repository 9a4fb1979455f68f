package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	pluginpb "mortise.test/sdk/proto"
)

type plugin struct {
	pluginpb.UnimplementedPluginServiceServer
	gateway gateway
	config  map[string]string
	session sync.Once
	closed  chan string
}

func (p *plugin) Initialize(_ context.Context, request *pluginpb.InitRequest) (*pluginpb.InitResponse, error) {
	p.config = request.GetConfig()
	p.closed = make(chan string, 1)
	if p.config["refuse"] != "" {
		return &pluginpb.InitResponse{ErrorMessage: p.config["refuse"]}, nil
	}
	id, _ := strconv.ParseUint(p.config["_service_broker_id"], 10, 32)
	p.gateway.know(uint32(id))
	return &pluginpb.InitResponse{Success: true}, nil
}

func (p *plugin) Ping(_ context.Context, request *pluginpb.PingRequest) (*pluginpb.PingResponse, error) {
	return &pluginpb.PingResponse{Timestamp: request.GetTimestamp(), Healthy: true}, nil
}

// Writes into the file it was told, so that a test sees that it was asked.
func (p *plugin) note(text string) {
	if path := p.config["journal"]; path != "" {
		note(path, text)
	}
}

func note(path, text string) {
	if file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		fmt.Fprintln(file, text)
		file.Close()
	}
}

func (p *plugin) Shutdown(context.Context, *pluginpb.ShutdownRequest) (*pluginpb.ShutdownResponse, error) {
	p.note("shutdown")
	return &pluginpb.ShutdownResponse{Success: true}, nil
}

func (p *plugin) OpenSession(ctx context.Context, request *pluginpb.OpenSessionRequest) (*pluginpb.OpenSessionResponse, error) {
	p.session.Do(func() { p.note(fmt.Sprintf("session of %d", request.GetPluginId())) })
	answer := &pluginpb.OpenSessionResponse{Success: true}
	select {
	case <-p.closed:
		answer.CloseReason = pluginpb.OpenSessionResponse_EXPLICIT_CLOSE
	case <-time.After(time.Duration(request.GetTimeoutMs()) * time.Millisecond):
		answer.CloseReason = pluginpb.OpenSessionResponse_TIMEOUT
	case <-ctx.Done():
	}
	return answer, nil
}

func (p *plugin) CloseSession(_ context.Context, request *pluginpb.CloseSessionRequest) (*pluginpb.CloseSessionResponse, error) {
	p.note("session closed: " + request.GetReason())
	p.closed <- request.GetReason()
	return &pluginpb.CloseSessionResponse{Success: true}, nil
}

func (p *plugin) ProcessPreAuth(ctx context.Context, request *pluginpb.PluginRequest) (*pluginpb.PluginResponse, error) {
	header := request.GetHeaders()
	if amount := header["X-Noise"]; amount != "" {
		noise(amount)
	}
	p.trouble(ctx, header)
	answer := &pluginpb.PluginResponse{}
	if status := header["X-Block"]; status != "" {
		code, _ := strconv.Atoi(status)
		answer.Block, answer.StatusCode = true, int32(code)
		answer.Headers = map[string]string{"Retry-After": "7"}
		answer.Body = []byte("blocked by header")
	}
	if key := header["X-Partner-Key"]; key != "" {
		answer.Modified = true
		answer.Headers = map[string]string{"Authorization": "Bearer " + key}
	}
	if size := header["X-Large"]; size != "" {
		bytesOf, _ := strconv.Atoi(size)
		answer.Block, answer.StatusCode, answer.Body = true, 418, bytes.Repeat([]byte("x"), bytesOf)
	}
	if text, asked := p.told(ctx, request); asked {
		answer.Block, answer.StatusCode, answer.Body = true, 418, []byte(text)
	}
	return answer, nil
}

// What a request asks to be told.
func (p *plugin) told(ctx context.Context, request *pluginpb.PluginRequest) (string, bool) {
	words := strings.SplitN(request.GetHeaders()["X-Tell"], " ", 3)
	var text string
	var err error
	switch words[0] {
	case "":
		return "", false
	case "config":
		text = p.config[words[1]]
	case "environment":
		text = strings.Join(names(), " ")
	case "pid":
		text = strconv.Itoa(os.Getpid())
	case "connection":
		text = connection(ctx)
	case "limits":
		text = limits()
	case "change":
		err = os.WriteFile(words[1], []byte("changed"), 0o600)
	case "request":
		text = fmt.Sprintf("%s %s %v", request.GetMethod(), request.GetPath(), request.GetContext().GetRequestId() != "")
	case "write":
		err = p.gateway.write(ctx, words[1], words[2])
	case "read":
		text, err = p.gateway.read(ctx, words[1])
	case "apps":
		text, err = p.gateway.apps(ctx)
	case "credential":
		text, err = p.gateway.credential(ctx, words[1])
	case "control":
		err = p.gateway.control(ctx)
	case "models":
		text, err = p.gateway.models(ctx, words[1])
	case "event":
		text, err = p.gateway.echo(ctx, words[1])
	}
	if err != nil {
		return "error: " + err.Error(), true
	}
	return text, true
}

func names() []string {
	var names []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// What plugins should not do.
func (p *plugin) trouble(ctx context.Context, header map[string]string) {
	switch header["X-Trouble"] {
	case "crash":
		os.Exit(3)
	case "panic":
		panic("on demand")
	case "hang":
		p.note("hangs")
		<-ctx.Done()
		p.note("cancelled")
	case "slow":
		time.Sleep(300 * time.Millisecond)
	}
}

func noise(amount string) {
	lines, _ := strconv.Atoi(amount)
	line := strings.Repeat("noise ", 170)
	for range lines {
		fmt.Println(line)
		fmt.Fprintln(os.Stderr, line)
	}
}

func (p *plugin) Authenticate(_ context.Context, request *pluginpb.AuthRequest) (*pluginpb.AuthResponse, error) {
	name, known := strings.CutPrefix(request.GetCredential(), "token-of-")
	if !known {
		return &pluginpb.AuthResponse{ErrorMessage: "nobody knows this token"}, nil
	}
	return &pluginpb.AuthResponse{
		Authenticated: true, UserId: name + "@example.com", AppId: "7",
		Claims: map[string]string{"tenant": "acme", "is_admin": "true"},
	}, nil
}

func (p *plugin) ProcessPostAuth(_ context.Context, request *pluginpb.EnrichedRequest) (*pluginpb.PluginResponse, error) {
	inner := request.GetRequest()
	answer := &pluginpb.PluginResponse{ContextUpdates: map[string]string{"seen_by": p.config["_plugin_id"]}}
	switch body := string(inner.GetBody()); {
	case strings.Contains(body, "forbidden"):
		answer.Block, answer.ErrorMessage = true, "not for "+request.GetUserId()
	case strings.Contains(body, "replace me"):
		answer.Modified, answer.Body = true, []byte(`{"model":"small"}`)
	case strings.Contains(body, "large"):
		answer.Modified, answer.Body = true, []byte(`{"text":"`+strings.Repeat("x", 5<<20)+`"}`)
	case strings.Contains(body, "context"):
		metadata := inner.GetContext().GetMetadata()
		answer.Modified, answer.Headers = true, map[string]string{"X-Seen-By": metadata["seen_by"]}
	}
	return answer, nil
}

func (p *plugin) OnBeforeWriteHeaders(_ context.Context, request *pluginpb.HeadersRequest) (*pluginpb.HeadersResponse, error) {
	headers := request.GetHeaders()
	headers["X-Canonical"] = headers["Content-Type"]
	return &pluginpb.HeadersResponse{Modified: true, Headers: headers}, nil
}

func (p *plugin) OnBeforeWrite(_ context.Context, request *pluginpb.ResponseWriteRequest) (*pluginpb.ResponseWriteResponse, error) {
	switch body := string(request.GetBody()); {
	case strings.Contains(body, "fail me"):
		return nil, fmt.Errorf("the scanner is away")
	case strings.Contains(body, "empty me"):
		return &pluginpb.ResponseWriteResponse{Modified: true}, nil
	case strings.Contains(body, "secret"):
		body = strings.ReplaceAll(body, "secret", "******")
		return &pluginpb.ResponseWriteResponse{Modified: true, Body: []byte(body), Headers: request.GetHeaders()}, nil
	}
	return &pluginpb.ResponseWriteResponse{}, nil
}

func (p *plugin) OnStreamComplete(_ context.Context, request *pluginpb.StreamCompleteRequest) (*pluginpb.StreamCompleteResponse, error) {
	p.note("stream: " + string(request.GetAccumulatedResponse()))
	return &pluginpb.StreamCompleteResponse{Handled: true}, nil
}

func (p *plugin) HandleProxyLog(_ context.Context, request *pluginpb.ProxyLogRequest) (*pluginpb.DataCollectionResponse, error) {
	p.note(fmt.Sprintf("log: %d %s", request.GetResponseCode(), request.GetRequestId()))
	if request.GetResponseCode() >= 500 {
		return &pluginpb.DataCollectionResponse{ErrorMessage: "the disk is full"}, nil
	}
	return &pluginpb.DataCollectionResponse{Success: true, Handled: true}, nil
}
