package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"mortise.test/sdk/proto/eventspb"
	"mortise.test/sdk/proto/managementpb"
)

// The way back to the gateway: dialled when it is first needed, as authors' kit does.
type gateway struct {
	broker     *goplugin.GRPCBroker
	lock       sync.Mutex
	id         uint32
	connection *grpc.ClientConn
}

func (g *gateway) know(id uint32) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.id = id
}

func (g *gateway) dial() (*grpc.ClientConn, error) {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.connection != nil {
		return g.connection, nil
	}
	if g.id == 0 {
		return nil, fmt.Errorf("the gateway has not said where it is")
	}
	connection, err := g.broker.Dial(g.id)
	if err != nil {
		return nil, err
	}
	g.connection = connection
	return connection, nil
}

func (g *gateway) values() (managementpb.MicrogatewayManagementServiceClient, error) {
	connection, err := g.dial()
	if err != nil {
		return nil, err
	}
	return managementpb.NewMicrogatewayManagementServiceClient(connection), nil
}

func (g *gateway) write(ctx context.Context, key, value string) error {
	values, err := g.values()
	if err != nil {
		return err
	}
	_, err = values.WritePluginKV(ctx, &managementpb.WritePluginKVRequest{Key: key, Value: []byte(value)})
	return err
}

func (g *gateway) read(ctx context.Context, key string) (string, error) {
	values, err := g.values()
	if err != nil {
		return "", err
	}
	answer, err := values.ReadPluginKV(ctx, &managementpb.ReadPluginKVRequest{Key: key})
	return string(answer.GetValue()), err
}

// Names of the apps, and how many there are.
func (g *gateway) apps(ctx context.Context) (string, error) {
	values, err := g.values()
	if err != nil {
		return "", err
	}
	answer, err := values.ListApps(ctx, &managementpb.ListAppsRequest{})
	if err != nil {
		return "", err
	}
	told := strconv.FormatInt(answer.GetTotalCount(), 10)
	for _, app := range answer.GetApps() {
		one, err := values.GetApp(ctx, &managementpb.GetAppRequest{AppId: app.GetId()})
		if err != nil {
			return "", err
		}
		told += fmt.Sprintf(" %s/%s/%v", app.GetName(), one.GetApp().GetOwnerEmail(), app.GetMonthlyBudget())
	}
	return told, nil
}

// Whose a token is.
func (g *gateway) credential(ctx context.Context, secret string) (string, error) {
	values, err := g.values()
	if err != nil {
		return "", err
	}
	answer, err := values.ValidateCredential(ctx, &managementpb.ValidateCredentialRequest{Secret: secret})
	if err != nil || !answer.GetValid() {
		return "invalid", err
	}
	app, err := values.GetApp(ctx, &managementpb.GetAppRequest{AppId: answer.GetAppId()})
	return app.GetApp().GetName(), err
}

// Asks for something that this gateway does not have.
func (g *gateway) control(ctx context.Context) error {
	values, err := g.values()
	if err != nil {
		return err
	}
	_, err = values.QueueControlPayload(ctx, &managementpb.QueueControlPayloadRequest{Payload: []byte("x")})
	return err
}

// Names of the LLMs, what a model costs, and what an app has left.
func (g *gateway) models(ctx context.Context, model string) (string, error) {
	values, err := g.values()
	if err != nil {
		return "", err
	}
	llms, err := values.ListLLMs(ctx, &managementpb.ListLLMsRequest{})
	if err != nil {
		return "", err
	}
	told := ""
	for _, llm := range llms.GetLlms() {
		one, err := values.GetLLM(ctx, &managementpb.GetLLMRequest{LlmId: llm.GetId()})
		if err != nil {
			return "", err
		}
		told += fmt.Sprintf("%s/%s/%v ", one.GetLlm().GetName(), llm.GetVendor(), llm.GetHasApiKey())
	}
	prices, err := values.ListModelPrices(ctx, &managementpb.ListModelPricesRequest{Vendor: "openai"})
	if err != nil {
		return "", err
	}
	price, err := values.GetModelPrice(ctx, &managementpb.GetModelPriceRequest{Vendor: "openai", ModelName: model})
	if err != nil {
		return "", err
	}
	told += fmt.Sprintf("%d %v %v ", len(prices.GetModelPrices()), price.GetModelPrice().GetCpit()*1e6, price.GetModelPrice().GetCpt()*1e6)
	apps, err := values.ListApps(ctx, &managementpb.ListAppsRequest{})
	if err != nil {
		return "", err
	}
	budget, err := values.GetBudgetStatus(ctx, &managementpb.GetBudgetStatusRequest{AppId: apps.GetApps()[0].GetId()})
	if err != nil {
		return "", err
	}
	return told + fmt.Sprintf("%v/%v %v", budget.GetRemainingBudget(), budget.GetMonthlyBudget(), budget.GetIsOverBudget()), nil
}

// Publishes an event and waits until it is told of it.
func (g *gateway) echo(ctx context.Context, topic string) (string, error) {
	connection, err := g.dial()
	if err != nil {
		return "", err
	}
	events := eventspb.NewPluginEventServiceClient(connection)
	told, err := events.Subscribe(ctx, &eventspb.SubscribeRequest{Topic: topic})
	if err != nil {
		return "", err
	}
	// The subscription stands once its stream is answered, which it is with the first event only; so again until it is.
	got := make(chan *eventspb.EventMessage, 1)
	go func() {
		if event, err := told.Recv(); err == nil {
			got <- event
		}
	}()
	for {
		if _, err := events.Publish(ctx, &eventspb.PublishRequest{Topic: topic, Payload: []byte("hello")}); err != nil {
			return "", err
		}
		select {
		case event := <-got:
			return fmt.Sprintf("%s %s %s", event.GetOrigin(), event.GetTopic(), event.GetPayload()), nil
		case <-ctx.Done():
			return "", ctx.Err()
		default:
		}
	}
}
