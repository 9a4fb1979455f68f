// Writes what has happened to files: proxy logs, analytics and budget usage, a line each, as JSON or CSV.
package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mortise.test/sdk/plugin_sdk"
	pb "mortise.test/sdk/proto"
)

type collector struct {
	plugin_sdk.BasePlugin
	folder string
	csv    bool
	lock   sync.Mutex
}

func (p *collector) GetManifest() ([]byte, error) {
	return []byte(`{
		"id": "com.example.file-collectors", "name": "File collectors", "version": "1.0.0",
		"capabilities": {"hooks": ["data_collection"], "primary_hook": "data_collection"}
	}`), nil
}

func (p *collector) Initialize(_ plugin_sdk.Context, config map[string]string) error {
	switch config["format"] {
	case "", "jsonl":
	case "csv":
		p.csv = true
	default:
		return fmt.Errorf("format is `jsonl` or `csv`, not %q", config["format"])
	}
	p.folder = config["output_dir"]
	if p.folder == "" {
		return fmt.Errorf("output_dir is required")
	}
	return os.MkdirAll(p.folder, 0o700)
}

// A field of a line.
type field struct {
	name  string
	value any
}

func (p *collector) HandleProxyLog(_ plugin_sdk.Context, req *pb.ProxyLogRequest) (*pb.DataCollectionResponse, error) {
	return p.write("proxy_log", []field{
		{"time", stamp(req.Timestamp)}, {"request_id", req.RequestId}, {"app_id", req.AppId}, {"user_id", req.UserId},
		{"vendor", req.Vendor}, {"status", req.ResponseCode},
		// Bodies hold what people say: only their sizes are kept.
		{"request_bytes", len(req.RequestBody)}, {"response_bytes", len(req.ResponseBody)},
	})
}

func (p *collector) HandleAnalytics(_ plugin_sdk.Context, req *pb.AnalyticsRequest) (*pb.DataCollectionResponse, error) {
	return p.write("analytics", []field{
		{"time", stamp(req.Timestamp)}, {"request_id", req.RequestId}, {"app_id", req.AppId}, {"llm_id", req.LlmId},
		{"vendor", req.Vendor}, {"model", req.ModelName}, {"prompt_tokens", req.PromptTokens},
		{"response_tokens", req.ResponseTokens}, {"total_tokens", req.TotalTokens}, {"cost", req.Cost / 10_000},
		{"currency", req.Currency},
	})
}

func (p *collector) HandleBudgetUsage(_ plugin_sdk.Context, req *pb.BudgetUsageRequest) (*pb.DataCollectionResponse, error) {
	return p.write("budget", []field{
		{"time", stamp(req.Timestamp)}, {"app_id", req.AppId}, {"llm_id", req.LlmId}, {"tokens", req.TokensUsed},
		{"cost", req.Cost / 10_000}, {"requests", req.RequestsCount},
	})
}

func stamp(seconds int64) string {
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339)
}

// An error is the gateway's to count: it names what could not be written.
func (p *collector) write(kind string, fields []field) (*pb.DataCollectionResponse, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	name := filepath.Join(p.folder, kind+map[bool]string{true: ".csv", false: ".jsonl"}[p.csv])
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if p.csv {
		err = writeCSV(file, fields)
	} else {
		line := map[string]any{}
		for _, field := range fields {
			line[field.name] = field.value
		}
		err = json.NewEncoder(file).Encode(line)
	}
	return nil, err
}

func writeCSV(file *os.File, fields []field) error {
	about, err := file.Stat()
	if err != nil {
		return err
	}
	writer := csv.NewWriter(file)
	var names, values []string
	for _, field := range fields {
		names, values = append(names, field.name), append(values, fmt.Sprint(field.value))
	}
	if about.Size() == 0 {
		if err := writer.Write(names); err != nil {
			return err
		}
	}
	if err := writer.Write(values); err != nil {
		return err
	}
	writer.Flush()
	return writer.Error()
}

func main() {
	plugin_sdk.Serve(&collector{
		BasePlugin: plugin_sdk.NewBasePlugin("file-collectors", "1.0.0", "Writes records to files"),
	})
}
