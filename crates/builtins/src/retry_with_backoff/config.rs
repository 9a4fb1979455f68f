//! Configuration of retries.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of retries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Further attempts after the first; the gateway may allow fewer.
    pub max_retries: u32,
    /// Milliseconds before the first further attempt; each later one waits twice as long.
    pub backoff_base_ms: u64,
    /// Longest wait in milliseconds.
    pub max_backoff_ms: u64,
    /// HTTP statuses, as results tell them, that are worth another attempt.
    pub retry_on_status: BTreeSet<u16>,
    /// Wait a random time up to the computed one, so that callers do not come back together.
    pub jitter: bool,
    /// Look for a `status_code` also in texts of results that are JSON.
    pub check_text_content: bool,
    /// Other values for single tools, by name: any of the keys above.
    pub tool_overrides: BTreeMap<String, Override>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_retries: 2,
            backoff_base_ms: 200,
            max_backoff_ms: 5000,
            retry_on_status: [429, 500, 502, 503, 504].into(),
            jitter: true,
            check_text_content: false,
            tool_overrides: BTreeMap::new(),
        }
    }
}

/// Other values for one tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Override {
    /// As above.
    pub max_retries: Option<u32>,
    /// As above.
    pub backoff_base_ms: Option<u64>,
    /// As above.
    pub max_backoff_ms: Option<u64>,
    /// As above.
    pub retry_on_status: Option<BTreeSet<u16>>,
    /// As above.
    pub jitter: Option<bool>,
    /// As above.
    pub check_text_content: Option<bool>,
}

impl Config {
    /// What holds for a tool with values of its own.
    #[must_use]
    pub fn overridden(&self, own: &Override) -> Self {
        Self {
            max_retries: own.max_retries.unwrap_or(self.max_retries),
            backoff_base_ms: own.backoff_base_ms.unwrap_or(self.backoff_base_ms),
            max_backoff_ms: own.max_backoff_ms.unwrap_or(self.max_backoff_ms),
            retry_on_status: own.retry_on_status.clone().unwrap_or_else(|| self.retry_on_status.clone()),
            jitter: own.jitter.unwrap_or(self.jitter),
            check_text_content: own.check_text_content.unwrap_or(self.check_text_content),
            tool_overrides: BTreeMap::new(),
        }
    }
}
