//! The HTTP side: takes connections, records messages, answers by behaviour.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use mortise_mcp::version::{Version, header::SESSION_ID};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use super::{
    Behaviour, Received, STREAM_BACKLOG, Scripted, Shared,
    answer::{
        Body, Piece, Watched, empty, error, event, events, json_body, pieces, progress, result, text_result,
    },
};

/// Serves until it is dropped, and with it every connection.
pub(super) async fn connections(listener: TcpListener, shared: Arc<Shared>) {
    let mut open = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        while open.try_join_next().is_some() {}
        let shared = shared.clone();
        open.spawn(async move {
            let service = service_fn(move |request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(respond(shared, request).await) }
            });
            // Broken connections are part of the script.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return empty(400) };
    let message: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let method = message["method"].as_str().unwrap_or_default().to_owned();
    let received = Received {
        http_method: head.method.clone(),
        headers: head.headers.clone(),
        method: method.clone(),
        message: message.clone(),
    };
    shared.change(|state| state.receive(received));
    let session = head.headers.get(SESSION_ID).and_then(|id| id.to_str().ok());
    if let Some(refused) = refuse_session(&shared, session, &method) {
        return refused;
    }
    match head.method {
        Method::POST if message["id"].is_null() || method.is_empty() => empty(202),
        Method::POST => call(shared, &method, &message).await,
        Method::GET => {
            let (sender, receiver) = mpsc::channel(STREAM_BACKLOG);
            shared.change(|state| state.streams.push(sender));
            events(receiver)
        }
        Method::DELETE => {
            shared.change(|state| session.is_some_and(|id| state.sessions.remove(id)));
            empty(200)
        }
        _ => empty(405),
    }
}

fn refuse_session(shared: &Shared, session: Option<&str>, method: &str) -> Option<Response<Body>> {
    let state = shared.state();
    if !state.require_session || method == "initialize" {
        return None;
    }
    match session {
        None => Some(empty(400)),
        Some(id) if !state.sessions.contains(id) => Some(empty(404)),
        Some(_) => None,
    }
}

async fn call(shared: Arc<Shared>, method: &str, message: &Value) -> Response<Body> {
    let (id, params) = (&message["id"], &message["params"]);
    let behaviour = {
        let state = shared.state();
        let tool = (method == "tools/call").then(|| params["name"].as_str()).flatten();
        let by_tool = tool.and_then(|name| state.by_tool.get(name));
        by_tool.or_else(|| state.by_method.get(method)).cloned().unwrap_or_default()
    };
    let watched = Watched::new(shared.clone());
    let good = |shared: &Shared| good(shared, method, id, params);
    let response = match behaviour {
        Behaviour::Good => json_body(text(&good(&shared))),
        Behaviour::Answer(value) => json_body(text(&result(id, &value))),
        Behaviour::RpcError(code, why) => json_body(text(&error(id, code, &why))),
        Behaviour::ToolError(why) => json_body(text(&result(id, &text_result(&why, true)))),
        Behaviour::Status(status) => empty(status),
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Wait(gate) => {
            gate.pass().await;
            json_body(text(&good(&shared)))
        }
        Behaviour::CloseMidAnswer => {
            let whole = text(&good(&shared));
            let half = vec![Piece::Data(whole.slice(..whole.len() / 2)), Piece::Break];
            return pieces("application/json", half, watched);
        }
        Behaviour::Garbage(bytes) => json_body(bytes),
        Behaviour::Oversized(size) => json_body(text(&result(id, &text_result(&"x".repeat(size), false)))),
        Behaviour::Progress(count) => {
            let mut out = progress(params, count);
            out.push(Piece::Data(event(&good(&shared))));
            return pieces("text/event-stream", out, watched);
        }
        Behaviour::ProgressThenWait(count, gate) => {
            let mut out = progress(params, count);
            out.extend([Piece::Wait(gate), Piece::Data(event(&good(&shared)))]);
            return pieces("text/event-stream", out, watched);
        }
        Behaviour::StreamWithoutResult => {
            return pieces("text/event-stream", progress(params, 1), watched);
        }
    };
    watched.answered();
    with_session(&shared, method, response)
}

/// What a good server answers.
fn good(shared: &Shared, method: &str, id: &Value, params: &Value) -> Value {
    let list = |name: &'static str| {
        let entries = shared.state().lists.get(name).cloned().unwrap_or_default();
        result(id, &json!({ name: entries }))
    };
    match method {
        "initialize" => {
            let version = Version::negotiate(params["protocolVersion"].as_str().unwrap_or_default());
            let changes = json!({"listChanged": true});
            let info = json!({
                "protocolVersion": version.as_str(),
                "capabilities": {"tools": changes, "prompts": changes, "resources": changes},
                "serverInfo": {"name": "scripted", "version": "1"},
            });
            result(id, &info)
        }
        "ping" => result(id, &json!({})),
        "tools/list" => list("tools"),
        "prompts/list" => list("prompts"),
        "resources/list" => list("resources"),
        "resources/templates/list" => list("resourceTemplates"),
        "tools/call" => {
            let text = params["arguments"]["text"].as_str().unwrap_or_default();
            result(id, &text_result(text, false))
        }
        "prompts/get" => {
            let text = params["arguments"].to_string();
            let message = json!({"role": "user", "content": {"type": "text", "text": text}});
            result(id, &json!({"messages": [message]}))
        }
        "resources/read" => {
            let content = json!({"uri": params["uri"], "mimeType": "text/plain", "text": "content"});
            result(id, &json!({"contents": [content]}))
        }
        other => error(id, -32601, &format!("method not found: {other}")),
    }
}

fn with_session(shared: &Shared, method: &str, mut response: Response<Body>) -> Response<Body> {
    let required = shared.state().require_session;
    if required && method == "initialize" {
        // Ids are digits and letters, which every header takes.
        if let Ok(id) = HeaderValue::try_from(Scripted::new_session(shared)) {
            response.headers_mut().insert("mcp-session-id", id);
        }
    }
    response
}

fn text(message: &Value) -> Bytes {
    message.to_string().into()
}
