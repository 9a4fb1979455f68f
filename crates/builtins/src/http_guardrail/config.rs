//! Configuration of the HTTP guardrail.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service::{Action, OnFailure};

/// Configuration of the HTTP guardrail. It has no `Debug`: headers hold credentials.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address that is posted to.
    pub url: String,
    /// Token that is sent as `authorization: Bearer`.
    #[serde(default)]
    pub api_key: Option<String>,
    /// Headers that are sent beside.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Milliseconds for one request.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// What becomes of a call without a verdict: `block` (an error, of which the entry's mode decides) or `pass`.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// What becomes of a call that the service blocks or changes: `block` (done as it says) or `audit` (it passes, and
    /// log and metadata say so).
    #[serde(default)]
    pub action: Action,
    /// Tell the service who the call is made for.
    #[serde(default = "yes")]
    pub include_caller: bool,
    /// Show the service the whole payload beside its texts.
    #[serde(default)]
    pub include_payload: bool,
    /// Most bytes of text that are judged; more is no verdict.
    #[serde(default = "max_text_bytes")]
    pub max_text_bytes: usize,
    /// Largest answer that is read, in bytes.
    #[serde(default = "max_answer_bytes")]
    pub max_answer_bytes: usize,
    /// Seconds that a verdict is kept for equal questions of the same caller; 0 for not at all. The service may say less.
    #[serde(default)]
    pub cache_seconds: u64,
    /// Most verdicts that are kept.
    #[serde(default = "cache_entries")]
    pub cache_entries: usize,
}

const fn timeout_ms() -> u64 {
    5000
}

const fn yes() -> bool {
    true
}

const fn max_text_bytes() -> usize {
    1_000_000
}

const fn max_answer_bytes() -> usize {
    1_048_576
}

const fn cache_entries() -> usize {
    10_000
}
