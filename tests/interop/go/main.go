// A plugin as authors write them, on the library they write them with, that does on demand what tests need: it blocks,
// authenticates, changes, keeps values at its gateway, prints, is slow, hangs, and dies.
//
// What it does to a request is told by the request's headers, what it does when it starts by its arguments.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

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
	describes = flag.String("describe", "{}", "further sections of its manifest, as JSON")
	schema    = flag.String("schema", "{}", "the schema of its configuration, as JSON")
	certs     = flag.String("certificates", "", "with -listen: a folder of ca.pem, server.pem and server.key; clients must show a certificate of that CA")
	starts    = flag.String("starts", "", "write a line into this file at every start")
)

func main() {
	flag.Parse()
	if *greeting != "" {
		fmt.Println(*greeting)
	}
	if *starts != "" {
		note(*starts, "started")
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
	server := grpc.NewServer(secured(*certs)...)
	register(server, &plugin{})
	fmt.Println(listener.Addr())
	log.Fatal(server.Serve(listener))
}

// TLS for a server of that folder's certificates, in which clients must show theirs.
func secured(folder string) []grpc.ServerOption {
	if folder == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "server.pem"), filepath.Join(folder, "server.key"))
	if err != nil {
		log.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
	if err != nil {
		log.Fatal(err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(authority) {
		log.Fatal("ca.pem holds no certificate")
	}
	return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}))}
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
