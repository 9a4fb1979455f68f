// A plugin as authors write them, on the library they write them with, that does on demand what tests need: it blocks,
// authenticates, changes, keeps values at its gateway, prints, is slow, hangs, and dies.
//
// What it does to a request is told by the request's headers, what it does when it starts by its arguments.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	pluginpb "mortise.test/sdk/proto"
	"mortise.test/sdk/proto/configpb"
)

var (
	slowStart = flag.Duration("slow-start", 0, "wait before saying where it listens")
	greeting  = flag.String("greeting", "", "print this before saying where it listens")
	hooks     = flag.String("hooks", "pre_auth", "hooks of its manifest, separated by commas; none for no manifest")
	services  = flag.String("services", "kv.readwrite", "services its manifest asks for, separated by commas")
	endpoints = flag.Bool("endpoints", false, "have endpoints of its own")
	moreWhere = flag.String("more-where", "/nowhere", "have other endpoints where this file is")
	listen    = flag.String("listen", "", "serve at this address instead of being a child, and print it")
	failOnce  = flag.String("fail-once", "", "end at once with status 4 where this file is, and remove it")
)

func main() {
	flag.Parse()
	if *greeting != "" {
		fmt.Println(*greeting)
	}
	if *failOnce != "" && os.Remove(*failOnce) == nil {
		fmt.Fprintln(os.Stderr, "this start fails")
		os.Exit(4)
	}
	time.Sleep(*slowStart)
	if *listen != "" {
		serveAt(*listen)
		return
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion:  1,
			MagicCookieKey:   "AI_STUDIO_PLUGIN",
			MagicCookieValue: "v1",
		},
		Plugins:    goplugin.PluginSet{"plugin": &dispenser{}},
		GRPCServer: goplugin.DefaultGRPCServer,
	})
}

// The same plugin as a server that somebody else runs.
func serveAt(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	register(server, &plugin{})
	fmt.Println(listener.Addr())
	log.Fatal(server.Serve(listener))
}

func register(server *grpc.Server, plugin *plugin) {
	pluginpb.RegisterPluginServiceServer(server, plugin)
	configpb.RegisterConfigProviderServiceServer(server, &describer{})
}

// What the library wants of a plugin: to register its services.
type dispenser struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (*dispenser) GRPCServer(broker *goplugin.GRPCBroker, server *grpc.Server) error {
	register(server, &plugin{gateway: gateway{broker: broker}})
	return nil
}

func (*dispenser) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("this is a plugin and no host")
}
