//! Configuration of the regex filter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the regex filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Searches and replacements, applied in order.
    pub words: Vec<SearchReplace>,
    /// Most bytes that the replacements of one entry may add to one text. More is an error, and the plugin's mode says
    /// what follows.
    pub max_output_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { words: Vec::new(), max_output_bytes: 10_485_760 }
    }
}

/// One search and its replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchReplace {
    /// Regular expression, linear: without look-around and back-references.
    pub search: String,
    /// What stands there afterwards; `\1` and `\g<name>` are groups of the match.
    pub replace: String,
}
