//! The model of a conversation that all shapes are read into and written from.

use serde_json::{Map, Value};

use crate::meter::{Finish, Usage};

/// A request.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) model: String,
    pub(crate) system: Vec<String>,
    pub(crate) turns: Vec<Turn>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Option<ToolChoice>,
    pub(crate) parallel_calls: Option<bool>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_k: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) seed: Option<Value>,
    pub(crate) frequency_penalty: Option<Value>,
    pub(crate) presence_penalty: Option<Value>,
    pub(crate) answers: Option<u64>,
    pub(crate) format: Option<Format>,
    pub(crate) thinking: Option<Thinking>,
    pub(crate) user: Option<String>,
    pub(crate) stream: bool,
    pub(crate) stream_usage: bool,
    /// What nobody knows, which goes on as it is.
    pub(crate) extra: Map<String, Value>,
    /// What was left out.
    pub(crate) dropped: Vec<String>,
}

impl Request {
    pub(crate) fn drop(&mut self, what: &str) {
        self.dropped.push(what.to_owned());
    }

    /// Adds parts to the last turn, or begins one where the last is the other side's.
    pub(crate) fn say(&mut self, role: Role, parts: Vec<Part>) {
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.extend(parts),
            _ => self.turns.push(Turn { role, parts }),
        }
    }

    /// The name of the tool that was called under this id, most recently.
    pub(crate) fn tool_name(&self, id: &str) -> Option<&str> {
        self.turns.iter().rev().flat_map(|turn| turn.parts.iter().rev()).find_map(|part| match part {
            Part::Call(call) if call.id == id => Some(call.name.as_str()),
            _ => None,
        })
    }

    /// Whether a tool was called before.
    pub(crate) fn has_calls(&self) -> bool {
        let parts = || self.turns.iter().flat_map(|turn| &turn.parts);
        parts().any(|part| matches!(part, Part::Call(_) | Part::Result(_)))
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Assistant,
}

/// What one side says before the other does.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part>,
}

/// A part of what is said.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text(String),
    Image(Media),
    Document(Media),
    Call(Call),
    Result(ToolResult),
    Reasoning {
        text: String,
        signature: Option<String>,
    },
    /// Thoughts that only the vendor can read.
    Redacted(String),
}

/// A tool call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: Value,
    /// What Gemini wants back with it.
    pub(crate) signature: Option<String>,
}

/// What a tool answered.
#[derive(Clone, Debug)]
pub(crate) struct ToolResult {
    pub(crate) id: String,
    pub(crate) parts: Vec<Part>,
    pub(crate) failed: bool,
}

impl ToolResult {
    /// The texts of it.
    pub(crate) fn text(&self) -> String {
        texts(&self.parts).join("\n")
    }
}

/// All texts among parts.
pub(crate) fn texts(parts: &[Part]) -> Vec<&str> {
    parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// Something that is no text.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    pub(crate) source: Source,
    pub(crate) name: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Base64 of a media type.
    Data {
        kind: String,
        data: String,
    },
    Url(String),
}

impl Source {
    /// Reads an address, which may hold the data itself.
    pub(crate) fn of_url(url: &str) -> Self {
        let data = url.strip_prefix("data:").and_then(|rest| {
            let (kind, data) = rest.split_once(";base64,")?;
            Some(Self::Data { kind: kind.to_owned(), data: data.to_owned() })
        });
        data.unwrap_or_else(|| Self::Url(url.to_owned()))
    }

    /// As an address.
    pub(crate) fn to_url(&self) -> String {
        match self {
            Self::Data { kind, data } => format!("data:{kind};base64,{data}"),
            Self::Url(url) => url.clone(),
        }
    }
}

/// A tool that may be called.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) schema: Option<Value>,
    pub(crate) strict: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    Any,
    One(String),
}

/// What the answer shall be, other than text.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    Json,
    Schema { name: Option<String>, schema: Value, strict: Option<bool> },
}

/// How much the model shall think first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    Off,
    Effort(Effort),
    Tokens(u64),
    /// As much as it sees fit.
    Adaptive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Low,
    Medium,
    High,
}

impl Thinking {
    /// Tokens to think with.
    pub(crate) const fn budget(self) -> Option<u64> {
        match self {
            Self::Off => None,
            Self::Effort(Effort::Low) => Some(1_024),
            Self::Effort(Effort::Medium) | Self::Adaptive => Some(8_192),
            Self::Effort(Effort::High) => Some(24_576),
            Self::Tokens(tokens) => Some(tokens),
        }
    }

    /// OpenAI's word.
    pub(crate) const fn effort(self) -> &'static str {
        match self {
            Self::Off => "none",
            Self::Effort(Effort::Low) => "low",
            Self::Effort(Effort::Medium) | Self::Adaptive => "medium",
            Self::Effort(Effort::High) => "high",
            Self::Tokens(0..=4_096) => "low",
            Self::Tokens(4_097..=16_384) => "medium",
            Self::Tokens(_) => "high",
        }
    }
}

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) created: Option<u64>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) usage: Option<Usage>,
}

/// One of the alternatives of an answer.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) parts: Vec<Part>,
    pub(crate) finish: Option<Finish>,
    pub(crate) stop_sequence: Option<String>,
}

/// A piece of a stream.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Start {
        id: String,
        model: String,
    },
    Text {
        choice: u32,
        text: String,
    },
    Reasoning {
        choice: u32,
        text: String,
    },
    Signature {
        choice: u32,
        signature: String,
    },
    Redacted {
        choice: u32,
        data: String,
    },
    /// A tool call begins; `slot` tells it from the others of its choice.
    Call {
        choice: u32,
        slot: u32,
        call: Call,
    },
    Arguments {
        choice: u32,
        slot: u32,
        json: String,
    },
    Finish {
        choice: u32,
        finish: Finish,
    },
    Usage(Usage),
    Fault {
        status: u16,
        error: Value,
    },
    End,
}
