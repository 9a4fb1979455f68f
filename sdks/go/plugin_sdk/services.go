package plugin_sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"mortise.test/sdk/proto/managementpb"
)

// ServiceBroker is what a plugin may ask of its host.
type ServiceBroker interface {
	KV() KVService
	Logger() LogService
	Events() EventService
	Gateway() GatewayServices
}

// KVService keeps values of the plugin's own. Its manifest asks for `kv.readwrite`.
type KVService interface {
	// Read gives a value; one that is not there is an error of the code NotFound.
	Read(ctx context.Context, key string) ([]byte, error)
	// Write sets a value, for ever or until expireAt, and says whether it is new.
	Write(ctx context.Context, key string, value []byte, expireAt *time.Time) (bool, error)
	// WriteWithTTL is Write with a time from now.
	WriteWithTTL(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error)
	// Delete removes a value, and says whether it was there.
	Delete(ctx context.Context, key string) (bool, error)
	// List is an error: gateways have no call for it.
	List(ctx context.Context, prefix string) ([]string, error)
}

// LogService writes to the gateway's log, in the plugin's name. Fields are names and values in turn.
type LogService interface {
	Debug(msg string, fields ...any)
	Info(msg string, fields ...any)
	Warn(msg string, fields ...any)
	Error(msg string, fields ...any)
}

// GatewayServices tell of what a gateway has, to plugins whose manifest asks for the scope that is named.
type GatewayServices interface {
	// GetApp needs `apps.read`.
	GetApp(ctx context.Context, appID uint32) (*managementpb.GetAppResponse, error)
	// ListApps needs `apps.read`.
	ListApps(ctx context.Context, page, limit int32, isActive *bool) (*managementpb.ListAppsResponse, error)
	// GetLLM needs `llms.read`.
	GetLLM(ctx context.Context, llmID uint32) (*managementpb.GetLLMResponse, error)
	// ListLLMs needs `llms.read`.
	ListLLMs(ctx context.Context, page, limit int32, vendor string, isActive *bool) (*managementpb.ListLLMsResponse, error)
	// GetBudgetStatus needs `budget.read`.
	GetBudgetStatus(ctx context.Context, appID uint32, llmID *uint32) (*managementpb.GetBudgetStatusResponse, error)
	// GetModelPrice needs `pricing.read`.
	GetModelPrice(ctx context.Context, modelName, vendor string) (*managementpb.GetModelPriceResponse, error)
	// ListModelPrices needs `pricing.read`.
	ListModelPrices(ctx context.Context, vendor string) (*managementpb.ListModelPricesResponse, error)
	// ValidateCredential needs `credentials.validate`.
	ValidateCredential(ctx context.Context, secret string) (*managementpb.ValidateCredentialResponse, error)
	// GetLicenseInfo needs nothing.
	GetLicenseInfo(ctx context.Context) (*managementpb.GetLicenseInfoResponse, error)
	// SendToControl needs `control.send`. It gives the number of payloads that wait to be sent.
	SendToControl(ctx context.Context, payload []byte, correlationID string, metadata map[string]string) (int64, error)
	// SendToControlJSON is SendToControl of a value as JSON.
	SendToControlJSON(ctx context.Context, value any, correlationID string, metadata map[string]string) (int64, error)
}

type services struct {
	link   *link
	events *events
}

func newServices(link *link) *services {
	return &services{link: link, events: newEvents(link)}
}

func (s *services) KV() KVService            { return values{s.link} }
func (s *services) Logger() LogService       { return logger{s.link} }
func (s *services) Events() EventService     { return s.events }
func (s *services) Gateway() GatewayServices { return gateway{s.link} }

// values speaks with gateways and control planes: both have these calls, with the same messages, under names of their
// own.
type values struct{ link *link }

const valuesScope = "kv.readwrite"

