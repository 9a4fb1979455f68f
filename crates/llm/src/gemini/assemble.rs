//! Gemini's streams put together.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::assemble::replace_members;

/// Chunks of an answer: each has some more parts of each candidate.
#[derive(Debug, Default)]
pub(crate) struct Generate {
    head: Map<String, Value>,
    candidates: BTreeMap<u64, Candidate>,
}

#[derive(Debug, Default)]
struct Candidate {
    rest: Map<String, Value>,
    content: Map<String, Value>,
    parts: Vec<Value>,
}

impl Generate {
    pub(crate) fn event(&mut self, chunk: Value) {
        let Value::Object(mut chunk) = chunk else { return };
        let candidates = chunk.shift_remove("candidates");
        replace_members(&mut self.head, chunk);
        let Some(Value::Array(candidates)) = candidates else { return };
        for (n, candidate) in candidates.into_iter().enumerate() {
            let Value::Object(mut candidate) = candidate else { continue };
            let index = candidate.get("index").and_then(Value::as_u64).unwrap_or(n as u64);
            let known = self.candidates.entry(index).or_default();
            if let Some(Value::Object(mut content)) = candidate.shift_remove("content") {
                if let Some(Value::Array(parts)) = content.shift_remove("parts") {
                    parts.into_iter().for_each(|part| known.part(part));
                }
                replace_members(&mut known.content, content);
            }
            replace_members(&mut known.rest, candidate);
        }
    }

    pub(crate) fn body(&self) -> Option<Value> {
        if self.head.is_empty() && self.candidates.is_empty() {
            return None;
        }
        let candidates: Vec<Value> = self
            .candidates
            .values()
            .map(|candidate| {
                let mut content = candidate.content.clone();
                content.insert("parts".to_owned(), candidate.parts.clone().into());
                let mut whole = Map::new();
                whole.insert("content".to_owned(), content.into());
                whole.extend(candidate.rest.clone());
                whole.into()
            })
            .collect();
        let mut body = Map::new();
        if !candidates.is_empty() {
            body.insert("candidates".to_owned(), candidates.into());
        }
        body.extend(self.head.clone());
        Some(body.into())
    }
}

impl Candidate {
    /// Adds a part; a text goes on with the last part where that is a text too, of the same kind and unsigned.
    fn part(&mut self, part: Value) {
        let only_text = |part: &Value| {
            let map = part.as_object()?;
            let known = map.keys().all(|name| matches!(name.as_str(), "text" | "thought"));
            (known && map.contains_key("text")).then(|| map.get("thought").cloned())
        };
        if let (Some(kind), Some(last)) = (only_text(&part), self.parts.last_mut())
            && only_text(last) == Some(kind)
            && let Some(Value::String(text)) = last.get_mut("text")
        {
            text.push_str(part["text"].as_str().unwrap_or_default());
            return;
        }
        self.parts.push(part);
    }
}
