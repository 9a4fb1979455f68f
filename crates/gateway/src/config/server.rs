//! `servers`: virtual servers.

use schemars::JsonSchema;
use serde::Deserialize;

/// A virtual server: a part of what the upstreams offer. A list left out means all, an empty one none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// What it is for.
    pub description: Option<String>,
    /// Names of the upstreams behind it.
    pub upstreams: Option<Vec<String>>,
    /// Tools by exposed, original or `upstream-tool` name.
    pub tools: Option<Vec<String>>,
    /// Prompts, likewise.
    pub prompts: Option<Vec<String>>,
    /// Resources by URI, and resource templates by URI template.
    pub resources: Option<Vec<String>>,
}