func (v values) call(ctx context.Context, method string, request, answer any) error {
	connection, err := v.link.connect(ctx)
	if err != nil {
		return err
	}
	service := "/microgateway_management.MicrogatewayManagementService/"
	if v.link.runtime == RuntimeStudio {
		service = "/ai_studio_management.AIStudioManagementService/"
	}
	return connection.Invoke(ctx, service+method, request, answer)
}

func (v values) Read(ctx context.Context, key string) ([]byte, error) {
	answer := &managementpb.ReadPluginKVResponse{}
	err := v.call(ctx, "ReadPluginKV", &managementpb.ReadPluginKVRequest{Context: v.link.about(valuesScope), Key: key}, answer)
	if err != nil {
		return nil, err
	}
	return answer.GetValue(), nil
}

func (v values) Write(ctx context.Context, key string, value []byte, expireAt *time.Time) (bool, error) {
	request := &managementpb.WritePluginKVRequest{Context: v.link.about(valuesScope), Key: key, Value: value}
	if expireAt != nil {
		request.ExpireAt = timestamppb.New(*expireAt)
	}
	answer := &managementpb.WritePluginKVResponse{}
	err := v.call(ctx, "WritePluginKV", request, answer)
	return answer.GetCreated(), err
}

func (v values) WriteWithTTL(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	end := time.Now().Add(ttl)
	return v.Write(ctx, key, value, &end)
}

func (v values) Delete(ctx context.Context, key string) (bool, error) {
	answer := &managementpb.DeletePluginKVResponse{}
	err := v.call(ctx, "DeletePluginKV", &managementpb.DeletePluginKVRequest{Context: v.link.about(valuesScope), Key: key}, answer)
	return answer.GetDeleted(), err
}

func (v values) List(context.Context, string) ([]string, error) {
	return nil, errors.New("gateways have no call that lists keys")
}

type logger struct{ link *link }

func (l logger) Debug(msg string, fields ...any) { l.print("DEBUG", msg, fields) }
func (l logger) Info(msg string, fields ...any)  { l.print("INFO", msg, fields) }
func (l logger) Warn(msg string, fields ...any)  { l.print("WARN", msg, fields) }
func (l logger) Error(msg string, fields ...any) { l.print("ERROR", msg, fields) }

// What is printed reaches the gateway over go-plugin's own stream.
func (l logger) print(level, msg string, fields []any) {
	_, _, plugin := l.link.known()
	fmt.Fprintln(os.Stderr, logLine(level, plugin, msg, fields))
}

func logLine(level string, plugin uint32, msg string, fields []any) string {
	line := fmt.Sprintf("[%s] [Plugin %d] %s", level, plugin, msg)
	for at := 0; at < len(fields); at += 2 {
		if at+1 == len(fields) {
			line += fmt.Sprintf(" %v", fields[at])
			break
		}
		line += fmt.Sprintf(" %v=%v", fields[at], fields[at+1])
	}
	// A line break would begin a line that is in nobody's name.
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(line)
}

type gateway struct{ link *link }

// asking connects, and makes one call of the management service.
func asking[Q, A any](
	ctx context.Context, link *link, request *Q,
	method func(managementpb.MicrogatewayManagementServiceClient, context.Context, *Q, ...grpc.CallOption) (*A, error),
) (*A, error) {
	if link.runtime != RuntimeGateway {
		return nil, errors.New("this is no gateway: the call is for plugins that run in one")
	}
	connection, err := link.connect(ctx)
	if err != nil {
		return nil, err
	}
	return method(managementpb.NewMicrogatewayManagementServiceClient(connection), ctx, request)
}

func (g gateway) GetApp(ctx context.Context, appID uint32) (*managementpb.GetAppResponse, error) {
	request := &managementpb.GetAppRequest{Context: g.link.about("apps.read"), AppId: appID}
	return asking(ctx, g.link, request, managementpb.MicrogatewayManagementServiceClient.GetApp)
}

