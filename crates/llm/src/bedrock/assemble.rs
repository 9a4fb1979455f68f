//! Converse streams put together.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::assemble::merge;

/// Events of a message.
#[derive(Debug, Default)]
pub(crate) struct Converse {
    role: Option<Value>,
    stop: Map<String, Value>,
    metadata: Map<String, Value>,
    blocks: BTreeMap<u64, Value>,
    begun: bool,
}

impl Converse {
    pub(crate) fn event(&mut self, name: &str, mut event: Value) {
        self.begun = true;
        let index = event["contentBlockIndex"].as_u64().unwrap_or(0);
        match name {
            "messageStart" => self.role = Some(event["role"].take()),
            "contentBlockStart" => {
                self.blocks.insert(index, event["start"].take());
            }
            "contentBlockDelta" => {
                let block = self.blocks.entry(index).or_insert_with(|| json!({}));
                let mut delta = event["delta"].take();
                // A block has its thoughts one level deeper than a delta.
                if let Some(Value::Object(thoughts)) = delta.get_mut("reasoningContent")
                    && !thoughts.contains_key("redactedContent")
                {
                    delta = json!({ "reasoningContent": { "reasoningText": thoughts.clone() } });
                }
                merge(block, delta, "");
            }
            "messageStop" => self.stop.extend(members(event)),
            "metadata" => self.metadata.extend(members(event)),
            _ => {}
        }
    }

    pub(crate) fn body(&self) -> Option<Value> {
        if !self.begun {
            return None;
        }
        let blocks: Vec<Value> = self.blocks.values().map(whole).collect();
        let role = self.role.clone().unwrap_or_else(|| "assistant".into());
        let mut body = Map::new();
        body.insert("output".to_owned(), json!({ "message": { "role": role, "content": blocks } }));
        body.extend(self.stop.clone());
        body.extend(self.metadata.clone());
        // Frames are padded to hide how long they are.
        body.shift_remove("p");
        Some(body.into())
    }
}

/// A block whose tool's input is what its text says.
fn whole(block: &Value) -> Value {
    let mut block = block.clone();
    if let Some(call) = block.get_mut("toolUse").and_then(Value::as_object_mut) {
        let input = call.get("input").and_then(Value::as_str).unwrap_or_default();
        let input = match input.is_empty() {
            true => json!({}),
            false => serde_json::from_str(input).unwrap_or_else(|_| input.into()),
        };
        call.insert("input".to_owned(), input);
    }
    block
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
