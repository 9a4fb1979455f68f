//! Configuration of the Llama Guard.

use std::collections::BTreeMap;

use mortise_plugin_api::BuildError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service::{Action, OnFailure, address};

/// Path of the endpoint that is asked.
const COMPLETIONS: &str = "/chat/completions";

/// Configuration of the Llama Guard. It has no `Debug`: it holds credentials.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address of the API (`http://ollama:11434/v1`), or of its endpoint for chat completions.
    pub url: String,
    /// Key that is sent as `authorization: Bearer`.
    #[serde(default)]
    pub api_key: Option<String>,
    /// Headers that are sent beside.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Model that is asked.
    #[serde(default = "model")]
    pub model: String,
    /// Codes of hazards that may pass, such as `S7`.
    #[serde(default)]
    pub allowed_categories: Vec<String>,
    /// What becomes of unsafe calls: `block`, or `audit` (they pass, and log and metadata say so).
    #[serde(default)]
    pub action: Action,
    /// Milliseconds for one request.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// Largest answer that is read, in bytes.
    #[serde(default = "max_answer_bytes")]
    pub max_answer_bytes: usize,
    /// What becomes of a call without a verdict: `block` (an error, of which the entry's mode decides) or `pass`.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Longest text that is judged in one piece, in characters; longer ones are judged in several that overlap.
    #[serde(default = "max_text_length")]
    pub max_text_length: usize,
    /// Most bytes of text of one call; more is no verdict.
    #[serde(default = "max_text_bytes")]
    pub max_text_bytes: usize,
    /// Seconds that a verdict is kept; 0 for not at all.
    #[serde(default = "cache_seconds")]
    pub cache_seconds: u64,
    /// Most verdicts that are kept.
    #[serde(default = "cache_entries")]
    pub cache_entries: usize,
}

impl Config {
    /// Where is asked.
    ///
    /// # Errors
    /// An address that is none.
    pub(super) fn endpoint(&self) -> Result<String, BuildError> {
        let url = address("url", &self.url)?;
        let plain = url.trim_end_matches('/');
        Ok(if plain.ends_with(COMPLETIONS) || url.contains('?') {
            url
        } else {
            format!("{plain}{COMPLETIONS}")
        })
    }
}

fn model() -> String {
    "llama-guard3".to_owned()
}

const fn timeout_ms() -> u64 {
    10_000
}

const fn max_answer_bytes() -> usize {
    1_048_576
}

const fn max_text_length() -> usize {
    8000
}

const fn max_text_bytes() -> usize {
    200_000
}

const fn cache_seconds() -> u64 {
    300
}

const fn cache_entries() -> usize {
    10_000
}
