package main

import (
	"testing"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

func TestHiddenPathsAreNotThere(t *testing.T) {
	g := &guard{}
	if err := g.Initialize(plugin_sdk.Context{}, map[string]string{"hidden": "/internal"}); err != nil {
		t.Fatal(err)
	}
	blocked, err := g.HandlePreAuth(plugin_sdk.Context{}, &pb.PluginRequest{Path: "/internal/x"})
	if err != nil || blocked == nil || blocked.StatusCode != 404 {
		t.Fatalf("%v, %v", blocked, err)
	}
	if passed, err := g.HandlePreAuth(plugin_sdk.Context{}, &pb.PluginRequest{Path: "/mcp"}); err != nil || passed != nil {
		t.Fatalf("%v, %v", passed, err)
	}
}
