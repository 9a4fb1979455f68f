//! What is said to any request, before it has a vendor's shape.

use serde_json::{Value, json};

use super::Script;

/// An answer.
pub(super) struct Said {
    pub(super) model: String,
    pub(super) thoughts: Option<String>,
    /// The text's pieces.
    pub(super) pieces: Vec<String>,
    /// A tool's name, and the pieces of its arguments' JSON.
    pub(super) call: Option<(String, Vec<String>)>,
    pub(super) input_tokens: usize,
    pub(super) output_tokens: usize,
    pub(super) usage: bool,
    /// Cut off by the limit of tokens.
    pub(super) cut: bool,
}

/// What a request holds that decides the answer.
#[derive(Default)]
pub(super) struct Heard {
    /// What the user said last.
    pub(super) user: String,
    /// What a tool answered last, if that came after.
    pub(super) tool: Option<String>,
    pub(super) tools: Vec<String>,
    pub(super) max_tokens: Option<u64>,
}

impl Said {
    pub(super) fn to(model: &str, heard: &Heard, script: Option<Script>) -> Self {
        let script = script.unwrap_or_else(|| own(heard));
        let text = script.pieces.concat();
        let arguments = script.call.as_ref().map_or(0, |(_, pieces)| pieces.concat().len());
        Self {
            model: model.to_owned(),
            input_tokens: 3 + heard.user.len().div_ceil(4),
            output_tokens: (text.len() + arguments).div_ceil(4),
            thoughts: script.thoughts,
            pieces: script.pieces,
            call: script.call,
            usage: !script.without_usage,
            cut: heard.max_tokens == Some(1),
        }
    }

    pub(super) fn text(&self) -> String {
        self.pieces.concat()
    }

    /// The arguments of the call.
    pub(super) fn arguments(&self) -> Value {
        let json = self.call.as_ref().map(|(_, pieces)| pieces.concat()).unwrap_or_default();
        serde_json::from_str(&json).unwrap_or_else(|_| json!({}))
    }
}

fn own(heard: &Heard) -> Script {
    if let Some(tool) = &heard.tool {
        return Script::saying(pieces(&format!("The tool said: {tool}")));
    }
    match heard.tools.first().filter(|_| heard.user.contains("call")) {
        Some(name) => {
            let call = Some((name.clone(), pieces(r#"{"city": "Oslo"}"#)));
            Script { call, ..Script::default() }
        }
        None => Script::saying(pieces(&format!("You said: {}", heard.user))),
    }
}

/// A text in pieces of four characters.
fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(4).map(|piece| piece.iter().collect()).collect()
}

/// All texts in a message's content, of whichever vendor.
pub(super) fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(texts).collect(),
        Value::Object(part) => match (part.get("text"), part.get("content"), part.get("parts")) {
            (Some(text), _, _) => texts(text),
            (_, Some(content), _) => texts(content),
            (_, _, Some(parts)) => texts(parts),
            _ => String::new(),
        },
        _ => String::new(),
    }
}
