// Writes the Go code of contracts/proto/tyk into proto/: `go run -C generate .`, without protoc.
//
// A compiler written in Go reads the files; the official generators do the rest, as they would for protoc.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// Where the contract is, seen from here, and what of it plugins speak. The library's own services come with it.
const contract = "../../../contracts/proto"

var packages = map[string]string{
	"tyk/plugin.proto":                  "proto",
	"tyk/config_provider.proto":         "proto/configpb",
	"tyk/plugin_events.proto":           "proto/eventspb",
	"tyk/microgateway_management.proto": "proto/managementpb",
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	request, err := request()
	if err != nil {
		return err
	}
	for _, generator := range []string{
		"google.golang.org/protobuf/cmd/protoc-gen-go",
		"google.golang.org/grpc/cmd/protoc-gen-go-grpc",
	} {
		if err := generate(generator, request); err != nil {
			return fmt.Errorf("%s: %w", generator, err)
		}
	}
	return nil
}

// What protoc would ask a generator.
func request() ([]byte, error) {
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{contract}}),
	}
	request := &pluginpb.CodeGeneratorRequest{}
	parameter := "paths=import,module=mortise.test/sdk"
	for file, name := range packages {
		request.FileToGenerate = append(request.FileToGenerate, file)
		parameter += fmt.Sprintf(",M%s=mortise.test/sdk/%s", file, name)
	}
	request.Parameter = &parameter
	files, err := compiler.Compile(context.Background(), request.FileToGenerate...)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, file := range files {
		add(file, seen, &request.ProtoFile)
	}
	return proto.Marshal(request)
}

// A file behind all that it imports.
func add(file protoreflect.FileDescriptor, seen map[string]bool, files *[]*descriptorpb.FileDescriptorProto) {
	if seen[file.Path()] {
		return
	}
	seen[file.Path()] = true
	for at := range file.Imports().Len() {
		add(file.Imports().Get(at).FileDescriptor, seen, files)
	}
	*files = append(*files, protodesc.ToFileDescriptorProto(file))
}

func generate(generator string, request []byte) error {
	command := exec.Command("go", "run", generator)
	command.Stdin = bytes.NewReader(request)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return err
	}
	response := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(output, response); err != nil {
		return err
	}
	if response.Error != nil {
		return fmt.Errorf("%s", response.GetError())
	}
	for _, file := range response.GetFile() {
		path := filepath.Join("..", file.GetName())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(file.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
