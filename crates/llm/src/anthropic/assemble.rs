//! Anthropic's streams put together.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::assemble::replace_members;

/// Events of a message.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    message: Map<String, Value>,
    blocks: BTreeMap<u64, Block>,
}

#[derive(Debug, Default)]
struct Block {
    block: Map<String, Value>,
    /// The arguments of a tool call so far, which are JSON text.
    json: String,
}

impl Messages {
    pub(crate) fn event(&mut self, mut event: Value) {
        let index = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                if let Value::Object(message) = event["message"].take() {
                    self.message = message;
                }
            }
            "content_block_start" => {
                if let Value::Object(block) = event["content_block"].take() {
                    self.blocks.insert(index, Block { block, json: String::new() });
                }
            }
            "content_block_delta" => {
                if let Value::Object(delta) = event["delta"].take() {
                    self.blocks.entry(index).or_default().delta(delta);
                }
            }
            "message_delta" => {
                if let Value::Object(delta) = event["delta"].take() {
                    replace_members(&mut self.message, delta);
                }
                if let Value::Object(usage) = event["usage"].take() {
                    let known = self.message.entry("usage").or_insert_with(|| json!({}));
                    if let Value::Object(known) = known {
                        replace_members(known, usage);
                    }
                }
            }
            "error" => {
                self.message.insert("error".to_owned(), event["error"].take());
            }
            _ => {}
        }
    }

    pub(crate) fn body(&self) -> Option<Value> {
        if self.message.is_empty() && self.blocks.is_empty() {
            return None;
        }
        let mut body = self.message.clone();
        let blocks: Vec<Value> = self.blocks.values().map(Block::whole).collect();
        body.insert("content".to_owned(), blocks.into());
        Some(body.into())
    }
}

impl Block {
    fn delta(&mut self, mut delta: Map<String, Value>) {
        let kind = delta.shift_remove("type");
        for (name, value) in delta {
            match (name.as_str(), value) {
                ("partial_json", Value::String(json)) => self.json.push_str(&json),
                ("citation", citation) => {
                    let list = self.block.entry("citations").or_insert(Value::Null);
                    match list {
                        Value::Array(list) => list.push(citation),
                        list => *list = json!([citation]),
                    }
                }
                (_, Value::String(text)) => {
                    let known = self.block.entry(name).or_insert_with(|| "".into());
                    match known {
                        Value::String(known) => known.push_str(&text),
                        known => *known = text.into(),
                    }
                }
                (_, value) => {
                    self.block.insert(name, value);
                }
            }
        }
        if !self.block.contains_key("type") {
            let thinking = kind.as_ref().is_some_and(|kind| kind == "thinking_delta");
            self.block.insert("type".to_owned(), if thinking { "thinking" } else { "text" }.into());
        }
    }

    fn whole(&self) -> Value {
        let mut block = self.block.clone();
        if !self.json.is_empty() {
            // Cut short by the limit of tokens it is no JSON, and is shown as the text it is.
            let input = serde_json::from_str(&self.json).unwrap_or_else(|_| self.json.clone().into());
            block.insert("input".to_owned(), input);
        }
        block.into()
    }
}
