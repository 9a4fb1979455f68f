//! What became of a call: tokens, why the model stopped, which model it was, and the fault if there was one.
//!
//! Read from whole answers and from events in passing, by the names that all vendors use; a stream that nobody looks at
//! otherwise is walked over once, and nothing is built. Counts of one stream replace one another, as every vendor
//! repeats them in full.

use crate::{
    json::{self, Step, Step::Key, Token, number, unescape},
    shape::Shape,
    stream::Frame,
};

/// Tokens of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the request, those read from and written to a cache included.
    pub input: u64,
    /// Of the answer, thoughts included.
    pub output: u64,
    /// Of `input`: read from a cache.
    pub cache_read: u64,
    /// Of `input`: written to a cache.
    pub cache_write: u64,
    /// Of `output`: thoughts.
    pub reasoning: u64,
}

impl Usage {
    /// All tokens.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// Why a model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// It had said all.
    Stop,
    /// It had no more tokens.
    Length,
    /// It wants a tool called.
    ToolCalls,
    /// Its content was withheld.
    ContentFilter,
    /// A reason of the vendor's own.
    Other(Box<str>),
}

impl Finish {
    /// Reads any vendor's word for it.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "stop" | "end_turn" | "stop_sequence" | "STOP" | "completed" => Self::Stop,
            "length"
            | "max_tokens"
            | "MAX_TOKENS"
            | "max_output_tokens"
            | "model_context_window_exceeded" => Self::Length,
            "tool_calls" | "function_call" | "tool_use" => Self::ToolCalls,
            "content_filter"
            | "refusal"
            | "guardrail_intervened"
            | "content_filtered"
            | "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "LANGUAGE" => Self::ContentFilter,
            other => Self::Other(other.into()),
        }
    }

    /// The word for it in logs, which is OpenAI's.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other(word) => word,
        }
    }
}

/// Gathers what became of a call.
#[derive(Debug)]
pub struct Meter {
    shape: Shape,
    counts: Counts,
    finish: Option<Finish>,
    model: Option<Box<str>>,
    fault: Option<Box<str>>,
    choices: u32,
    tool_calls: u32,
    text_bytes: u64,
}

#[derive(Debug, Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    reasoning: Option<u64>,
    /// Cached tokens stand beside the input, not within.
    cache_beside: bool,
    /// Thoughts stand beside the output, not within.
    reasoning_beside: bool,
}

