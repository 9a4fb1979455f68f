//! Chunks of chat completions and the pieces of a stream.

use serde_json::{Map, Value, json};

use super::chat::{word, write_usage};
use crate::{
    convert::{
        Options,
        model::{Call, Piece},
        read::usage,
    },
    family::Family,
    fault::{Fault, parse},
    meter::{Finish, Usage},
    stream::Frame,
};

/// Reads chunks.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    begun: bool,
    /// Calls that have begun, by choice and index.
    calls: Vec<(u32, u32)>,
}

impl Reader {
    pub(crate) fn event(&mut self, chunk: Value, pieces: &mut Vec<Piece>) {
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            pieces.push(Piece::Fault { status: 502, error: chunk });
            return;
        }
        let text = |name: &str| chunk.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if !self.begun {
            self.begun = true;
            pieces.push(Piece::Start { id: text("id"), model: text("model") });
        }
        for choice in chunk.get("choices").and_then(Value::as_array).into_iter().flatten() {
            self.choice(choice, pieces);
        }
        if let Some(usage) = chunk.get("usage").and_then(usage) {
            pieces.push(Piece::Usage(usage));
        }
    }

    fn choice(&mut self, from: &Value, pieces: &mut Vec<Piece>) {
        let choice = index(from);
        let delta = &from["delta"];
        for name in ["reasoning_content", "reasoning"] {
            if let Some(text) = said(&delta[name]) {
                pieces.push(Piece::Reasoning { choice, text });
                break;
            }
        }
        for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
            if let Some(signature) = said(&detail["signature"]) {
                pieces.push(Piece::Signature { choice, signature });
            }
        }
        let parts = delta["content"].as_array().into_iter().flatten().map(|part| &part["text"]);
        for text in [&delta["content"], &delta["refusal"]].into_iter().chain(parts).filter_map(said) {
            pieces.push(Piece::Text { choice, text });
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.call(choice, call, pieces);
        }
        if let Some(word) = from["finish_reason"].as_str() {
            pieces.push(Piece::Finish { choice, finish: Finish::of(word) });
        }
    }

    fn call(&mut self, choice: u32, call: &Value, pieces: &mut Vec<Piece>) {
        let slot = index(call);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if !self.calls.contains(&(choice, slot)) {
            self.calls.push((choice, slot));
            let signature = call.pointer("/extra_content/google/thought_signature").map(text);
            let name = text(&call["function"]["name"]);
            let call = Call { id: text(&call["id"]), name, arguments: Value::Null, signature };
            pieces.push(Piece::Call { choice, slot, call });
        }
        if let Some(json) = said(&call["function"]["arguments"]) {
            pieces.push(Piece::Arguments { choice, slot, json });
        }
    }
}

