//! Configuration of the tokens of upstreams.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the tokens of upstreams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Tags of upstreams, by name of the upstream: `system:github.com` says whose tokens are meant for it,
    /// `AUTH_HEADER:X-Api-Token` which header carries a personal one.
    pub upstreams: BTreeMap<String, Vec<String>>,
    /// What stands before the colon of tags that name the system.
    pub system_tag_prefix: String,
    /// Header in which clients bring tokens.
    pub vault_header_name: String,
    /// How the header is read: as JSON.
    pub vault_handling: VaultHandling,
    /// How the system of an upstream is known: by tag. With the other word the plugin does not start.
    pub system_handling: SystemHandling,
    /// What stands before the colon of tags that name a header.
    pub auth_header_tag_prefix: String,
}

/// How the header is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VaultHandling {
    /// It is the JSON itself.
    Raw,
}

/// How the system of an upstream is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SystemHandling {
    /// By tag.
    Tag,
    /// By the host of its OAuth configuration.
    Oauth2Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            upstreams: BTreeMap::new(),
            system_tag_prefix: "system".to_owned(),
            vault_header_name: "X-Vault-Tokens".to_owned(),
            vault_handling: VaultHandling::Raw,
            system_handling: SystemHandling::Tag,
            auth_header_tag_prefix: "AUTH_HEADER".to_owned(),
        }
    }
}
