//! `mortise plugin demo-tools`: an MCP server with tools to try plugins on, one message a line.
//!
//! So small that a plugin's first call needs no other program. It keeps nothing and does nothing.

use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

use crate::Exit;

/// What is answered to those who ask for no version, or for one that is not known here.
const VERSION: &str = "2025-06-18";

pub(super) fn serve() -> anyhow::Result<Exit> {
    let (input, mut output) = (io::stdin().lock(), io::stdout().lock());
    for line in input.lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else { continue };
        let Some(answer) = answer(&message) else { continue };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(Exit::Ok)
}

/// The answer to a message; none to notifications and answers.
fn answer(message: &Value) -> Option<Value> {
    let (id, method) = (message.get("id")?, message.get("method")?.as_str()?);
    let params = &message["params"];
    let answered = match method {
        "initialize" => Ok(json!({
            "protocolVersion": params["protocolVersion"].as_str().unwrap_or(VERSION),
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "demo-tools", "version": env!("CARGO_PKG_VERSION") },
        })),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": tools() })),
        "tools/call" => call(params),
        _ => Err((-32601, format!("there is no method `{method}`"))),
    };
    Some(match answered {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err((code, message)) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    })
}

fn tools() -> Value {
    let message = json!({ "type": "object", "properties": { "message": { "type": "string" } }, "required": ["message"] });
    json!([
        { "name": "echo", "description": "Gives a message back", "inputSchema": message },
        {
            "name": "delete_everything",
            "description": "Says that it has deleted everything, and has not",
            "inputSchema": { "type": "object" },
        },
    ])
}

fn call(params: &Value) -> Result<Value, (i64, String)> {
    let said = match params["name"].as_str().unwrap_or_default() {
        "echo" => match &params["arguments"]["message"] {
            Value::String(message) => message.clone(),
            other => other.to_string(),
        },
        "delete_everything" => "everything is deleted".to_owned(),
        other => return Err((-32602, format!("there is no tool `{other}`"))),
    };
    Ok(json!({ "content": [{ "type": "text", "text": said }], "isError": false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_and_notifications_get_no_answer() {
        let params = json!({ "name": "echo", "arguments": { "message": "hello" } });
        let asked = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params });
        let told = answer(&asked).unwrap();
        assert_eq!((&told["id"], &told["result"]["content"][0]["text"]), (&json!(7), &json!("hello")));
        assert_eq!(answer(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })), None);
    }

    #[test]
    fn what_is_not_there_is_said_by_name() {
        let told = answer(&json!({ "jsonrpc": "2.0", "id": 1, "method": "prompts/list" })).unwrap();
        assert_eq!(told["error"]["code"], -32601);
    }
}
