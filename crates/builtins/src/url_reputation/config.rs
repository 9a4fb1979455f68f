//! Configuration of the reputation of URLs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the reputation of URLs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Domains that are trusted, with all below them; nothing else is asked of their URLs.
    pub whitelist_domains: Vec<String>,
    /// Linear regular expressions, in any letter case; nothing else is asked of URLs that match.
    pub allowed_patterns: Vec<String>,
    /// Domains that are blocked, with all below them.
    pub blocked_domains: Vec<String>,
    /// Linear regular expressions, in any letter case, that block URLs in which they are found.
    pub blocked_patterns: Vec<String>,
    /// Block bare addresses, and domains that look as if they were made up by a program.
    pub use_heuristic_check: bool,
    /// Bits a letter of a domain's label may carry before it looks made up.
    pub entropy_threshold: f64,
    /// Block `http` URLs.
    pub block_non_secure_http: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            whitelist_domains: Vec::new(),
            allowed_patterns: Vec::new(),
            blocked_domains: Vec::new(),
            blocked_patterns: Vec::new(),
            use_heuristic_check: false,
            entropy_threshold: 3.65,
            block_non_secure_http: true,
        }
    }
}
