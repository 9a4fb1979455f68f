//! An MCP server over standard input and output that a test can kill: it keeps a journal in the file it is given.
//!
//! `start PID` when it starts, `call TEXT` for every tool call, then `trace CONTEXT` where it
//! came with one. The tool `echo` answers its argument `text`, the tool
//! `hold` never answers.

use std::{
    fs::File,
    io::{self, BufRead, Write},
};

use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("the journal's path is missing"))?;
    let mut journal = File::options().create(true).append(true).open(path)?;
    writeln!(journal, "start {}", std::process::id())?;
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?)?;
        if message["id"].is_null() {
            continue;
        }
        let params = &message["params"];
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "stand", "version": "1"},
            }),
            Some("tools/list") => {
                let tools =
                    ["echo", "hold"].map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
                json!({ "tools": tools })
            }
            Some("tools/call") => {
                let text = params["arguments"]["text"].as_str().unwrap_or_default();
                writeln!(journal, "call {text}")?;
                if let Some(trace) = params["_meta"]["traceparent"].as_str() {
                    writeln!(journal, "trace {trace}")?;
                }
                if params["name"] == "hold" {
                    continue;
                }
                json!({ "content": [{"type": "text", "text": text}], "isError": false })
            }
            _ => json!({}),
        };
        writeln!(output, "{}", json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))?;
        output.flush()?;
    }
    Ok(())
}
