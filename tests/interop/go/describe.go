package main

import (
	"context"
	"encoding/json"
	"strings"

	"mortise.test/sdk/proto/configpb"
)

// What the program says of itself before it is initialised.
type describer struct {
	configpb.UnimplementedConfigProviderServiceServer
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(letter rune) bool { return letter == ',' })
}

func manifest() string {
	if *hooks == "" {
		return "{}"
	}
	sections := map[string]any{
		"id": "test.mortise.plugin", "version": "1.0.0", "name": "Test",
		"capabilities": map[string]any{"hooks": words(*hooks), "primary_hook": words(*hooks)[0]},
		"permissions":  map[string]any{"services": words(*services)},
	}
	if err := json.Unmarshal([]byte(*describes), &sections); err != nil {
		return err.Error()
	}
	text, _ := json.Marshal(sections)
	return string(text)
}

func (*describer) GetManifest(context.Context, *configpb.GetManifestRequest) (*configpb.GetManifestResponse, error) {
	return &configpb.GetManifestResponse{Success: true, ManifestJson: manifest()}, nil
}

func (*describer) GetConfigSchema(context.Context, *configpb.ConfigSchemaRequest) (*configpb.ConfigSchemaResponse, error) {
	return &configpb.ConfigSchemaResponse{Success: true, SchemaJson: *schema}, nil
}
