//! Chunks of Gemini's streams and the pieces of a stream.

use serde_json::{Map, Value, json};

use super::generate::{Ids, finish, read_part, word, write_usage};
use crate::{
    convert::{
        Options,
        model::{Call, Part, Piece},
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
    ids: Ids,
    calls: u32,
}

impl Reader {
    pub(crate) fn event(&mut self, chunk: Value, pieces: &mut Vec<Piece>) {
        if chunk.get("error").is_some() {
            let status = chunk["error"]["code"].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(502);
            pieces.push(Piece::Fault { status, error: chunk });
            return;
        }
        if !self.begun {
            self.begun = true;
            let text = |name: &str| chunk[name].as_str().unwrap_or_default().to_owned();
            self.ids = Ids::of(&text("responseId"));
            pieces.push(Piece::Start { id: text("responseId"), model: text("modelVersion") });
        }
        for (n, candidate) in chunk["candidates"].as_array().into_iter().flatten().enumerate() {
            self.candidate(n, candidate, pieces);
        }
        if chunk["promptFeedback"].get("blockReason").is_some() {
            pieces.push(Piece::Finish { choice: 0, finish: Finish::ContentFilter });
        }
        if let Some(usage) = chunk.get("usageMetadata").and_then(usage) {
            pieces.push(Piece::Usage(usage));
        }
    }

    fn candidate(&mut self, n: usize, candidate: &Value, pieces: &mut Vec<Piece>) {
        let choice = candidate["index"].as_u64().map_or(n, |n| n as usize);
        let choice = u32::try_from(choice).unwrap_or(u32::MAX);
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            let Value::Object(part) = part.clone() else { continue };
            match read_part(part, &mut self.ids, None) {
                Ok(Some(Part::Text(text))) if !text.is_empty() => pieces.push(Piece::Text { choice, text }),
                Ok(Some(Part::Reasoning { text, signature })) => {
                    if !text.is_empty() {
                        pieces.push(Piece::Reasoning { choice, text });
                    }
                    pieces.extend(signature.map(|signature| Piece::Signature { choice, signature }));
                }
                Ok(Some(Part::Call(call))) => {
                    let slot = self.calls;
                    self.calls += 1;
                    let json = call.arguments.to_string();
                    pieces.push(Piece::Call { choice, slot, call });
                    pieces.push(Piece::Arguments { choice, slot, json });
                }
                // Images and run code have no place in the streams of others.
                _ => {}
            }
        }
        if let Some(word) = candidate["finishReason"].as_str() {
            pieces.push(Piece::Finish { choice, finish: finish(word, self.calls > 0) });
        }
    }
}

/// Writes chunks. Tool calls go out whole, as Gemini has no pieces of them.
#[derive(Debug)]
pub(crate) struct Writer {
    id: String,
    model: String,
    /// Calls that are being gathered: choice, slot, call, its arguments so far.
    calls: Vec<(u32, u32, Call, String)>,
    finish: Vec<(u32, Finish)>,
    usage: Option<Usage>,
    failed: bool,
}

impl Writer {
    pub(crate) fn new(options: &Options<'_>) -> Self {
        Self {
            id: String::new(),
            model: options.model.to_owned(),
            calls: Vec::new(),
            finish: Vec::new(),
            usage: None,
            failed: false,
        }
    }

    pub(crate) fn piece(&mut self, piece: Piece, out: &mut Vec<u8>) {
        match piece {
            Piece::Start { id, model } => {
                self.id = id;
                if !model.is_empty() {
                    self.model = model;
                }
            }
            Piece::Text { choice, text } => self.part(choice, &json!({ "text": text }), out),
            Piece::Reasoning { choice, text } => {
                self.part(choice, &json!({ "text": text, "thought": true }), out);
            }
            Piece::Signature { choice, signature } => {
                let part = json!({ "text": "", "thought": true, "thoughtSignature": signature });
                self.part(choice, &part, out);
            }
            Piece::Redacted { .. } => {}
            Piece::Call { choice, slot, call } => self.calls.push((choice, slot, call, String::new())),
            Piece::Arguments { choice, slot, json } => {
                let of = |call: &&mut (u32, u32, Call, String)| (call.0, call.1) == (choice, slot);
                if let Some(call) = self.calls.iter_mut().find(of) {
                    call.3.push_str(&json);
                }
            }
            Piece::Finish { choice, finish } => {
                self.finish.push((choice, finish));
                self.send_calls(choice, out);
            }
            Piece::Usage(usage) => self.usage = Some(usage),
            Piece::Fault { status, error } => {
                self.failed = true;
                let told = parse(status, error.to_string().as_bytes());
                let body = Fault::new(told.kind, &told.message).body(Family::Gemini);
                out.extend_from_slice(&Frame::sse(None, &body));
            }
            Piece::End => self.end(out),
        }
    }

    fn send_calls(&mut self, choice: u32, out: &mut Vec<u8>) {
        let calls = std::mem::take(&mut self.calls);
        let (ready, others) = calls.into_iter().partition(|call| call.0 == choice);
        self.calls = others;
        let ready: Vec<(u32, u32, Call, String)> = ready;
        for (_, _, call, json) in ready {
            // Arguments cut short by the limit of tokens are no JSON: the call cannot be made, and is shown without.
            let args = serde_json::from_str(&json).unwrap_or_else(|_| json!({}));
            let mut part = json!({ "functionCall": { "id": call.id, "name": call.name, "args": args } });
            if let Some(signature) = call.signature {
                part["thoughtSignature"] = signature.into();
            }
            self.part(choice, &part, out);
        }
    }

    fn part(&self, choice: u32, part: &Value, out: &mut Vec<u8>) {
        let candidate = json!({ "content": { "role": "model", "parts": [part] }, "index": choice });
        let mut chunk = self.chunk();
        chunk.insert("candidates".to_owned(), json!([candidate]));
        send(chunk, out);
    }

    /// The reasons and the usage go out together, last, as Gemini sends them.
    fn end(&mut self, out: &mut Vec<u8>) {
        if self.failed || self.finish.is_empty() {
            return;
        }
        let candidates: Vec<Value> = self
            .finish
            .iter()
            .map(|(choice, finish)| {
                json!({
                    "content": { "role": "model", "parts": [{ "text": "" }] },
                    "finishReason": word(finish), "index": choice
                })
            })
            .collect();
        let mut chunk = self.chunk();
        chunk.insert("candidates".to_owned(), candidates.into());
        if let Some(usage) = self.usage {
            chunk.insert("usageMetadata".to_owned(), write_usage(usage));
        }
        send(chunk, out);
    }

    fn chunk(&self) -> Map<String, Value> {
        match json!({ "modelVersion": self.model, "responseId": self.id }) {
            Value::Object(chunk) => chunk,
            _ => Map::new(),
        }
    }
}

fn send(chunk: Map<String, Value>, out: &mut Vec<u8>) {
    out.extend_from_slice(&Frame::sse(None, Value::from(chunk).to_string().as_bytes()));
}
