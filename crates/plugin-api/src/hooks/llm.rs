//! LLM traffic: the request on its way to a model, and its answer whole, in windows, or complete.

use serde::{Deserialize, Serialize};

use super::define::{applied, from_wire, hook, payload, put, refuse};
use crate::content::{scan::Select, view::json};
use crate::{Headers, Hook, Json};

/// A request to a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LlmInputPayload {
    /// The configured LLM.
    pub llm: String,
    /// Its vendor.
    #[serde(default)]
    pub vendor: String,
    /// The model asked for.
    #[serde(default)]
    pub model: Option<String>,
    /// Path at the vendor.
    #[serde(default)]
    pub path: String,
    /// Request headers, credentials removed.
    #[serde(default)]
    pub headers: Headers,
    /// The body in the vendor's own shape.
    #[serde(default)]
    pub body: Json,
}

payload!(LlmInputPayload, "llm_input",
    subject: |p| Some(&p.llm),
    size: |p| p.body.size(),
    carriers: |p| [json("body", &p.body, Select::Llm)],
    replace: |p, edited| { put!(edited, json p.body); });

/// A model's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LlmOutputPayload {
    /// The configured LLM.
    pub llm: String,
    /// Its vendor.
    #[serde(default)]
    pub vendor: String,
    /// The model that answered.
    #[serde(default)]
    pub model: Option<String>,
    /// HTTP status of the answer.
    #[serde(default)]
    pub status_code: Option<u16>,
    /// Answer headers.
    #[serde(default)]
    pub headers: Headers,
    /// Whether the answer came as a stream.
    #[serde(default)]
    pub streamed: bool,
    /// The body in the vendor's own shape; of a stream, the answer put together.
    #[serde(default)]
    pub body: Json,
}

payload!(LlmOutputPayload, "llm_output",
    subject: |p| Some(&p.llm),
    size: |p| p.body.size(),
    carriers: |p| [json("body", &p.body, Select::Llm)],
    replace: |p, edited| { put!(edited, json p.body); });

from_wire!(LlmInputPayload, LlmOutputPayload);

hook! {
    /// Before a model is asked.
    LlmInput = 12, "llm_input", input_row {
        aliases: &["cmf.llm_input"], family: Llm, moment: Before, block: true, change: true, rule: Chain,
        limit: Content, pair: Some(LlmOutput::ID), writable: &["model", "headers", "body"],
        about: "Before a model is asked: look at the request, change it, or block it.",
        payload: LlmInputPayload, answer: LlmInputPayload,
        apply: |old, new| {
            let mut refused = Vec::new();
            refuse(&mut refused, "llm", &old.llm, &new.llm);
            refuse(&mut refused, "vendor", &old.vendor, &new.vendor);
            refuse(&mut refused, "path", &old.path, &new.path);
            let kept = old.clone();
            applied(old, LlmInputPayload { model: new.model, headers: new.headers, body: new.body, ..kept }, refused)
        },
        example: r#"{"llm": "gpt", "vendor": "openai", "model": "large", "path": "/v1/chat/completions", "headers": {}, "body": {"model": "large", "messages": [{"role": "user", "content": "I am Ann Lee"}]}}"#
            => r#"{"llm": "gpt", "vendor": "openai", "model": "large", "path": "/v1/chat/completions", "headers": {}, "body": {"model": "large", "messages": [{"role": "user", "content": "I am [NAME]"}]}}"#,
            "A name is masked before the model sees it.",
    }
}

hook! {
    /// When a model answers.
    LlmOutput = 15, "llm_output", output_row {
        aliases: &["cmf.llm_output"], family: Llm, moment: After, block: true, change: true, rule: Chain,
        limit: Content, pair: Some(LlmInput::ID), writable: &["headers", "body"],
        about: "When a model answers, whole or in windows: look at the answer, change it, or withhold it.",
        payload: LlmOutputPayload, answer: LlmOutputPayload,
        apply: |old, new| {
            let mut refused = Vec::new();
            refuse(&mut refused, "llm", &old.llm, &new.llm);
            let kept = old.clone();
            applied(old, LlmOutputPayload { headers: new.headers, body: new.body, ..kept }, refused)
        },
        example: r#"{"llm": "gpt", "vendor": "openai", "model": "large", "status_code": 200, "headers": {"content-type": "application/json"}, "streamed": false, "body": {"choices": [{"message": {"role": "assistant", "content": "Dear Ann Lee"}}]}}"#
            => r#"{"llm": "gpt", "headers": {}, "body": {"choices": [{"message": {"role": "assistant", "content": "Dear [NAME]"}}]}}"#,
            "A name is masked in the answer.",
    }
}
