//! A stream put together as the answer that the vendor would have given at once.
//!
//! For who looks at complete answers: guards without windows, records, caches. What nobody knows is merged as chunks
//! are: texts one after another, objects member by member, and of anything else the last.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{anthropic, bedrock, gemini, openai, shape::Shape, stream::Frame};

#[cfg(test)]
mod tests;

/// The answer has become larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not put a stream together that is larger than {max} bytes")]
pub struct TooLarge {
    /// The limit.
    pub max: usize,
}

enum Kind {
    Chat(openai::assemble::Chat),
    Responses(openai::assemble::Responses),
    Messages(anthropic::assemble::Messages),
    Generate(gemini::assemble::Generate),
    Converse(bedrock::assemble::Converse),
    /// Events as they are, in a list.
    Unknown(Vec<Value>),
}

/// Puts a stream together.
pub struct Assembler {
    kind: Kind,
    max: usize,
    taken: usize,
}

impl std::fmt::Debug for Assembler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assembler").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Assembler {
    /// An assembler for streams of this shape, of events that are at most `max` bytes together.
    #[must_use]
    pub fn new(shape: Shape, max: usize) -> Self {
        let kind = match shape {
            Shape::Chat | Shape::Completions => Kind::Chat(openai::assemble::Chat::default()),
            Shape::Responses => Kind::Responses(openai::assemble::Responses::default()),
            Shape::Messages | Shape::InvokeMessages => {
                Kind::Messages(anthropic::assemble::Messages::default())
            }
            Shape::Generate => Kind::Generate(gemini::assemble::Generate::default()),
            Shape::Converse => Kind::Converse(bedrock::assemble::Converse::default()),
            _ => Kind::Unknown(Vec::new()),
        };
        Self { kind, max, taken: 0 }
    }

    /// Takes an event. Events that are no JSON are left out.
    ///
    /// # Errors
    /// [`TooLarge`], and then always.
    pub fn frame(&mut self, frame: &Frame) -> Result<(), TooLarge> {
        self.taken = self.taken.saturating_add(frame.data().len());
        if self.taken > self.max {
            return Err(TooLarge { max: self.max });
        }
        if frame.is_done() || frame.is_empty() {
            return Ok(());
        }
        let Ok(event) = serde_json::from_slice::<Value>(frame.data()) else { return Ok(()) };
        match &mut self.kind {
            Kind::Chat(chat) => chat.event(event),
            Kind::Responses(responses) => responses.event(event),
            Kind::Messages(messages) => messages.event(event),
            Kind::Generate(generate) => generate.event(event),
            Kind::Converse(converse) => converse.event(frame.name().unwrap_or_default(), event),
            Kind::Unknown(events) => events.push(event),
        }
        Ok(())
    }

    /// The answer so far; `None` before anything of it came.
    #[must_use]
    pub fn body(&self) -> Option<Bytes> {
        let body = match &self.kind {
            Kind::Chat(chat) => chat.body(),
            Kind::Responses(responses) => responses.body(),
            Kind::Messages(messages) => messages.body(),
            Kind::Generate(generate) => generate.body(),
            Kind::Converse(converse) => converse.body(),
            Kind::Unknown(events) => (!events.is_empty()).then(|| events.clone().into()),
        };
        body.map(|body| body.to_string().into())
    }
}

/// Merges a piece into what came before: texts are joined but for those that name something, lists by the `index` of
/// their items, or one behind the other.
pub(crate) fn merge(into: &mut Value, piece: Value, name: &str) {
    match (into, piece) {
        (Value::Object(into), Value::Object(piece)) => merge_members(into, piece),
        (Value::Array(into), Value::Array(items)) => {
            for item in items {
                let index = item.get("index").filter(|index| index.is_u64());
                let known = into.iter_mut().find(|known| index.is_some() && known.get("index") == index);
                match known {
                    Some(known) => merge(known, item, name),
                    None => into.push(item),
                }
            }
        }
        (Value::String(into), Value::String(text)) => {
            if !matches!(name, "role" | "id" | "type" | "name" | "object" | "model" | "format") {
                into.push_str(&text);
            } else if !text.is_empty() {
                *into = text;
            }
        }
        (_, Value::Null) => {}
        (into, piece) => *into = piece,
    }
}

pub(crate) fn merge_members(into: &mut Map<String, Value>, piece: Map<String, Value>) {
    for (name, value) in piece {
        match into.get_mut(&name) {
            Some(known) => merge(known, value, &name),
            None => {
                into.insert(name, value);
            }
        }
    }
}

/// Takes over members as they are, but for those that say nothing.
pub(crate) fn replace_members(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        if !value.is_null() || !into.contains_key(&name) {
            into.insert(name, value);
        }
    }
}
