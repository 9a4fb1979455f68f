//! Configuration of JSON repair.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of JSON repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest text in bytes that is looked at; longer ones are left alone.
    pub max_text_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_text_bytes: 1_048_576 }
    }
}