fn index(of: &Value) -> u32 {
    of["index"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

/// A text that is there and not empty.
fn said(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Writes chunks.
#[derive(Debug)]
pub(crate) struct Writer {
    id: String,
    model: String,
    created: u64,
    wants_usage: bool,
    /// Chunks of completions instead.
    plain: bool,
    usage: Option<Usage>,
    finished: bool,
    failed: bool,
    /// Choices that have begun.
    begun: Vec<u32>,
    /// Calls that have begun, with the number they have within their choice.
    calls: Vec<(u32, u32)>,
}

impl Writer {
    pub(crate) fn new(options: &Options<'_>, plain: bool) -> Self {
        Self {
            id: String::new(),
            model: options.model.to_owned(),
            created: options.created,
            wants_usage: options.stream_usage,
            plain,
            usage: None,
            finished: false,
            failed: false,
            begun: Vec::new(),
            calls: Vec::new(),
        }
    }

    pub(crate) fn piece(&mut self, piece: Piece, out: &mut Vec<u8>) {
        match piece {
            Piece::Start { id, model } => {
                self.id = id;
                if !model.is_empty() {
                    self.model = model;
                }
                if !self.plain {
                    self.delta(0, json!({}), None, out);
                }
            }
            Piece::Text { choice, text } => self.delta(choice, json!({ "content": text }), None, out),
            Piece::Reasoning { choice, text } => {
                self.delta(choice, json!({ "reasoning_content": text }), None, out);
            }
            Piece::Signature { choice, signature } => {
                let detail = json!([{ "type": "reasoning.text", "text": "", "signature": signature }]);
                self.delta(choice, json!({ "reasoning_details": detail }), None, out);
            }
            Piece::Redacted { choice, data } => {
                let detail = json!([{ "type": "reasoning.encrypted", "data": data }]);
                self.delta(choice, json!({ "reasoning_details": detail }), None, out);
            }
            Piece::Call { choice, slot, call } => {
                self.calls.push((choice, slot));
                let index = self.number(choice, slot);
                let mut written = json!({
                    "index": index, "id": call.id, "type": "function",
                    "function": { "name": call.name, "arguments": "" }
                });
                if let Some(signature) = call.signature {
                    written["extra_content"] = json!({ "google": { "thought_signature": signature } });
                }
                self.delta(choice, json!({ "tool_calls": [written] }), None, out);
            }
            Piece::Arguments { choice, slot, json } => {
                let index = self.number(choice, slot);
                let call = json!({ "index": index, "function": { "arguments": json } });
                self.delta(choice, json!({ "tool_calls": [call] }), None, out);
            }
            Piece::Finish { choice, finish } => {
                self.finished = true;
                self.delta(choice, json!({}), Some(&finish), out);
            }
            Piece::Usage(usage) => self.usage = Some(usage),
            Piece::Fault { status, error } => {
                self.failed = true;
                let told = parse(status, error.to_string().as_bytes());
                let body = Fault::new(told.kind, &told.message).body(Family::OpenAi);
                out.extend_from_slice(&Frame::sse(None, &body));
            }
            Piece::End => self.end(out),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.failed || !self.finished {
            return;
        }
        if let Some(usage) = self.usage.filter(|_| self.wants_usage) {
            let mut chunk = self.chunk();
            chunk.insert("choices".to_owned(), json!([]));
            chunk.insert("usage".to_owned(), write_usage(usage));
            send(chunk, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// The number of a call within its choice.
    fn number(&self, choice: u32, slot: u32) -> usize {
        self.calls.iter().filter(|(of, _)| *of == choice).position(|(_, known)| *known == slot).unwrap_or(0)
    }

    fn delta(&mut self, choice: u32, mut delta: Value, finish: Option<&Finish>, out: &mut Vec<u8>) {
        let mut chunk = self.chunk();
        let finish = finish.map_or(Value::Null, |finish| word(finish).into());
        let written = if self.plain {
            let text = delta["content"].take();
            let text = if text.is_null() { "".into() } else { text };
            json!({ "index": choice, "text": text, "logprobs": null, "finish_reason": finish })
        } else {
            if !self.begun.contains(&choice) {
                self.begun.push(choice);
                delta["role"] = "assistant".into();
                if delta.get("content").is_none() {
                    delta["content"] = "".into();
                }
            }
            json!({ "index": choice, "delta": delta, "logprobs": null, "finish_reason": finish })
        };
        chunk.insert("choices".to_owned(), json!([written]));
        if self.wants_usage {
            chunk.insert("usage".to_owned(), Value::Null);
        }
        send(chunk, out);
    }

    fn chunk(&self) -> Map<String, Value> {
        let object = if self.plain { "text_completion" } else { "chat.completion.chunk" };
        let chunk = json!({ "id": self.id, "object": object, "created": self.created, "model": self.model });
        match chunk {
            Value::Object(chunk) => chunk,
            _ => Map::new(),
        }
    }
}

fn send(chunk: Map<String, Value>, out: &mut Vec<u8>) {
    out.extend_from_slice(&Frame::sse(None, Value::from(chunk).to_string().as_bytes()));
}
