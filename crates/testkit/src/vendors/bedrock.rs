//! Amazon's wire.

use bytes::Bytes;
use mortise_llm::stream::Frame;
use serde_json::{Value, json};

use super::{
    anthropic,
    said::{Heard, Said, texts},
};

pub(super) fn hear(body: &Value) -> Heard {
    let mut heard = Heard::default();
    for message in
        body["messages"].as_array().into_iter().flatten().filter(|message| message["role"] == "user")
    {
        let said = texts(&message["content"]);
        heard.tool = None;
        for block in message["content"].as_array().into_iter().flatten() {
            let result = &block["toolResult"];
            if result.is_object() {
                let json = result["content"][0].get("json").map(ToString::to_string);
                heard.tool = Some(json.unwrap_or_else(|| texts(&result["content"])));
            }
        }
        if !said.is_empty() {
            heard.user = said;
        }
    }
    let tools = body["toolConfig"]["tools"].as_array().into_iter().flatten();
    heard.tools = tools.filter_map(|tool| tool["toolSpec"]["name"].as_str().map(str::to_owned)).collect();
    heard.max_tokens = body["inferenceConfig"]["maxTokens"].as_u64();
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
        "inputTokens": said.input_tokens, "outputTokens": said.output_tokens,
        "totalTokens": said.input_tokens + said.output_tokens
    })
}

pub(super) fn converse(said: &Said) -> Value {
    let mut blocks = Vec::new();
    if let Some(thoughts) = &said.thoughts {
        let text = json!({ "text": thoughts, "signature": "c2lnbmVk" });
        blocks.push(json!({ "reasoningContent": { "reasoningText": text } }));
    }
    if !said.pieces.is_empty() {
        blocks.push(json!({ "text": said.text() }));
    }
    if let Some((name, _)) = &said.call {
        let call = json!({ "toolUseId": "tooluse_fake1", "name": name, "input": said.arguments() });
        blocks.push(json!({ "toolUse": call }));
    }
    json!({
        "output": { "message": { "role": "assistant", "content": blocks } }, "stopReason": finish(said),
        "usage": usage(said), "metrics": { "latencyMs": 7 }
    })
}

pub(super) fn converse_events(said: &Said) -> Vec<Bytes> {
    let mut out = Vec::new();
    let mut send = |name: &str, data: Value| {
        let mut data = data;
        data["p"] = "abcdefgh".into();
        out.push(Frame::event(name, data.to_string().as_bytes()));
    };
    send("messageStart", json!({ "role": "assistant" }));
    let mut index = 0;
    if let Some(thoughts) = &said.thoughts {
        let text = json!({ "reasoningContent": { "text": thoughts } });
        send("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": text }));
        let signature = json!({ "reasoningContent": { "signature": "c2lnbmVk" } });
        send("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": signature }));
        send("contentBlockStop", json!({ "contentBlockIndex": index }));
        index += 1;
    }
    if !said.pieces.is_empty() {
        for piece in &said.pieces {
            send("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": { "text": piece } }));
        }
        send("contentBlockStop", json!({ "contentBlockIndex": index }));
        index += 1;
    }
    if let Some((name, pieces)) = &said.call {
        let start = json!({ "toolUse": { "toolUseId": "tooluse_fake1", "name": name } });
        send("contentBlockStart", json!({ "contentBlockIndex": index, "start": start }));
        for piece in pieces {
            let delta = json!({ "toolUse": { "input": piece } });
            send("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta }));
        }
        send("contentBlockStop", json!({ "contentBlockIndex": index }));
    }
    send("messageStop", json!({ "stopReason": finish(said) }));
    send("metadata", json!({ "usage": usage(said), "metrics": { "latencyMs": 7 } }));
    out
}

/// InvokeModel of Anthropic's models: their events, wrapped.
pub(super) fn invoke_events(said: &Said) -> Vec<Bytes> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    anthropic::events(said)
        .into_iter()
        .map(|(_, data)| {
            let payload = json!({ "bytes": STANDARD.encode(data.to_string()), "p": "abcd" });
            Frame::event("chunk", payload.to_string().as_bytes())
        })
        .collect()
}
