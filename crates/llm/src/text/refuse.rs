//! The end of a stream whose content is withheld, in each vendor's words.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Channel;
use crate::{
    shape::Shape,
    stream::{Frame, Framing},
};

/// The events that end a stream of which `last` went out last and whose `open` channels have begun.
pub(super) fn refuse(shape: Shape, last: Option<&Frame>, open: &[Channel], message: &str) -> Bytes {
    // An item of an array is a frame with what stands before it.
    let array =
        last.is_some_and(|frame| matches!(frame.raw().trim_ascii_start().first(), Some(b'[' | b',' | b'{')));
    let last = last.map(|frame| serde_json::from_slice::<Value>(frame.data()).unwrap_or_default());
    let last = last.unwrap_or_default();
    let mut out = Vec::new();
    match shape {
        Shape::Messages => messages(open, message, |kind, data| {
            out.extend_from_slice(&Frame::sse(Some(kind), data.to_string().as_bytes()));
        }),
        Shape::InvokeMessages => messages(open, message, |_, data| {
            let raw = Frame::event("chunk", br#"{"bytes":""}"#);
            let inner = data.to_string();
            let wrapped =
                Frame::of(&raw, Framing::EventStream).map(|frame| frame.with_data(inner.as_bytes()));
            out.extend_from_slice(&wrapped.unwrap_or_default());
        }),
        Shape::Generate => generate(&last, array, message, &mut out),
        Shape::Converse => converse(open, message, &mut out),
        Shape::Responses => responses(&last, message, &mut out),
        _ => chat(shape, &last, open, message, &mut out),
    }
    out.into()
}

fn chat(shape: Shape, last: &Value, open: &[Channel], message: &str, out: &mut Vec<u8>) {
    let known = |name: &str, other: Value| last.get(name).cloned().unwrap_or(other);
    let object = if shape == Shape::Completions { "text_completion" } else { "chat.completion.chunk" };
    let mut choices: Vec<u32> = open.iter().map(|channel| channel.choice).collect();
    choices.dedup();
    if choices.is_empty() {
        choices.push(0);
    }
    let choices: Vec<Value> = choices
        .into_iter()
        .map(|index| match shape {
            Shape::Completions => json!({
                "index": index, "text": message, "logprobs": null, "finish_reason": "content_filter"
            }),
            _ => json!({
                "index": index, "delta": { "content": message }, "logprobs": null,
                "finish_reason": "content_filter"
            }),
        })
        .collect();
    let chunk = json!({
        "id": known("id", "refused".into()), "object": object, "created": known("created", 0.into()),
        "model": known("model", "".into()), "choices": choices
    });
    out.extend_from_slice(&Frame::sse(None, chunk.to_string().as_bytes()));
    out.extend_from_slice(b"data: [DONE]\n\n");
}

fn messages(open: &[Channel], message: &str, mut event: impl FnMut(&str, Value)) {
    let last = open.iter().map(|channel| channel.block).max();
    if last.is_none() {
        event(
            "message_start",
            json!({ "type": "message_start", "message": {
                "id": "msg_refused", "type": "message", "role": "assistant", "model": "", "content": [],
                "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 0, "output_tokens": 0 }
            } }),
        );
    }
    // Blocks come one after another: of those that have begun only the last can be open.
    if let Some(index) = last {
        event("content_block_stop", json!({ "type": "content_block_stop", "index": index }));
    }
    let index = last.map_or(0, |last| last + 1);
    event(
        "content_block_start",
        json!({ "type": "content_block_start", "index": index, "content_block": { "type": "text", "text": "" } }),
    );
    event(
        "content_block_delta",
        json!({
            "type": "content_block_delta", "index": index, "delta": { "type": "text_delta", "text": message }
        }),
    );
    event("content_block_stop", json!({ "type": "content_block_stop", "index": index }));
    event(
        "message_delta",
        json!({
            "type": "message_delta", "delta": { "stop_reason": "refusal", "stop_sequence": null },
            "usage": { "output_tokens": 0 }
        }),
    );
    event("message_stop", json!({ "type": "message_stop" }));
}

fn generate(last: &Value, array: bool, message: &str, out: &mut Vec<u8>) {
    let mut chunk = json!({ "candidates": [{
        "content": { "role": "model", "parts": [{ "text": message }] }, "finishReason": "SAFETY", "index": 0
    }] });
    for name in ["modelVersion", "responseId", "usageMetadata"] {
        if let Some(value) = last.get(name) {
            chunk[name] = value.clone();
        }
    }
    if array {
        out.extend_from_slice(format!(",\n{chunk}]").as_bytes());
    } else {
        out.extend_from_slice(&Frame::sse(None, chunk.to_string().as_bytes()));
    }
}

fn converse(open: &[Channel], message: &str, out: &mut Vec<u8>) {
    let mut event = |name: &str, data: Value| {
        out.extend_from_slice(&Frame::event(name, data.to_string().as_bytes()));
    };
    let last = open.iter().map(|channel| channel.block).max();
    match last {
        Some(index) => event("contentBlockStop", json!({ "contentBlockIndex": index })),
        None => event("messageStart", json!({ "role": "assistant" })),
    }
    let index = last.map_or(0, |last| last + 1);
    event("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": { "text": message } }));
    event("contentBlockStop", json!({ "contentBlockIndex": index }));
    event("messageStop", json!({ "stopReason": "content_filtered" }));
    let usage = json!({ "inputTokens": 0, "outputTokens": 0, "totalTokens": 0 });
    event("metadata", json!({ "usage": usage, "metrics": { "latencyMs": 0 } }));
}

fn responses(last: &Value, message: &str, out: &mut Vec<u8>) {
    let sequence = last.get("sequence_number").and_then(Value::as_u64).unwrap_or(0);
    let mut response = last.get("response").cloned().unwrap_or_else(|| json!({}));
    let defaults = json!({
        "id": "resp_refused", "object": "response", "created_at": 0, "model": "", "tools": [],
        "tool_choice": "auto", "parallel_tool_calls": true
    });
    if let (Value::Object(response), Value::Object(defaults)) = (&mut response, defaults) {
        for (name, value) in defaults {
            response.entry(name).or_insert(value);
        }
    }
    response["status"] = "incomplete".into();
    response["incomplete_details"] = json!({ "reason": "content_filter" });
    response["output"] = json!([{
        "id": "msg_refused", "type": "message", "role": "assistant", "status": "incomplete",
        "content": [{ "type": "refusal", "refusal": message }]
    }]);
    let data =
        json!({ "type": "response.incomplete", "sequence_number": sequence + 1, "response": response });
    out.extend_from_slice(&Frame::sse(Some("response.incomplete"), data.to_string().as_bytes()));
}