impl Meter {
    /// A meter for answers of this shape.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            counts: Counts::default(),
            finish: None,
            model: None,
            fault: None,
            choices: 0,
            tool_calls: 0,
            text_bytes: 0,
        }
    }

    /// Takes an event.
    pub fn frame(&mut self, frame: &Frame) {
        if frame.is_exception() {
            self.fault = frame.name().map(Box::from);
        }
        if !frame.is_empty() && !frame.is_done() {
            self.body(frame.data());
        }
    }

    /// Takes a whole answer.
    pub fn body(&mut self, json: &[u8]) {
        json::walk(json, |path, token| self.value(json, path, &token));
    }

    fn value(&mut self, json: &[u8], path: &[Step<'_>], token: &Token) {
        let name = match path {
            [.., Key(name)] => *name,
            [.., Key(name), _] => *name,
            _ => return,
        };
        if let Token::Scalar(_) = token {
            match (path, name) {
                ([.., Key(b"choices" | b"candidates"), Step::Item(choice), Key(b"index")], _) => {
                    self.choices = self.choices.max(*choice + 1);
                }
                (_, name) => self.count(json, name, token),
            }
            return;
        }
        let text = || unescape(&json[token.range()]).into_owned();
        match (path, name) {
            (_, b"finish_reason" | b"finishReason" | b"stop_reason" | b"stopReason") => {
                self.finish = Some(Finish::of(&text()));
                self.choices = self.choices.max(1);
            }
            ([Key(b"response"), Key(b"status")] | [Key(b"status")], _) if self.shape == Shape::Responses => {
                let status = text();
                if status == "completed" {
                    self.finish = Some(Finish::Stop);
                }
            }
            ([.., Key(b"incomplete_details"), Key(b"reason")], _) => self.finish = Some(Finish::of(&text())),
            ([Key(b"model" | b"modelVersion")] | [Key(b"message" | b"response"), Key(b"model")], _) => {
                let model = text();
                if !model.is_empty() {
                    self.model = Some(model.into());
                }
            }
            ([Key(b"error"), Key(b"message")] | [Key(b"response"), Key(b"error"), Key(b"message")], _) => {
                self.fault = Some(text().into());
            }
            (
                [.., Key(b"tool_calls"), _, Key(b"id")]
                | [.., Key(b"toolUse"), Key(b"toolUseId")]
                | [.., Key(b"functionCall"), Key(b"name")],
                _,
            ) => self.tool_calls += 1,
            ([.., Key(b"type")], _) => {
                // Responses name their calls when they begin and when they are done.
                let begun = !path.starts_with(&[Key(b"response")]);
                let tool = matches!(&json[token.range()], b"tool_use" | b"function_call");
                self.tool_calls += u32::from(tool && begun && self.shape != Shape::Responses);
            }
            _ if is_text(name) => self.text_bytes += token.range().len() as u64,
            _ => {}
        }
    }

    fn count(&mut self, json: &[u8], name: &[u8], token: &Token) {
        let counts = &mut self.counts;
        let place = match name {
            b"prompt_tokens" | b"input_tokens" | b"promptTokenCount" | b"inputTokens"
            | b"inputTokenCount" => &mut counts.input,
            b"completion_tokens"
            | b"output_tokens"
            | b"candidatesTokenCount"
            | b"outputTokens"
            | b"outputTokenCount" => &mut counts.output,
            b"cached_tokens" | b"cachedContentTokenCount" | b"prompt_cache_hit_tokens" => {
                &mut counts.cache_read
            }
            b"cache_read_input_tokens" | b"cacheReadInputTokens" => {
                counts.cache_beside = true;
                &mut counts.cache_read
            }
            b"cache_creation_input_tokens" | b"cacheWriteInputTokens" => {
                counts.cache_beside = true;
                &mut counts.cache_write
            }
            b"reasoning_tokens" => &mut counts.reasoning,
            b"thoughtsTokenCount" => {
                counts.reasoning_beside = true;
                &mut counts.reasoning
            }
            _ => return,
        };
        if let Some(n) = number(json, token) {
            *place = Some(n);
        }
    }

    /// Tokens as the vendor counted them, if it did.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let counts = &self.counts;
        if counts.input.is_none() && counts.output.is_none() {
            return None;
        }
        let (cache_read, cache_write) = (counts.cache_read.unwrap_or(0), counts.cache_write.unwrap_or(0));
        let reasoning = counts.reasoning.unwrap_or(0);
        let beside = if counts.cache_beside { cache_read.saturating_add(cache_write) } else { 0 };
        let thoughts = if counts.reasoning_beside { reasoning } else { 0 };
        Some(Usage {
            input: counts.input.unwrap_or(0).saturating_add(beside),
            output: counts.output.unwrap_or(0).saturating_add(thoughts),
            cache_read,
            cache_write,
            reasoning,
        })
    }

    /// Why the model stopped; `None` where it did not.
    #[must_use]
    pub fn finish(&self) -> Option<&Finish> {
        self.finish.as_ref()
    }

    /// The model that answered, by its own word.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// What the vendor says went wrong.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Alternative answers.
    #[must_use]
    pub const fn choices(&self) -> u32 {
        self.choices
    }

    /// Calls of tools that the model wants.
    #[must_use]
    pub const fn tool_calls(&self) -> u32 {
        self.tool_calls
    }

    /// An estimate of the tokens written so far, for where the vendor does not count.
    #[must_use]
    pub const fn text_tokens(&self) -> u64 {
        self.text_bytes.div_ceil(4)
    }
}

