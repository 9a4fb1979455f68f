//! Configuration of the header filter.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Headers that end here unless others are named.
const USUAL: [&str; 8] = [
    "Authorization",
    "Cookie",
    "X-Vault-Tokens",
    "X-API-Key",
    "X-Auth-Token",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Set-Cookie",
];

/// Configuration of the header filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names of headers that do not go to upstreams, in any letter case.
    pub filter_headers: Vec<String>,
    /// Log the names of headers that are taken out.
    pub log_filtered_headers: bool,
    /// Headers that go on all the same: a list of names, or lists of names by tool or agent.
    pub allow_passthrough_headers: Passing,
}

/// Headers that go on all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Passing {
    /// To all.
    Everywhere(Vec<String>),
    /// To the tools and agents that are named.
    For(BTreeMap<String, Vec<String>>),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            filter_headers: USUAL.map(str::to_owned).to_vec(),
            log_filtered_headers: true,
            allow_passthrough_headers: Passing::For(BTreeMap::new()),
        }
    }
}

impl Config {
    pub(super) fn filters(&self, name: &str) -> bool {
        self.filter_headers.iter().any(|one| one.eq_ignore_ascii_case(name))
    }
}
