//! OpenAI's streams put together.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::assemble::{merge_members, replace_members};

/// Chunks of chat completions and of completions.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    head: Map<String, Value>,
    choices: BTreeMap<u64, Map<String, Value>>,
}

impl Chat {
    pub(crate) fn event(&mut self, chunk: Value) {
        let Value::Object(mut chunk) = chunk else { return };
        let choices = chunk.shift_remove("choices");
        replace_members(&mut self.head, chunk);
        let Some(Value::Array(choices)) = choices else { return };
        for choice in choices {
            let Value::Object(mut choice) = choice else { continue };
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
            let known = self.choices.entry(index).or_default();
            if let Some(delta) = choice.shift_remove("delta") {
                choice.insert("message".to_owned(), delta);
            }
            // Numbers and reasons are told anew, texts go on.
            for name in ["index", "finish_reason"] {
                if let Some(value) = choice.shift_remove(name).filter(|value| !value.is_null()) {
                    known.insert(name.to_owned(), value);
                }
            }
            merge_members(known, choice);
        }
    }

    pub(crate) fn body(&self) -> Option<Value> {
        if self.head.is_empty() && self.choices.is_empty() {
            return None;
        }
        let mut body = self.head.clone();
        if body.get("object").is_some_and(|object| object == "chat.completion.chunk") {
            body.insert("object".to_owned(), "chat.completion".into());
        }
        let choices: Vec<Value> = self
            .choices
            .iter()
            .map(|(index, choice)| {
                let mut choice = choice.clone();
                choice.entry("index").or_insert_with(|| (*index).into());
                choice.entry("finish_reason").or_insert(Value::Null);
                if let Some(Value::Object(message)) = choice.get_mut("message") {
                    message.entry("role").or_insert_with(|| "assistant".into());
                    message.entry("content").or_insert(Value::Null);
                    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
                    for call in calls.into_iter().flatten().filter_map(Value::as_object_mut) {
                        call.shift_remove("index");
                    }
                }
                choice.into()
            })
            .collect();
        if !choices.is_empty() || !body.contains_key("error") {
            body.insert("choices".to_owned(), choices.into());
        }
        Some(body.into())
    }
}

/// Events of responses. The last of them holds the whole answer; before it, what there is of it is its items.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    response: Map<String, Value>,
    items: BTreeMap<u64, Value>,
    /// The text of each item that is not done, by content.
    texts: BTreeMap<(u64, u64), String>,
    whole: bool,
}

impl Responses {
    pub(crate) fn event(&mut self, mut event: Value) {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        let output = event["output_index"].as_u64().unwrap_or(0);
        if let Value::Object(response) = event["response"].take() {
            self.whole =
                matches!(kind.as_str(), "response.completed" | "response.incomplete" | "response.failed");
            self.response = response;
        }
        match kind.as_str() {
            "response.output_item.added" | "response.output_item.done" => {
                self.items.insert(output, event["item"].take());
            }
            "response.output_text.delta" | "response.refusal.delta" => {
                let content = event["content_index"].as_u64().unwrap_or(0);
                let text = event["delta"].as_str().unwrap_or_default();
                self.texts.entry((output, content)).or_default().push_str(text);
            }
            "error" => {
                self.response.insert("error".to_owned(), event);
            }
            _ => {}
        }
    }

    pub(crate) fn body(&self) -> Option<Value> {
        if self.response.is_empty() && self.items.is_empty() && self.texts.is_empty() {
            return None;
        }
        let mut body = self.response.clone();
        if !self.whole {
            let mut items = self.items.clone();
            for ((output, _), text) in &self.texts {
                let item = items.entry(*output).or_insert_with(|| {
                    json!({ "type": "message", "role": "assistant", "status": "in_progress", "content": [] })
                });
                let done = item["status"] == "completed";
                if let (false, Some(content)) = (done, item["content"].as_array_mut()) {
                    content.push(json!({ "type": "output_text", "text": text, "annotations": [] }));
                }
            }
            let items: Vec<Value> = items.into_values().collect();
            body.insert("output".to_owned(), items.into());
        }
        Some(body.into())
    }
}
