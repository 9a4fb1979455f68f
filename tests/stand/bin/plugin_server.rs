//! A plugin server that a test can kill: it keeps a journal in the file it is given. Over standard input and output,
//! or, with more arguments, at a socket (`plugin_sockets`).
//!
//! Of the newer generation (`invoke_hook`), with one plugin at `tool_pre_invoke`. What it does is the argument `text`
//! of the call: `block`, `change`, `hold` (no answer until `let go`), `late` (as `hold`), `garbage`, `huge`, `die`;
//! anything else passes. The journal has `start PID`, `call TEXT` and `cancelled` lines.

mod plugin_sockets;

use std::{
    fs::File,
    io::{self, BufRead, Write},
};

use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("the journal's path is missing"))?;
    let mut journal = File::options().create(true).append(true).open(path)?;
    writeln!(journal, "start {}", std::process::id())?;
    writeln!(io::stderr(), "the plugin server has started")?;
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    if let [transport, socket, hook] = &arguments[..] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let serving = plugin_sockets::serve(journal, transport, socket.into(), hook.clone());
        return runtime.block_on(serving).map_err(|error| io::Error::other(error.to_string()));
    }
    let mut output = io::stdout().lock();
    let mut held: Vec<Value> = Vec::new();
    for line in io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?)?;
        if message["method"] == "notifications/cancelled" {
            writeln!(journal, "cancelled {}", message["params"]["requestId"])?;
        }
        if message["id"].is_null() {
            continue;
        }
        let (id, params) = (&message["id"], &message["params"]);
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": params["protocolVersion"],
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "stand", "version": "1" },
            }),
            Some("tools/list") => {
                let tools = ["get_plugin_config", "invoke_hook"];
                json!({ "tools": tools.map(|name| json!({ "name": name, "inputSchema": { "type": "object" } })) })
            }
            Some("tools/call") if params["name"] == "get_plugin_config" => {
                text(&json!({ "name": "guard", "hooks": ["tool_pre_invoke"], "mode": "enforce" }))
            }
            Some("tools/call") => {
                let args = &params["arguments"]["payload"]["args"];
                let asked = args["text"].as_str().unwrap_or_default();
                writeln!(journal, "call {asked}")?;
                match asked.split(' ').next().unwrap_or_default() {
                    "hold" | "late" => {
                        held.push(id.clone());
                        continue;
                    }
                    "let" => {
                        for id in held.drain(..) {
                            answer(&mut output, &id, &text(&changed("an answer that came late")))?;
                        }
                        text(&json!({ "result": { "continue_processing": true } }))
                    }
                    "block" => {
                        let violation = json!({ "reason": "no", "description": "not this", "code": "STAND" });
                        text(&json!({ "result": { "continue_processing": false, "violation": violation } }))
                    }
                    "change" => text(&changed("changed")),
                    "garbage" => {
                        writeln!(output, "this is no message")?;
                        text(&json!({ "result": 7 }))
                    }
                    "huge" => text(&changed(&"x".repeat(50 << 20))),
                    "die" => std::process::exit(3),
                    _ => text(&json!({ "result": { "continue_processing": true } })),
                }
            }
            _ => json!({}),
        };
        answer(&mut output, id, &result)?;
    }
    Ok(())
}

fn text(value: &Value) -> Value {
    json!({ "content": [{ "type": "text", "text": value.to_string() }] })
}

fn changed(text: &str) -> Value {
    json!({ "result": { "continue_processing": true, "modified_payload": { "name": "echo", "args": { "text": text } } } })
}

fn answer(output: &mut impl Write, id: &Value, result: &Value) -> io::Result<()> {
    writeln!(output, "{}", json!({ "jsonrpc": "2.0", "id": id, "result": result }))?;
    output.flush()
}