fn is_text(name: &[u8]) -> bool {
    matches!(
        name,
        b"content"
            | b"text"
            | b"delta"
            | b"arguments"
            | b"partial_json"
            | b"thinking"
            | b"reasoning"
            | b"reasoning_content"
            | b"refusal"
            | b"input"
    )
}

/// An estimate of a text's tokens: four bytes each, which holds within a third for prose in most scripts. Every
/// vendor cuts text differently and most do not say how; who bills by it takes the vendor's own count.
#[must_use]
pub const fn estimate(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

/// An estimate of a request's tokens: all its strings but binary data and addresses.
#[must_use]
pub fn estimate_body(body: &[u8]) -> u64 {
    let mut bytes = 0;
    json::walk(body, |path, token| {
        let name = path.iter().rev().find_map(|step| match step {
            Key(name) => Some(*name),
            Step::Item(_) => None,
        });
        let binary = matches!(
            name,
            Some(b"data" | b"url" | b"bytes" | b"image_url" | b"b64_json" | b"fileUri" | b"file_data")
        );
        if let (Token::Text(at), false) = (token, binary) {
            bytes += at.len() as u64;
        }
    });
    bytes.div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metered(shape: Shape, body: &str) -> Meter {
        let mut meter = Meter::new(shape);
        meter.body(body.as_bytes());
        meter
    }

    #[test]
    fn usage_means_the_same_for_all_vendors() {
        let expected = Usage { input: 100, output: 30, cache_read: 40, cache_write: 0, reasoning: 10 };
        let chat = r#"{"model":"gpt-5","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":100,"completion_tokens":30,"total_tokens":130,
            "prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":10}}}"#;
        let meter = metered(Shape::Chat, chat);
        assert_eq!(meter.usage(), Some(expected));
        assert_eq!((meter.finish(), meter.model(), meter.choices()), (Some(&Finish::Stop), Some("gpt-5"), 1));
        let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"MAX_TOKENS"}],
            "modelVersion":"g","usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":20,
            "thoughtsTokenCount":10,"cachedContentTokenCount":40,"totalTokenCount":130}}"#;
        let meter = metered(Shape::Generate, gemini);
        assert_eq!((meter.usage(), meter.finish()), (Some(expected), Some(&Finish::Length)));
        let messages = r#"{"model":"claude","stop_reason":"tool_use","content":[{"type":"tool_use","id":"t"}],
            "usage":{"input_tokens":60,"cache_read_input_tokens":30,"cache_creation_input_tokens":10,"output_tokens":30}}"#;
        let meter = metered(Shape::Messages, messages);
        let expected = Usage { input: 100, output: 30, cache_read: 30, cache_write: 10, reasoning: 0 };
        assert_eq!((meter.usage(), meter.tool_calls()), (Some(expected), 1));
        assert_eq!(meter.finish(), Some(&Finish::ToolCalls));
        let converse = r#"{"output":{},"stopReason":"guardrail_intervened","usage":{"inputTokens":100,"outputTokens":30}}"#;
        let meter = metered(Shape::Converse, converse);
        assert_eq!((meter.usage().unwrap().total(), meter.finish()), (130, Some(&Finish::ContentFilter)));
    }

    #[test]
    fn answer_without_usage_has_none_but_an_estimate() {
        let meter = metered(Shape::Chat, r#"{"choices":[{"message":{"content":"twelve bytes"}}]}"#);
        assert_eq!((meter.usage(), meter.text_tokens()), (None, 3));
        assert_eq!(estimate_body(br#"{"messages":[{"content":"12345678"}],"data":"AAAAAAAAAAAAAAAA"}"#), 2);
    }

    #[test]
    fn fault_in_a_stream_is_noticed() {
        let meter = metered(
            Shape::Messages,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
        );
        assert_eq!(meter.fault(), Some("busy"));
    }
}
