//! Configuration of the tool result cache.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the tool result cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Tools whose results are kept; none of the others are.
    pub cacheable_tools: Vec<String>,
    /// Seconds for which a result is kept.
    pub ttl: u64,
    /// Arguments that tell calls of a tool apart, by tool; all where a tool is not listed or its list is empty.
    pub key_fields: BTreeMap<String, Vec<String>>,
    /// Who shares results.
    pub scope: Scope,
    /// Results kept at most; the one not used for longest goes first.
    #[schemars(range(min = 1))]
    pub max_entries: usize,
    /// Bytes of results kept at most, with what keeping them costs.
    #[schemars(range(min = 1))]
    pub max_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cacheable_tools: Vec::new(),
            ttl: 300,
            key_fields: BTreeMap::new(),
            scope: Scope::Caller,
            max_entries: 1000,
            max_bytes: 67_108_864,
        }
    }
}

/// Who shares results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Nobody: calls of the same user, app and tenant with the same teams and scopes.
    Caller,
    /// All of a tenant. Callers without one share with each other.
    Tenant,
    /// All.
    Shared,
}
