//! `limits`: the largest payloads that plugins are shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest raw JSON that plugins look at. A larger payload is refused with `PAYLOAD_TOO_LARGE` where a plugin would
/// have looked at it; where none would, it passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Arguments, and results of tools and prompts, in bytes. Default 1,000,000.
    #[schemars(range(min = 1))]
    pub max_argument_bytes: usize,
    /// Resources and LLM bodies, in bytes. Default 33,554,432 (32 MiB).
    #[schemars(range(min = 1))]
    pub max_content_bytes: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { max_argument_bytes: 1_000_000, max_content_bytes: 32 << 20 }
    }
}
