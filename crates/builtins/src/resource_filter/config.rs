//! Configuration of the resource filter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the resource filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Largest content in bytes: of text as UTF-8, of binary data as what its base64 stands for.
    pub max_content_size: usize,
    /// Protocols of URIs that may be read.
    pub allowed_protocols: Vec<String>,
    /// Domains whose resources may not be read, subdomains included.
    pub blocked_domains: Vec<String>,
    /// Replacements in the text of contents, applied in order; letters match whatever their case.
    pub content_filters: Vec<ContentFilter>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_content_size: 1_048_576,
            allowed_protocols: ["file", "http", "https"].map(str::to_owned).to_vec(),
            blocked_domains: Vec::new(),
            content_filters: Vec::new(),
        }
    }
}

/// One replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentFilter {
    /// Regular expression, linear: without look-around and back-references.
    pub pattern: String,
    /// What stands there afterwards; `\1` and `\g<name>` are groups of the match.
    #[serde(default = "stars")]
    pub replacement: String,
}

fn stars() -> String {
    "***".to_owned()
}
