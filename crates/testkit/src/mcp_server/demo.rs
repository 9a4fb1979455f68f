//! The demo: an MCP server with things worth guarding, for the quick start and for trying plugins by hand.
//!
//! Its data is invented; the numbers are the well-known ones for tests. It holds no state and touches nothing:
//! `send_email`, `run_sql` and `delete_everything` only say what they would have done, so that a demo in which a
//! guard is switched off does no harm.
//!
//! One message in, at most one answer out ([`answer`]); [`serve`] does that for lines on a pair of pipes.

use std::io;

use bytes::Bytes;
use mortise_mcp::{
    envelope::{Body, ErrorObject, Limits, Message, Request, Response, code},
    framing::{LineDecoder, LineError, end_line, to_line},
    params::{NamedCall, UriCall},
    raw::Raw,
    version::Version,
};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

mod data;

/// Longest line that is read, in bytes.
const MAX_LINE: usize = 4 << 20;

type Answer = Result<Value, ErrorObject>;

/// Answers the messages of `input`, one a line, on `output`, until `input` ends.
///
/// # Errors
/// When a pipe breaks. Bad messages are answered, bad lines that are no messages skipped.
pub async fn serve(mut input: impl AsyncRead + Unpin, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
    let limits = Limits { max_bytes: MAX_LINE, ..Limits::default() };
    let mut decoder = LineDecoder::new(MAX_LINE);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = input.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        decoder.feed(&buffer[..read]);
        while let Some(body) = decoder.next_body(&limits) {
            if let Some(line) = answer(body) {
                output.write_all(&line).await?;
            }
        }
        output.flush().await?;
    }
}

/// The line that answers what was read as a line; `None` where no answer is expected.
pub fn answer(body: Result<Body, LineError>) -> Option<Bytes> {
    match body {
        Ok(Body::Single(message)) => respond(message).map(|response| to_line(&Message::Response(response))),
        Ok(Body::Batch(messages)) => batch(messages),
        Err(LineError::Envelope(error)) => Some(to_line(&Message::Response(error.to_response()))),
        Err(error) => {
            let error = ErrorObject::new(code::PARSE_ERROR, error.to_string());
            Some(to_line(&Message::Response(Response::err(None, &error))))
        }
    }
}

fn batch(messages: Vec<Result<Message, mortise_mcp::envelope::EnvelopeError>>) -> Option<Bytes> {
    let answers = messages.into_iter().filter_map(|message| match message {
        Ok(message) => respond(message),
        Err(error) => Some(error.to_response()),
    });
    let answers: Vec<Bytes> = answers.map(|response| Message::Response(response).to_bytes()).collect();
    if answers.is_empty() {
        return None;
    }
    let mut line = b"[".to_vec();
    line.extend_from_slice(&answers.join(&b","[..]));
    line.push(b']');
    end_line(&mut line);
    Some(line.into())
}

fn respond(message: Message) -> Option<Response> {
    // Notifications need no answer, and nothing was asked that could be answered.
    let Message::Request(request) = message else { return None };
    let answer = handle(&request).and_then(|result| {
        Raw::from_serialize(&result)
            .map_err(|error| ErrorObject::new(code::INTERNAL_ERROR, error.to_string()))
    });
    Some(match answer {
        Ok(result) => Response::ok(request.id, result),
        Err(error) => Response::err(Some(request.id), &error),
    })
}

fn handle(request: &Request) -> Answer {
    let params = request.params.as_ref();
    match &*request.method {
        "initialize" => Ok(initialize(params)),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(data::tools()),
        "tools/call" => call_tool(params),
        "prompts/list" => Ok(data::prompts()),
        "prompts/get" => get_prompt(params),
        "resources/list" => Ok(data::resources()),
        "resources/templates/list" => Ok(data::resource_templates()),
        "resources/read" => read_resource(params),
        other => Err(ErrorObject::method_not_found(other)),
    }
}

fn initialize(params: Option<&Raw>) -> Value {
    let params: Value = params.and_then(|params| params.decode().ok()).unwrap_or_default();
    let version = Version::negotiate(params["protocolVersion"].as_str().unwrap_or_default());
    json!({
        "protocolVersion": version.as_str(),
        "capabilities": {"tools": {}, "prompts": {}, "resources": {}},
        "serverInfo": {"name": "mortise-demo-server", "version": env!("CARGO_PKG_VERSION")},
        "instructions": "A customer service with invented data. Nothing it says it does is done.",
    })
}

fn call_tool(params: Option<&Raw>) -> Answer {
    let call = NamedCall::parse(params).map_err(|error| ErrorObject::invalid_params(error.to_string()))?;
    let arguments: Map<String, Value> =
        call.arguments.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let text = |name: &str| match arguments.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("the argument {name} must be a string")),
        None => Err(format!("the argument {name} is missing")),
    };
    let outcome = match &*call.name {
        "whois" => text("name").map(|name| data::record(&name)),
        "send_email" => text("to").and_then(|to| {
            let (subject, body) = (text("subject").unwrap_or_default(), text("body")?);
            Ok(format!("Would send to {to}, subject {subject:?}:\n\n{body}"))
        }),
        "run_sql" => text("statement").map(|statement| format!("Would run: {statement}")),
        "delete_everything" => text("confirm").and_then(|word| match word.as_str() {
            "DELETE" => Ok("Would delete everything.".to_owned()),
            _ => Err("to delete everything, confirm must be DELETE".to_owned()),
        }),
        other => return Err(ErrorObject::invalid_params(format!("unknown tool: {other}"))),
    };
    let is_error = outcome.is_err();
    let text = outcome.unwrap_or_else(|complaint| complaint);
    Ok(json!({"content": [{"type": "text", "text": text}], "isError": is_error}))
}

fn get_prompt(params: Option<&Raw>) -> Answer {
    let call = NamedCall::parse(params).map_err(|error| ErrorObject::invalid_params(error.to_string()))?;
    if call.name != "support_reply" {
        return Err(ErrorObject::invalid_params(format!("unknown prompt: {}", call.name)));
    }
    let arguments: Map<String, Value> =
        call.arguments.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    match arguments.get("customer").and_then(Value::as_str) {
        Some(customer) => Ok(data::support_reply(customer)),
        None => Err(ErrorObject::invalid_params("the argument customer is missing or no string")),
    }
}

fn read_resource(params: Option<&Raw>) -> Answer {
    let call = UriCall::parse(params).map_err(|error| ErrorObject::invalid_params(error.to_string()))?;
    match data::resource(&call.uri) {
        Some(text) => Ok(json!({"contents": [{"uri": call.uri, "mimeType": "text/plain", "text": text}]})),
        None => Err(ErrorObject::new(code::RESOURCE_NOT_FOUND, format!("no such resource: {}", call.uri))),
    }
}

#[cfg(test)]
mod tests;
