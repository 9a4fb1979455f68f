//! Google's wire.

use bytes::Bytes;
use mortise_llm::stream::Frame;
use serde_json::{Value, json};

use super::{
    openai::vector,
    said::{Heard, Said, texts},
};

pub(super) fn hear(body: &Value) -> Heard {
    let mut heard = Heard::default();
    let contents = body["contents"].as_array().into_iter().flatten();
    for content in contents.filter(|content| content["role"] != "model") {
        heard.tool = None;
        let said = texts(&content["parts"]);
        if !said.is_empty() {
            heard.user = said;
        }
        for part in content["parts"].as_array().into_iter().flatten() {
            let response = &part["functionResponse"]["response"];
            if response.is_object() {
                let told = ["output", "result"].iter().find_map(|name| response[*name].as_str());
                heard.tool = Some(told.map_or_else(|| response.to_string(), str::to_owned));
            }
        }
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        let functions = tool["functionDeclarations"].as_array().into_iter().flatten();
        heard.tools.extend(functions.filter_map(|function| function["name"].as_str().map(str::to_owned)));
    }
    heard.max_tokens = body["generationConfig"]["maxOutputTokens"].as_u64();
    heard
}

fn usage(said: &Said) -> Value {
    json!({
        "promptTokenCount": said.input_tokens, "candidatesTokenCount": said.output_tokens,
        "totalTokenCount": said.input_tokens + said.output_tokens
    })
}

fn chunk(said: &Said, parts: &Value, finish: Option<&str>) -> Value {
    let mut candidate = json!({ "content": { "role": "model", "parts": parts }, "index": 0 });
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    let mut chunk = json!({
        "candidates": [candidate], "modelVersion": said.model, "responseId": "gemfake"
    });
    if said.usage {
        chunk["usageMetadata"] = usage(said);
    }
    chunk
}

fn call(said: &Said) -> Option<Value> {
    let (name, _) = said.call.as_ref()?;
    Some(json!({ "functionCall": { "name": name, "args": said.arguments() } }))
}

pub(super) fn answer(said: &Said) -> Value {
    let mut parts = Vec::new();
    parts.extend(said.thoughts.as_ref().map(|text| json!({ "text": text, "thought": true })));
    if !said.pieces.is_empty() {
        parts.push(json!({ "text": said.text() }));
    }
    parts.extend(call(said));
    chunk(said, &parts.into(), Some(if said.cut { "MAX_TOKENS" } else { "STOP" }))
}

pub(super) fn events(said: &Said, array: bool) -> Vec<Bytes> {
    let mut parts: Vec<Value> = Vec::new();
    parts.extend(said.thoughts.as_ref().map(|text| json!({ "text": text, "thought": true })));
    parts.extend(said.pieces.iter().map(|piece| json!({ "text": piece })));
    parts.extend(call(said));
    let last = parts.len().saturating_sub(1);
    let reason = if said.cut { "MAX_TOKENS" } else { "STOP" };
    let chunks = parts
        .into_iter()
        .enumerate()
        .map(|(n, part)| chunk(said, &json!([part]), (n == last).then_some(reason)));
    let chunks: Vec<String> = chunks.map(|chunk| chunk.to_string()).collect();
    if !array {
        return chunks.iter().map(|chunk| Frame::sse(None, chunk.as_bytes())).collect();
    }
    let mut out: Vec<Bytes> = Vec::new();
    for (n, chunk) in chunks.into_iter().enumerate() {
        out.push(format!("{}{chunk}", if n == 0 { "[" } else { "\n,\r\n" }).into());
    }
    out.push(Bytes::from_static(b"\n]\n"));
    out
}

pub(super) fn embeddings(body: &Value) -> Value {
    let values = |one: &Value| json!({ "values": vector(&texts(&one["content"])) });
    match body["requests"].as_array() {
        Some(several) => json!({ "embeddings": several.iter().map(values).collect::<Vec<_>>() }),
        None => json!({ "embedding": values(body) }),
    }
}

pub(super) fn models() -> Value {
    let model = |name: &str| {
        json!({
            "name": format!("models/{name}"), "displayName": name, "inputTokenLimit": 1000,
            "supportedGenerationMethods": ["generateContent"]
        })
    };
    json!({ "models": [model("fake-large"), model("fake-small")] })
}
