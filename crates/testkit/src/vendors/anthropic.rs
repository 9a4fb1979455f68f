//! Anthropic's wire.

use bytes::Bytes;
use mortise_llm::stream::Frame;
use serde_json::{Value, json};

use super::said::{Heard, Said, texts};

pub(super) fn hear(body: &Value) -> Heard {
    let mut heard = Heard::default();
    for message in
        body["messages"].as_array().into_iter().flatten().filter(|message| message["role"] == "user")
    {
        let blocks =
            message["content"].as_array().cloned().unwrap_or_else(|| vec![message["content"].clone()]);
        let (results, others): (Vec<Value>, Vec<Value>) =
            blocks.into_iter().partition(|block| block["type"] == "tool_result");
        let said: String = others.iter().map(texts).collect();
        heard.tool = results.last().map(|result| texts(&result["content"]));
        if !said.is_empty() {
            heard.user = said;
        }
    }
    let tools = body["tools"].as_array().into_iter().flatten();
    heard.tools = tools.filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect();
    heard.max_tokens = body["max_tokens"].as_u64();
    heard
}

fn finish(said: &Said) -> &'static str {
    match (said.call.is_some(), said.cut) {
        (true, _) => "tool_use",
        (_, true) => "max_tokens",
        _ => "end_turn",
    }
}

fn usage(said: &Said) -> Value {
    json!({
        "input_tokens": said.input_tokens, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": said.output_tokens, "service_tier": "standard"
    })
}

fn blocks(said: &Said) -> Vec<Value> {
    let mut blocks = Vec::new();
    if let Some(thoughts) = &said.thoughts {
        blocks.push(json!({ "type": "thinking", "thinking": thoughts, "signature": "c2lnbmVk" }));
    }
    if !said.pieces.is_empty() {
        blocks.push(json!({ "type": "text", "text": said.text() }));
    }
    if let Some((name, _)) = &said.call {
        blocks.push(
            json!({ "type": "tool_use", "id": "toolu_fake1", "name": name, "input": said.arguments() }),
        );
    }
    blocks
}

pub(super) fn message(said: &Said) -> Value {
    json!({
        "id": "msg_fake", "type": "message", "role": "assistant", "model": said.model, "content": blocks(said),
        "stop_reason": finish(said), "stop_sequence": null, "usage": usage(said)
    })
}

/// The events of a message, by name and data.
pub(super) fn events(said: &Said) -> Vec<(&'static str, Value)> {
    let mut out = Vec::new();
    let mut send = |kind: &'static str, data: Value| {
        let mut event = json!({ "type": kind });
        if let (Value::Object(event), Value::Object(data)) = (&mut event, data) {
            event.extend(data);
        }
        out.push((kind, event));
    };
    let mut begun = message(said);
    begun["content"] = json!([]);
    begun["stop_reason"] = Value::Null;
    begun["usage"]["output_tokens"] = 1.into();
    send("message_start", json!({ "message": begun }));
    send("ping", json!({}));
    for (index, mut block) in blocks(said).into_iter().enumerate() {
        let kind = block["type"].as_str().unwrap_or_default().to_owned();
        let deltas: Vec<Value> = match kind.as_str() {
            "thinking" => vec![
                json!({ "type": "thinking_delta", "thinking": block["thinking"].take() }),
                json!({ "type": "signature_delta", "signature": block["signature"].take() }),
            ],
            "text" => {
                said.pieces.iter().map(|piece| json!({ "type": "text_delta", "text": piece })).collect()
            }
            _ => {
                let pieces = said.call.iter().flat_map(|(_, pieces)| pieces);
                pieces.map(|piece| json!({ "type": "input_json_delta", "partial_json": piece })).collect()
            }
        };
        match kind.as_str() {
            "thinking" => block = json!({ "type": "thinking", "thinking": "", "signature": "" }),
            "text" => block["text"] = "".into(),
            _ => block["input"] = json!({}),
        }
        send("content_block_start", json!({ "index": index, "content_block": block }));
        for delta in deltas {
            send("content_block_delta", json!({ "index": index, "delta": delta }));
        }
        send("content_block_stop", json!({ "index": index }));
    }
    let delta = json!({ "stop_reason": finish(said), "stop_sequence": null });
    send("message_delta", json!({ "delta": delta, "usage": { "output_tokens": said.output_tokens } }));
    send("message_stop", json!({}));
    out
}

pub(super) fn message_events(said: &Said) -> Vec<Bytes> {
    let events = events(said).into_iter();
    events.map(|(name, data)| Frame::sse(Some(name), data.to_string().as_bytes())).collect()
}

pub(super) fn models() -> Value {
    let model = |id: &str| json!({ "type": "model", "id": id, "display_name": id, "created_at": "2025-01-01T00:00:00Z" });
    let models = json!([model("fake-large"), model("fake-small")]);
    json!({ "data": models, "has_more": false, "first_id": "fake-large", "last_id": "fake-small" })
}
