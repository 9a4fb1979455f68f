package plugin_sdk

import (
	"context"

	"mortise.test/sdk/proto/configpb"
)

// What the program says of itself before it is initialised.
type describer struct {
	configpb.UnimplementedConfigProviderServiceServer
	plugin Plugin
}

// What both services ask for the same thing: pages, agents and others have manifests by the same method.
type manifestGiver interface {
	GetManifest() ([]byte, error)
}

type schemaGiver interface {
	GetConfigSchema() ([]byte, error)
}

func (d *describer) Ping(_ context.Context, req *configpb.ConfigPingRequest) (*configpb.ConfigPingResponse, error) {
	return &configpb.ConfigPingResponse{Timestamp: req.GetTimestamp(), Healthy: true}, nil
}

func (d *describer) GetManifest(context.Context, *configpb.GetManifestRequest) (*configpb.GetManifestResponse, error) {
	giver, has := d.plugin.(manifestGiver)
	if !has {
		return &configpb.GetManifestResponse{Success: true, ManifestJson: "{}"}, nil
	}
	manifest, err := giver.GetManifest()
	if err != nil {
		return &configpb.GetManifestResponse{ErrorMessage: err.Error()}, nil
	}
	return &configpb.GetManifestResponse{Success: true, ManifestJson: string(manifest)}, nil
}

func (d *describer) GetConfigSchema(context.Context, *configpb.ConfigSchemaRequest) (*configpb.ConfigSchemaResponse, error) {
	schema, err := schemaOf(d.plugin)
	if err != nil {
		return &configpb.ConfigSchemaResponse{ErrorMessage: err.Error()}, nil
	}
	return &configpb.ConfigSchemaResponse{Success: true, SchemaJson: schema}, nil
}

func schemaOf(plugin Plugin) (string, error) {
	giver, has := plugin.(schemaGiver)
	if !has {
		return "{}", nil
	}
	schema, err := giver.GetConfigSchema()
	return string(schema), err
}
