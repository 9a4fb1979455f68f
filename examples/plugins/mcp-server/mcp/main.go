package mcp

import (
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

// Largest body of a request that is read without a gateway.
const mostBody = 1 << 20

// Main runs a server: as a plugin, or with -listen ADDRESS for whoever is on this machine, to see what it does by itself.
func Main(server *Server) {
	listen := flag.String("listen", "", "serve plain HTTP at this address, without a gateway")
	flag.Parse()
	server.BasePlugin = plugin_sdk.NewBasePlugin(server.Name, server.Version, "An MCP server")
	if *listen == "" {
		plugin_sdk.Serve(server)
		return
	}
	plain := http.Server{Addr: *listen, Handler: http.HandlerFunc(server.plain), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(plain.ListenAndServe())
}

// plain answers a request that no gateway has looked at.
func (s *Server) plain(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	// A page of another site that has a name of its own lead here must not reach a server of this machine.
	if !isLocal(r.Host) || origin != "" && !isLocalOrigin(origin) {
		http.Error(w, "only for this machine", http.StatusForbidden)
		return
	}
	if !slices.Contains(methods, r.Method) {
		http.Error(w, "not served", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	headers := map[string]string{}
	for name, values := range r.Header {
		headers[name] = values[0]
	}
	req := &pb.EndpointRequest{Method: r.Method, Path: r.URL.Path, RelativePath: r.URL.Path, Headers: headers, Body: body}
	if err := s.answer(r.Context(), req, pieces{w}); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	address := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || address != nil && address.IsLoopback()
}

func isLocalOrigin(origin string) bool {
	parsed, err := url.Parse(origin)
	return err == nil && isLocal(parsed.Host)
}

// pieces are those of an answer, each on its way before the next.
type pieces struct {
	w http.ResponseWriter
}

func (p pieces) Send(chunk *pb.EndpointResponseChunk) error {
	switch chunk.Type {
	case pb.EndpointResponseChunk_HEADERS:
		for name, value := range chunk.Headers {
			p.w.Header().Set(name, value)
		}
		p.w.WriteHeader(int(chunk.StatusCode))
	case pb.EndpointResponseChunk_BODY:
		if _, err := p.w.Write(chunk.Data); err != nil {
			return err
		}
	default:
		return nil
	}
	return http.NewResponseController(p.w).Flush()
}
