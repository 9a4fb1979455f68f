//! The pieces of a stream as events of a response.

use serde_json::{Value, json};

use super::responses::{Head, begun, function_call, message, output_text, reasoning, response};
use crate::{
    convert::{
        ConvertError, Options,
        model::{Call, Piece},
    },
    fault::{Fault, parse},
    meter::{Finish, Usage},
    shape::Shape,
    stream::{Frame, Framing},
};

/// The item that is being said.
#[derive(Debug)]
enum Open {
    Message(String),
    Reasoning(String, Option<String>),
    Call(u32, Call, String),
}

/// Writes events. Items come one after another: one is done where another begins.
#[derive(Debug)]
pub(crate) struct Writer {
    id: String,
    model: String,
    created: u64,
    sequence: u64,
    open: Option<Open>,
    done: Vec<Value>,
    closed_calls: Vec<u32>,
    finish: Option<Finish>,
    usage: Option<Usage>,
    failed: bool,
}

impl Writer {
    pub(crate) fn new(options: &Options<'_>) -> Self {
        Self {
            id: String::new(),
            model: options.model.to_owned(),
            created: options.created,
            sequence: 0,
            open: None,
            done: Vec::new(),
            closed_calls: Vec::new(),
            finish: None,
            usage: None,
            failed: false,
        }
    }

    pub(crate) fn piece(&mut self, piece: Piece, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        match piece {
            Piece::Start { id, model } => {
                self.id = id;
                if !model.is_empty() {
                    self.model = model;
                }
                let response = begun(&self.head());
                self.send("response.created", json!({ "response": response }), out);
                self.send("response.in_progress", json!({ "response": response }), out);
            }
            // Further alternatives have no place in a response.
            Piece::Text { choice: 1.., .. }
            | Piece::Reasoning { choice: 1.., .. }
            | Piece::Signature { choice: 1.., .. }
            | Piece::Call { choice: 1.., .. }
            | Piece::Arguments { choice: 1.., .. }
            | Piece::Finish { choice: 1.., .. }
            | Piece::Redacted { .. } => {}
            Piece::Text { text, .. } => {
                self.begin_message(out);
                if let Some(Open::Message(said)) = &mut self.open {
                    said.push_str(&text);
                }
                let data = self.at(json!({ "content_index": 0, "delta": text, "logprobs": [] }), "msg");
                self.send("response.output_text.delta", data, out);
            }
            Piece::Reasoning { text, .. } => {
                self.begin_reasoning(out);
                if let Some(Open::Reasoning(said, _)) = &mut self.open {
                    said.push_str(&text);
                }
                let data = self.at(json!({ "summary_index": 0, "delta": text }), "rs");
                self.send("response.reasoning_summary_text.delta", data, out);
            }
            Piece::Signature { signature, .. } => {
                self.begin_reasoning(out);
                if let Some(Open::Reasoning(_, known)) = &mut self.open {
                    *known = Some(signature);
                }
            }
            Piece::Call { slot, call, .. } => {
                self.close(out);
                if self.closed_calls.contains(&slot) {
                    return Err(ConvertError::MixedToolCalls);
                }
                self.closed_calls.push(slot);
                let item = function_call(self.done.len(), &call, "", "in_progress");
                self.open = Some(Open::Call(slot, call, String::new()));
                self.send(
                    "response.output_item.added",
                    json!({ "output_index": self.done.len(), "item": item }),
                    out,
                );
            }
            Piece::Arguments { slot, json, .. } => {
                match &mut self.open {
                    Some(Open::Call(open, _, said)) if *open == slot => said.push_str(&json),
                    _ => return Err(ConvertError::MixedToolCalls),
                }
                let data = self.at(json!({ "delta": json }), "fc");
                self.send("response.function_call_arguments.delta", data, out);
            }
            Piece::Finish { finish, .. } => self.finish = Some(finish),
            Piece::Usage(usage) => self.usage = Some(usage),
            Piece::Fault { status, error } => {
                self.failed = true;
                let told = parse(status, error.to_string().as_bytes());
                let event = Fault::new(told.kind, &told.message).event(Shape::Responses, Framing::Sse);
                out.extend_from_slice(&event);
            }
            Piece::End => self.end(out),
        }
        Ok(())
    }

