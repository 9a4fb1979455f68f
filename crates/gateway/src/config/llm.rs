//! `llms`: LLM providers. Read and checked so that a file written today stays right; no surface serves them yet.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Secret;

/// An LLM provider.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LlmConfig {
    /// Whose API it speaks: `openai`, `anthropic`, ….
    pub vendor: Option<String>,
    /// Base URL of the API.
    pub endpoint: Option<String>,
    /// Key sent to the provider.
    pub api_key: Option<Secret>,
    /// Models that may be asked for; `*` stands for anything. Not given, all.
    pub models: Option<Vec<String>>,
}
