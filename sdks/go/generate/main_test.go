package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Where the kit in Python has its messages, and what of the contract is there.
const inPython = "../../python/mortise_sdk/wire"

var pythonFiles = []string{
	"tyk/config_provider.proto", "tyk/go_plugin.proto", "tyk/microgateway_management.proto", "tyk/plugin.proto",
	"tyk/plugin_events.proto",
}

// Generated code carries the contract that it was made of, so nothing has to be generated anew to know that it is current.

func TestGoIsOfTheContract(t *testing.T) {
	for name, folder := range packages {
		said := contractOf(t, name)
		path := filepath.Join("..", folder, base(name)+".pb.go")
		held := descriptor(t, path, inGo(t, path))
		if !proto.Equal(held, said) {
			t.Errorf("%s is not of the contract: go run -C sdks/go/generate .", path)
		}
		grpc, err := os.ReadFile(filepath.Join("..", folder, base(name)+"_grpc.pb.go"))
		if err != nil {
			t.Fatal(err)
		}
		var wanted, found []string
		for _, service := range said.Service {
			for _, method := range service.Method {
				wanted = append(wanted, method.GetName())
			}
		}
		for _, match := range regexp.MustCompile(`(?:MethodName|StreamName): +"(\w+)"`).FindAllSubmatch(grpc, -1) {
			found = append(found, string(match[1]))
		}
		slices.Sort(wanted)
		slices.Sort(found)
		if !slices.Equal(wanted, found) {
			t.Errorf("services of %s are not the contract's: go run -C sdks/go/generate .", name)
		}
	}
}

func TestPythonIsOfTheContract(t *testing.T) {
	for _, name := range pythonFiles {
		said := contractOf(t, name)
		path := filepath.Join(inPython, base(name)+"_pb2.py")
		held := descriptor(t, path, inPythonSource(t, path))
		// Files are known there without their folder, and what names in JSON follow from is left out.
		said.Name = proto.String(base(name) + ".proto")
		for at, file := range said.Dependency {
			said.Dependency[at] = strings.TrimPrefix(file, "tyk/")
		}
		withoutJSONNames(said.MessageType)
		withoutJSONNames(held.MessageType)
		if !proto.Equal(held, said) {
			t.Errorf("%s is not of the contract: python sdks/python/generate.py", path)
		}
	}
}

func base(name string) string {
	return strings.TrimSuffix(filepath.Base(name), ".proto")
}

func contractOf(t *testing.T, name string) *descriptorpb.FileDescriptorProto {
	t.Helper()
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{contract}}),
	}
	files, err := compiler.Compile(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return protodesc.ToFileDescriptorProto(files[0])
}

func descriptor(t *testing.T, path string, raw []byte) *descriptorpb.FileDescriptorProto {
	t.Helper()
	held := &descriptorpb.FileDescriptorProto{}
	if err := proto.Unmarshal(raw, held); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return held
}

// inGo reads the constant that holds the contract.
func inGo(t *testing.T, path string) []byte {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, declared := range file.Decls {
		group, isGroup := declared.(*ast.GenDecl)
		if !isGroup || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			if strings.HasSuffix(value.Names[0].Name, "_rawDesc") {
				text, err := joined(value.Values[0])
				if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				return []byte(text)
			}
		}
	}
	t.Fatalf("%s holds no contract", path)
	return nil
}

// joined is what literals make that are added up.
func joined(value ast.Expr) (string, error) {
	switch value := value.(type) {
	case *ast.BasicLit:
		return strconv.Unquote(value.Value)
	case *ast.BinaryExpr:
		left, err := joined(value.X)
		if err != nil {
			return "", err
		}
		right, err := joined(value.Y)
		return left + right, err
	}
	return "", fmt.Errorf("a constant is made of %T", value)
}

// inPythonSource reads the bytes that hold the contract.
func inPythonSource(t *testing.T, path string) []byte {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`AddSerializedFile\(b'((?:[^'\\\n]|\\.)*)'\)`).FindSubmatch(source)
	if match == nil {
		t.Fatalf("%s holds no contract", path)
	}
	// Both quotes have a backslash there, in Go only the one around a text.
	text := strings.ReplaceAll(string(match[1]), `\'`, `'`)
	var raw []byte
	for rest := text; rest != ""; {
		char, isUnicode, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil || isUnicode {
			t.Fatalf("%s: what cannot be read at %.20q", path, rest)
		}
		raw, rest = append(raw, byte(char)), tail
	}
	return raw
}

func withoutJSONNames(messages []*descriptorpb.DescriptorProto) {
	for _, message := range messages {
		for _, field := range message.Field {
			field.JsonName = nil
		}
		withoutJSONNames(message.NestedType)
	}
}