func (g gateway) ListApps(ctx context.Context, page, limit int32, isActive *bool) (*managementpb.ListAppsResponse, error) {
	request := &managementpb.ListAppsRequest{Context: g.link.about("apps.read"), IsActive: isActive, Page: page, Limit: limit}
	return asking(ctx, g.link, request, managementpb.MicrogatewayManagementServiceClient.ListApps)
}

func (g gateway) GetLLM(ctx context.Context, llmID uint32) (*managementpb.GetLLMResponse, error) {
	request := &managementpb.GetLLMRequest{Context: g.link.about("llms.read"), LlmId: llmID}
	return asking(ctx, g.link, request, managementpb.MicrogatewayManagementServiceClient.GetLLM)
}

func (g gateway) ListLLMs(ctx context.Context, page, limit int32, vendor string, isActive *bool) (*managementpb.ListLLMsResponse, error) {
	request := &managementpb.ListLLMsRequest{
		Context: g.link.about("llms.read"), Vendor: vendor, IsActive: isActive, Page: page, Limit: limit,
	}
	return asking(ctx, g.link, request, managementpb.MicrogatewayManagementServiceClient.ListLLMs)
}

func (g gateway) GetBudgetStatus(ctx context.Context, appID uint32, llmID *uint32) (*managementpb.GetBudgetStatusResponse, error) {
	request := &managementpb.GetBudgetStatusRequest{Context: g.link.about("budget.read"), AppId: appID, LlmId: llmID}
	return asking(ctx, g.link, request, managementpb.MicrogatewayManagementServiceClient.GetBudgetStatus)
}

func (g gateway) GetModelPrice(ctx context.Context, modelName, vendor string) (*managementpb.GetModelPriceResponse, error) {
	request := &managementpb.GetModelPriceRequest{Context: g.link.about("pricing.read"), ModelName: modelName, Vendor: vendor}
	return asking(ctx, g.link, request, managementpb.MicrogatewayManagementServiceClient.GetModelPrice)
}

func (g gateway) ListModelPrices(ctx context.Context, vendor string) (*managementpb.ListModelPricesResponse, error) {
	request := &managementpb.ListModelPricesRequest{Context: g.link.about("pricing.read"), Vendor: vendor}
	return asking(ctx, g.link, request, managementpb.MicrogatewayManagementServiceClient.ListModelPrices)
}

func (g gateway) ValidateCredential(ctx context.Context, secret string) (*managementpb.ValidateCredentialResponse, error) {
	request := &managementpb.ValidateCredentialRequest{Context: g.link.about("credentials.validate"), Secret: secret}
	return asking(ctx, g.link, request, managementpb.MicrogatewayManagementServiceClient.ValidateCredential)
}

func (g gateway) GetLicenseInfo(ctx context.Context) (*managementpb.GetLicenseInfoResponse, error) {
	request := &managementpb.GetLicenseInfoRequest{Context: g.link.about("")}
	return asking(ctx, g.link, request, managementpb.MicrogatewayManagementServiceClient.GetLicenseInfo)
}

func (g gateway) SendToControl(ctx context.Context, payload []byte, correlationID string, metadata map[string]string) (int64, error) {
	request := &managementpb.QueueControlPayloadRequest{
		Context: g.link.about("control.send"), Payload: payload, CorrelationId: correlationID, Metadata: metadata,
	}
	answer, err := asking(ctx, g.link, request, managementpb.MicrogatewayManagementServiceClient.QueueControlPayload)
	if err != nil {
		return 0, err
	}
	if !answer.GetSuccess() {
		return answer.GetPendingCount(), errors.New(answer.GetErrorMessage())
	}
	return answer.GetPendingCount(), nil
}

func (g gateway) SendToControlJSON(ctx context.Context, value any, correlationID string, metadata map[string]string) (int64, error) {
	payload, err := json.Marshal(value)
	if err != nil {
		return 0, err
	}
	return g.SendToControl(ctx, payload, correlationID, metadata)
}
