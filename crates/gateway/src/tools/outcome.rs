//! Answers of an API as results of a tool, and results of a tool as answers over HTTP.
//!
//! Between the two stand the hooks after a call, which may change or replace a result: so an answer is made of the
//! result they left, never of what the API said.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use mortise_mcp::{
    envelope::{RpcError, code},
    raw::Raw,
};
use mortise_mcp_transport::{
    server::answer::{self, AnswerBody},
    upstream::Outcome,
};
use serde_json::{Value, json};

use super::refusal::{refused as refusal, refused_because};
use crate::mcp::Verdict;

/// Where a result that is an error says which HTTP status it is.
const STATUS: &str = "mortise/http-status";

/// What an API answered, as a result.
pub(super) fn result(status: StatusCode, content_type: Option<&str>, body: &Bytes) -> Raw {
    if !status.is_success() {
        let text = String::from_utf8_lossy(body);
        let line = format!("HTTP {status}");
        let text = if text.trim().is_empty() { line } else { format!("{line}\n{text}") };
        return error(&text, status);
    }
    let content = if body.is_empty() { json!([]) } else { json!([piece(content_type, body)]) };
    raw(&json!({ "content": content, "isError": false }))
}

/// Arguments that no request can be made of, as a result.
pub(super) fn refused(reason: &str) -> Raw {
    error(reason, StatusCode::BAD_REQUEST)
}

fn error(text: &str, status: StatusCode) -> Raw {
    raw(&json!({
        "content": [{ "type": "text", "text": text }],
        "isError": true,
        "_meta": { STATUS: status.as_u16() },
    }))
}

fn raw(value: &Value) -> Raw {
    // A value of JSON can be written.
    Raw::from_serialize(value).unwrap_or(Raw::EMPTY_OBJECT)
}

/// A body as content: text where it is one.
fn piece(content_type: Option<&str>, body: &Bytes) -> Value {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let of = |family: &str| essence.strip_prefix(family).is_some_and(|rest| rest.starts_with('/'));
    match (of("image"), of("audio"), std::str::from_utf8(body)) {
        (true, ..) if essence != "image/svg+xml" => {
            json!({ "type": "image", "data": STANDARD.encode(body), "mimeType": essence })
        }
        (_, true, _) => json!({ "type": "audio", "data": STANDARD.encode(body), "mimeType": essence }),
        (.., Ok(text)) => json!({ "type": "text", "text": text }),
        (.., Err(_)) => {
            let known = if essence.is_empty() { "application/octet-stream" } else { &essence };
            json!({
                "type": "resource",
                "resource": { "uri": "answer:body", "mimeType": known, "blob": STANDARD.encode(body) },
            })
        }
    }
}

/// The answer of a call over HTTP.
pub(super) fn answer(verdict: Verdict, outcome: &Outcome) -> Response<AnswerBody> {
    match outcome {
        Ok(result) => of_result(verdict, result),
        Err(error) => of_error(verdict, error),
    }
}

fn of_error(verdict: Verdict, error: &RpcError) -> Response<AnswerBody> {
    let message = error.message().unwrap_or_default();
    match (verdict, error.code()) {
        (Verdict::Blocked, _) => blocked(&message),
        (_, Some(code::INVALID_PARAMS)) => refusal(StatusCode::BAD_REQUEST, &message),
        _ => refused_because(StatusCode::BAD_GATEWAY, "the call failed", &message),
    }
}

fn blocked(why: &str) -> Response<AnswerBody> {
    refused_because(StatusCode::FORBIDDEN, "blocked by policy", why)
}

fn of_result(verdict: Verdict, result: &Raw) -> Response<AnswerBody> {
    let Ok(result) = result.decode::<Value>() else {
        return refusal(StatusCode::BAD_GATEWAY, "the call was answered with something that is no result");
    };
    let content = result.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if verdict == Verdict::Blocked {
        return blocked(&texts(content));
    }
    if result.get("isError") == Some(&Value::Bool(true)) {
        let status = result.get("_meta").and_then(|meta| meta.get(STATUS)).and_then(Value::as_u64);
        let (status, message) = failed(status.and_then(|status| u16::try_from(status).ok()));
        return refused_because(status, message, &texts(content));
    }
    match content {
        [only] => of_piece(only),
        [] => match result.get("structuredContent") {
            Some(structured) => answer::json(structured.to_string().into()),
            None => answer::empty(StatusCode::NO_CONTENT),
        },
        several => answer::json(json!({ "content": several }).to_string().into()),
    }
}

/// Status and message for a call that came to an error. A status of the API that is about its own clients' rights is
/// about ours there, not about the caller's here.
fn failed(status: Option<u16>) -> (StatusCode, &'static str) {
    match status.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        ) => (StatusCode::BAD_GATEWAY, "the API behind the tool refused the gateway"),
        Some(status) if status.is_client_error() => (status, "the call was refused"),
        Some(_) => (StatusCode::BAD_GATEWAY, "the API behind the tool failed"),
        None => (StatusCode::BAD_GATEWAY, "the call failed"),
    }
}

fn texts(content: &[Value]) -> String {
    let texts: Vec<&str> = content.iter().filter_map(|piece| piece.get("text")?.as_str()).collect();
    texts.join("\n")
}

/// One piece of content as a body: a text that is JSON as JSON.
fn of_piece(piece: &Value) -> Response<AnswerBody> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    if let Some(text) = text(piece, "text") {
        let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        let content_type = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
        return with_type(content_type, text.into());
    }
    let resource = piece.get("resource");
    if let Some(text) = resource.and_then(|resource| text(resource, "text")) {
        return with_type("text/plain; charset=utf-8", text.into());
    }
    let holder = resource.unwrap_or(piece);
    let data = text(holder, "blob").or_else(|| text(holder, "data"));
    match data.and_then(|data| STANDARD.decode(data).ok()) {
        Some(bytes) => {
            let kind = text(holder, "mimeType").filter(|kind| is_harmless(kind));
            with_type(kind.as_deref().unwrap_or("application/octet-stream"), bytes.into())
        }
        None => answer::json(piece.to_string().into()),
    }
}

/// Whether a browser that is led here runs nothing of what it is given.
fn is_harmless(kind: &str) -> bool {
    let of = |family: &str| kind.strip_prefix(family).is_some_and(|rest| rest.starts_with('/'));
    kind == "application/pdf" || ((of("image") || of("audio") || of("video")) && !kind.contains("xml"))
}

fn with_type(content_type: &str, body: Bytes) -> Response<AnswerBody> {
    let mut response = answer::json(body);
    let value = HeaderValue::try_from(content_type);
    let value = value.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_TYPE, value);
    // Of an API that is not ours: a browser is not to make more of it than it says.
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert("x-content-type-options", nosniff);
    response
}