    fn head(&self) -> Head<'_> {
        Head { id: &self.id, model: &self.model, created: self.created }
    }

    /// Data of an event with the item that it is of.
    fn at(&self, mut data: Value, stem: &str) -> Value {
        let number = self.done.len();
        data["output_index"] = number.into();
        data["item_id"] = format!("{stem}_{number}").into();
        data
    }

    fn begin_message(&mut self, out: &mut Vec<u8>) {
        if matches!(self.open, Some(Open::Message(_))) {
            return;
        }
        self.close(out);
        self.open = Some(Open::Message(String::new()));
        let number = self.done.len();
        let item = message(number, &[], "in_progress");
        self.send("response.output_item.added", json!({ "output_index": number, "item": item }), out);
        let data = self.at(json!({ "content_index": 0, "part": output_text("") }), "msg");
        self.send("response.content_part.added", data, out);
    }

    fn begin_reasoning(&mut self, out: &mut Vec<u8>) {
        if matches!(self.open, Some(Open::Reasoning(..))) {
            return;
        }
        self.close(out);
        self.open = Some(Open::Reasoning(String::new(), None));
        let number = self.done.len();
        let item = reasoning(number, "", None);
        self.send("response.output_item.added", json!({ "output_index": number, "item": item }), out);
        let part = json!({ "type": "summary_text", "text": "" });
        let data = self.at(json!({ "summary_index": 0, "part": part }), "rs");
        self.send("response.reasoning_summary_part.added", data, out);
    }

    /// Says again what was said, three times, as the API does.
    fn close(&mut self, out: &mut Vec<u8>) {
        let number = self.done.len();
        let item = match self.open.take() {
            None => return,
            Some(Open::Message(said)) => {
                let part = output_text(&said);
                let data = self.at(json!({ "content_index": 0, "text": said, "logprobs": [] }), "msg");
                self.send("response.output_text.done", data, out);
                let data = self.at(json!({ "content_index": 0, "part": part }), "msg");
                self.send("response.content_part.done", data, out);
                message(number, &[part], "completed")
            }
            Some(Open::Reasoning(said, signature)) => {
                let part = json!({ "type": "summary_text", "text": said });
                let data = self.at(json!({ "summary_index": 0, "text": said }), "rs");
                self.send("response.reasoning_summary_text.done", data, out);
                let data = self.at(json!({ "summary_index": 0, "part": part }), "rs");
                self.send("response.reasoning_summary_part.done", data, out);
                reasoning(number, &said, signature.as_deref())
            }
            Some(Open::Call(_, call, said)) => {
                let data = self.at(json!({ "name": call.name, "arguments": said }), "fc");
                self.send("response.function_call_arguments.done", data, out);
                function_call(number, &call, &said, "completed")
            }
        };
        self.send("response.output_item.done", json!({ "output_index": number, "item": item }), out);
        self.done.push(item);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let Some(finish) = self.finish.take().filter(|_| !self.failed) else { return };
        self.close(out);
        let response = response(&self.head(), &self.done, Some(&finish), self.usage);
        let kind =
            if response["status"] == "completed" { "response.completed" } else { "response.incomplete" };
        self.send(kind, json!({ "response": response }), out);
    }

    fn send(&mut self, kind: &str, data: Value, out: &mut Vec<u8>) {
        let mut event = json!({ "type": kind, "sequence_number": self.sequence });
        self.sequence += 1;
        if let (Value::Object(event), Value::Object(data)) = (&mut event, data) {
            event.extend(data);
        }
        out.extend_from_slice(&Frame::sse(Some(kind), event.to_string().as_bytes()));
    }
}
