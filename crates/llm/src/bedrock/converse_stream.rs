//! Events of Converse streams and the pieces of a stream.

use serde_json::{Value, json};

use super::converse::{word, write_usage};
use crate::{
    convert::{
        ConvertError,
        model::{Call, Piece},
        read::usage,
    },
    family::Family,
    fault::{Fault, FaultKind, parse},
    meter::{Finish, Usage},
    stream::Frame,
};

/// Reads events.
#[derive(Debug, Default)]
pub(crate) struct Reader;

impl Reader {
    pub(crate) fn event(&mut self, name: &str, event: Value, pieces: &mut Vec<Piece>) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let slot = event["contentBlockIndex"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        match name {
            // Bedrock gives its answers neither an id nor a model.
            "messageStart" => pieces.push(Piece::Start { id: String::new(), model: String::new() }),
            "contentBlockStart" => {
                if let Some(call) = event["start"].get("toolUse") {
                    let (id, name) = (text(&call["toolUseId"]), text(&call["name"]));
                    let call = Call { id, name, arguments: Value::Null, signature: None };
                    pieces.push(Piece::Call { choice: 0, slot, call });
                }
            }
            "contentBlockDelta" => {
                let delta = &event["delta"];
                let thoughts = &delta["reasoningContent"];
                let said = |value: &Value| value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
                pieces.extend(said(&delta["text"]).map(|text| Piece::Text { choice: 0, text }));
                pieces.extend(said(&thoughts["text"]).map(|text| Piece::Reasoning { choice: 0, text }));
                pieces.extend(
                    said(&thoughts["signature"]).map(|signature| Piece::Signature { choice: 0, signature }),
                );
                pieces.extend(
                    said(&thoughts["redactedContent"]).map(|data| Piece::Redacted { choice: 0, data }),
                );
                pieces.extend(said(&delta["toolUse"]["input"]).map(|json| Piece::Arguments {
                    choice: 0,
                    slot,
                    json,
                }));
            }
            "messageStop" => {
                let finish = Finish::of(event["stopReason"].as_str().unwrap_or_default());
                pieces.push(Piece::Finish { choice: 0, finish });
            }
            "metadata" => pieces.extend(usage(&event["usage"]).map(Piece::Usage)),
            _ if name.ends_with("xception") => {
                let kind = match name {
                    "throttlingException" => FaultKind::RateLimited,
                    "serviceUnavailableException" => FaultKind::Unavailable,
                    "validationException" => FaultKind::InvalidRequest,
                    _ => FaultKind::Upstream,
                };
                pieces.push(Piece::Fault { status: kind.status(), error: event });
            }
            _ => {}
        }
    }
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call(u32),
}

/// Writes events. Blocks come one after another, as in Anthropic's streams.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    open: Option<Kind>,
    next: u32,
    closed_calls: Vec<u32>,
    finish: Option<Finish>,
    usage: Usage,
    failed: bool,
}

impl Writer {
    pub(crate) fn piece(&mut self, piece: Piece, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        match piece {
            Piece::Start { .. } => send("messageStart", &json!({ "role": "assistant" }), out),
            // Further alternatives have no place here.
            Piece::Text { choice: 1.., .. }
            | Piece::Reasoning { choice: 1.., .. }
            | Piece::Signature { choice: 1.., .. }
            | Piece::Redacted { choice: 1.., .. }
            | Piece::Call { choice: 1.., .. }
            | Piece::Arguments { choice: 1.., .. }
            | Piece::Finish { choice: 1.., .. } => {}
            Piece::Text { text, .. } => self.delta(Kind::Text, &json!({ "text": text }), out),
            Piece::Reasoning { text, .. } => {
                self.delta(Kind::Thinking, &json!({ "reasoningContent": { "text": text } }), out);
            }
            Piece::Signature { signature, .. } => {
                self.delta(Kind::Thinking, &json!({ "reasoningContent": { "signature": signature } }), out);
            }
            Piece::Redacted { data, .. } => {
                self.delta(Kind::Thinking, &json!({ "reasoningContent": { "redactedContent": data } }), out);
            }
            Piece::Call { slot, call, .. } => {
                self.close(out);
                if self.closed_calls.contains(&slot) {
                    return Err(ConvertError::MixedToolCalls);
                }
                self.closed_calls.push(slot);
                let start = json!({ "toolUse": { "toolUseId": call.id, "name": call.name } });
                send("contentBlockStart", &json!({ "contentBlockIndex": self.next, "start": start }), out);
                self.open = Some(Kind::Call(slot));
            }
            Piece::Arguments { slot, json, .. } => {
                if self.open != Some(Kind::Call(slot)) {
                    return Err(ConvertError::MixedToolCalls);
                }
                self.delta(Kind::Call(slot), &json!({ "toolUse": { "input": json } }), out);
            }
            Piece::Finish { finish, .. } => self.finish = Some(finish),
            Piece::Usage(usage) => self.usage = usage,
            Piece::Fault { status, error } => {
                self.failed = true;
                let told = parse(status, error.to_string().as_bytes());
                let fault = Fault::new(told.kind, &told.message);
                let body = fault.body(Family::Bedrock);
                out.extend_from_slice(&Frame::exception("modelStreamErrorException", &body));
            }
            Piece::End => self.end(out),
        }
        Ok(())
    }

    fn delta(&mut self, kind: Kind, delta: &Value, out: &mut Vec<u8>) {
        if self.open != Some(kind) {
            self.close(out);
            self.open = Some(kind);
        }
        send("contentBlockDelta", &json!({ "contentBlockIndex": self.next, "delta": delta }), out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            send("contentBlockStop", &json!({ "contentBlockIndex": self.next }), out);
            self.next += 1;
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let Some(finish) = self.finish.take().filter(|_| !self.failed) else { return };
        self.close(out);
        send("messageStop", &json!({ "stopReason": word(&finish) }), out);
        let metadata = json!({ "usage": write_usage(self.usage), "metrics": { "latencyMs": 0 } });
        send("metadata", &metadata, out);
    }
}

fn send(name: &str, data: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(&Frame::event(name, data.to_string().as_bytes()));
}
