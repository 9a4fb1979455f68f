package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"

	"google.golang.org/grpc/peer"
)

// How the gateway has reached the program, and which sockets there are: over what it comes back stands among them.
func connection(ctx context.Context) string {
	security := "plain"
	if from, ok := peer.FromContext(ctx); ok && from.AuthInfo != nil {
		security = from.AuthInfo.AuthType()
	}
	sockets := []string{}
	entries, _ := os.ReadDir(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"))
	for _, entry := range entries {
		if entry.Name() == "gateway" {
			sockets = append(sockets, entry.Name())
		}
	}
	return strings.Join(append([]string{security}, sockets...), " ")
}

// What it may use, as the kernel tells it: descriptors, and bytes of data.
func limits() string {
	var files, data syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)
	syscall.Getrlimit(syscall.RLIMIT_DATA, &data)
	return fmt.Sprintf("%d %d", files.Max, data.Max)
}
