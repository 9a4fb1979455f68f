//! Events of Anthropic's streams and the pieces of a stream.

use serde_json::{Value, json};

use super::messages::{word, write_usage};
use crate::{
    convert::{
        ConvertError, Options,
        model::{Call, Piece},
        read::usage,
    },
    family::Family,
    fault::{Fault, parse},
    meter::{Finish, Usage},
    stream::Frame,
};

/// Reads events.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    usage: Usage,
}

impl Reader {
    pub(crate) fn event(&mut self, event: Value, pieces: &mut Vec<Piece>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let slot = event["index"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                let message = &event["message"];
                pieces.push(Piece::Start { id: text(&message["id"]), model: text(&message["model"]) });
                self.usage = usage(&message["usage"]).unwrap_or_default();
            }
            "content_block_start" => {
                let block = &event["content_block"];
                match block["type"].as_str().unwrap_or_default() {
                    "tool_use" => {
                        let (id, name) = (text(&block["id"]), text(&block["name"]));
                        let call = Call { id, name, arguments: Value::Null, signature: None };
                        pieces.push(Piece::Call { choice: 0, slot, call });
                    }
                    "redacted_thinking" => {
                        pieces.push(Piece::Redacted { choice: 0, data: text(&block["data"]) });
                    }
                    "text" => said(&block["text"], |text| Piece::Text { choice: 0, text }, pieces),
                    _ => {}
                }
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                said(&delta["text"], |text| Piece::Text { choice: 0, text }, pieces);
                said(&delta["thinking"], |text| Piece::Reasoning { choice: 0, text }, pieces);
                said(&delta["signature"], |signature| Piece::Signature { choice: 0, signature }, pieces);
                said(&delta["partial_json"], |json| Piece::Arguments { choice: 0, slot, json }, pieces);
            }
            "message_delta" => {
                if let Some(word) = event["delta"]["stop_reason"].as_str() {
                    pieces.push(Piece::Finish { choice: 0, finish: Finish::of(word) });
                }
                if let Some(now) = usage(&event["usage"]) {
                    // The input is told at the start, and only by some again at the end.
                    self.usage.output = now.output;
                    if now.input > 0 {
                        self.usage = now;
                    }
                    pieces.push(Piece::Usage(self.usage));
                }
            }
            "error" => pieces.push(Piece::Fault { status: 502, error: event }),
            _ => {}
        }
    }
}

fn said(value: &Value, piece: impl FnOnce(String) -> Piece, pieces: &mut Vec<Piece>) {
    if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
        pieces.push(piece(text.to_owned()));
    }
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call(u32),
}

/// Writes events. Blocks come one after another: one ends where something else begins.
#[derive(Debug)]
pub(crate) struct Writer {
    model: String,
    open: Option<Kind>,
    /// The number of the next block.
    next: u32,
    closed_calls: Vec<u32>,
    finish: Option<Finish>,
    usage: Usage,
    failed: bool,
}

impl Writer {
    pub(crate) fn new(options: &Options<'_>) -> Self {
        Self {
            model: options.model.to_owned(),
            open: None,
            next: 0,
            closed_calls: Vec::new(),
            finish: None,
            usage: Usage::default(),
            failed: false,
        }
    }

    pub(crate) fn piece(&mut self, piece: Piece, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        match piece {
            Piece::Start { id, model } => {
                let model = if model.is_empty() { self.model.clone() } else { model };
                let message = json!({
                    "id": id, "type": "message", "role": "assistant", "model": model, "content": [],
                    "stop_reason": null, "stop_sequence": null, "usage": write_usage(Usage::default())
                });
                send("message_start", json!({ "message": message }), out);
            }
            // Further alternatives have no place in a message.
            Piece::Text { choice: 1.., .. }
            | Piece::Reasoning { choice: 1.., .. }
            | Piece::Signature { choice: 1.., .. }
            | Piece::Redacted { choice: 1.., .. }
            | Piece::Call { choice: 1.., .. }
            | Piece::Arguments { choice: 1.., .. }
            | Piece::Finish { choice: 1.., .. } => {}
            Piece::Text { text, .. } => {
                self.begin(Kind::Text, &json!({ "type": "text", "text": "" }), out)?;
                self.delta(&json!({ "type": "text_delta", "text": text }), out);
            }
            Piece::Reasoning { text, .. } => {
                self.begin(
                    Kind::Thinking,
                    &json!({ "type": "thinking", "thinking": "", "signature": "" }),
                    out,
                )?;
                self.delta(&json!({ "type": "thinking_delta", "thinking": text }), out);
            }
            Piece::Signature { signature, .. } => {
                self.begin(
                    Kind::Thinking,
                    &json!({ "type": "thinking", "thinking": "", "signature": "" }),
                    out,
                )?;
                self.delta(&json!({ "type": "signature_delta", "signature": signature }), out);
            }
            Piece::Redacted { data, .. } => {
                self.close(out);
                let index = self.next;
                self.next += 1;
                let block = json!({ "type": "redacted_thinking", "data": data });
                send("content_block_start", json!({ "index": index, "content_block": block }), out);
                send("content_block_stop", json!({ "index": index }), out);
            }
            Piece::Call { slot, call, .. } => {
                let block = json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} });
                self.begin(Kind::Call(slot), &block, out)?;
            }
            Piece::Arguments { slot, json, .. } => {
                if self.open != Some(Kind::Call(slot)) {
                    return Err(ConvertError::MixedToolCalls);
                }
                self.delta(&json!({ "type": "input_json_delta", "partial_json": json }), out);
            }
            Piece::Finish { finish, .. } => self.finish = Some(finish),
            Piece::Usage(usage) => self.usage = usage,
            Piece::Fault { status, error } => {
                self.failed = true;
                let told = parse(status, error.to_string().as_bytes());
                let body = Fault::new(told.kind, &told.message).body(Family::Anthropic);
                out.extend_from_slice(&Frame::sse(Some("error"), &body));
            }
            Piece::End => self.end(out),
        }
        Ok(())
    }

    fn begin(&mut self, kind: Kind, block: &Value, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        if self.open == Some(kind) {
            return Ok(());
        }
        self.close(out);
        if let Kind::Call(slot) = kind {
            if self.closed_calls.contains(&slot) {
                return Err(ConvertError::MixedToolCalls);
            }
            self.closed_calls.push(slot);
        }
        send("content_block_start", json!({ "index": self.next, "content_block": block }), out);
        self.open = Some(kind);
        Ok(())
    }

    fn delta(&self, delta: &Value, out: &mut Vec<u8>) {
        send("content_block_delta", json!({ "index": self.next, "delta": delta }), out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            send("content_block_stop", json!({ "index": self.next }), out);
            self.next += 1;
        }
    }

    /// The reason comes last, with the usage, which vendors send behind their reason.
    fn end(&mut self, out: &mut Vec<u8>) {
        let Some(finish) = self.finish.take().filter(|_| !self.failed) else { return };
        self.close(out);
        let delta = json!({ "stop_reason": word(&finish), "stop_sequence": null });
        send("message_delta", json!({ "delta": delta, "usage": write_usage(self.usage) }), out);
        send("message_stop", json!({}), out);
    }
}

fn send(kind: &str, data: Value, out: &mut Vec<u8>) {
    let mut event = json!({ "type": kind });
    if let (Value::Object(event), Value::Object(data)) = (&mut event, data) {
        event.extend(data);
    }
    out.extend_from_slice(&Frame::sse(Some(kind), event.to_string().as_bytes()));
}
