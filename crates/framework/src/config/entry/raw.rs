//! What may be written in a plugin entry, in the words of the documents.
//!
//! Only serde and schema: these types accept, they do not judge. `conditions` may be one object instead of a list,
//! since that is how the management API prints them and people copy from there.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json};

use crate::config::{process::ProcessKeys, settings::Seconds};

/// A plugin entry as written under `plugins:`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPluginEntry {
    /// Unique name of the plugin.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Which code runs: `builtin.NAME`, the dotted class path of a ContextForge plugin, `external`, `process` or
    /// `wasm`.
    #[schemars(length(min = 1))]
    pub kind: String,
    /// What the plugin is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Who wrote it.
    #[serde(default)]
    pub author: Option<String>,
    /// Its version.
    #[serde(default)]
    pub version: Option<String>,
    /// A namespace, for display.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The hooks it runs at.
    #[serde(default)]
    pub hooks: Vec<String>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What its verdicts and failures mean.
    #[serde(default)]
    pub mode: Mode,
    /// What a failure means, where that should differ from the mode.
    #[serde(default)]
    pub on_error: Option<OnError>,
    /// Whether it is not called for a while after several failures in a row, where that should differ from
    /// `plugin_settings`.
    #[serde(default)]
    pub circuit_breaker_enabled: Option<bool>,
    /// Failures in a row after which it is not called for a while.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub circuit_breaker_failure_threshold: Option<u32>,
    /// For how long it is not called at first, in seconds.
    #[serde(default)]
    pub circuit_breaker_timeout: Option<Seconds>,
    /// Lower runs first.
    #[serde(default = "default_priority")]
    pub priority: i64,
    /// Where it runs: a call matches when all fields of any one condition match. Everywhere when empty.
    #[serde(default)]
    pub conditions: OneOrMany<Condition>,
    /// Fields it applies to, interpreted by the plugin itself.
    #[serde(default)]
    pub applied_to: Option<Map<String, Json>>,
    /// The plugin's own configuration.
    #[serde(default)]
    pub config: Option<Map<String, Json>>,
    /// Transport of an external plugin: an MCP server.
    #[serde(default)]
    pub mcp: Option<Map<String, Json>>,
    /// Transport of an external plugin: a gRPC server.
    #[serde(default)]
    pub grpc: Option<Map<String, Json>>,
    /// Transport of an external plugin: a Unix socket.
    #[serde(default)]
    pub unix_socket: Option<Map<String, Json>>,
    /// What the plugin may see and change of a call.
    #[serde(default, rename = "capabilities")]
    pub permissions: Vec<PluginPermission>,
    /// Largest message to an isolated plugin, in bytes.
    #[serde(default = "default_max_content_size")]
    pub max_content_size: u64,
    /// How its process is started, or where its code is: `file://plugins/echo`, or a program and its arguments.
    #[serde(default)]
    pub command: OneOrMany<String>,
    /// How its process is started and bounded, for the kind `process`.
    #[serde(default)]
    pub process: Option<ProcessKeys>,
    /// What it offers beside hooks.
    #[serde(default)]
    pub offers: Vec<OfferName>,
    /// Plugins that must have started before it: `NAME`, or with a range of versions `NAME>=1.0`.
    #[serde(default)]
    pub dependencies: Vec<String>,
}

impl fmt::Debug for RawPluginEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawPluginEntry")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

fn default_priority() -> i64 {
    100
}

fn default_max_content_size() -> u64 {
    10_000_000
}

/// What a plugin's verdicts and failures mean for the call: the documents' words and the newest ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Violations and failures block.
    #[default]
    Enforce,
    /// Violations block, failures are counted and pass.
    EnforceIgnoreError,
    /// Violations and failures are logged and pass; changes are applied.
    Permissive,
    /// Validated and listed, never started.
    Disabled,
    /// One after another; may block and change.
    Sequential,
    /// One after another; may change, violations are logged only.
    Transform,
    /// One after another; may neither block nor change.
    Audit,
    /// All at once; may block, not change.
    Concurrent,
    /// After everything else, on a copy; can affect nothing.
    FireAndForget,
}

impl Mode {
    /// The word it is written as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::EnforceIgnoreError => "enforce_ignore_error",
            Self::Permissive => "permissive",
            Self::Disabled => "disabled",
            Self::Sequential => "sequential",
            Self::Transform => "transform",
            Self::Audit => "audit",
            Self::Concurrent => "concurrent",
            Self::FireAndForget => "fire_and_forget",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a failure of a plugin means, whatever its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The call is blocked.
    Fail,
    /// The call passes.
    Ignore,
    /// The call passes and the plugin is switched off.
    Disable,
}

/// What a plugin may see and change of a call, in the words of the newest ContextForge framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum PluginPermission {
    ReadSubject,
    ReadRoles,
    ReadTeams,
    ReadClaims,
    ReadPermissions,
    ReadAgent,
    ReadHeaders,
    WriteHeaders,
    ReadLabels,
    AppendLabels,
    ReadDelegation,
    AppendDelegation,
}

/// What a plugin can offer beside hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum OfferName {
    CustomEndpoint,
    Agent,
    StudioUi,
    PortalUi,
    ConfigProvider,
    ManifestProvider,
    ScheduledTasks,
    Events,
    ResourceProvider,
}

impl OfferName {
    /// The word it is written as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::CustomEndpoint => "custom_endpoint",
            Self::Agent => "agent",
            Self::StudioUi => "studio_ui",
            Self::PortalUi => "portal_ui",
            Self::ConfigProvider => "config_provider",
            Self::ManifestProvider => "manifest_provider",
            Self::ScheduledTasks => "scheduled_tasks",
            Self::Events => "events",
            Self::ResourceProvider => "resource_provider",
        }
    }
}

/// Narrows where a plugin runs. All fields that are given must match; an empty list is as if not given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// Virtual servers or upstreams.
    #[serde(deserialize_with = "null_is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub server_ids: Vec<String>,
    /// Tenants.
    #[serde(deserialize_with = "null_is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub tenant_ids: Vec<String>,
    /// Tool names, for tool hooks.
    #[serde(deserialize_with = "null_is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub tools: Vec<String>,
    /// Prompt names, for prompt hooks.
    #[serde(deserialize_with = "null_is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub prompts: Vec<String>,
    /// Resource URIs, for resource hooks.
    #[serde(deserialize_with = "null_is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub resources: Vec<String>,
    /// Agents, for agent hooks.
    #[serde(deserialize_with = "null_is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub agents: Vec<String>,
    /// Users.
    #[serde(deserialize_with = "null_is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub user_patterns: Vec<String>,
    /// Content types of the request or content.
    #[serde(deserialize_with = "null_is_empty")]
    #[schemars(with = "Option<Vec<String>>")]
    pub content_types: Vec<String>,
}

impl Condition {
    /// Whether no field is given: such a condition always matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::<Vec<String>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A list, or one item where a list of one is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// A list.
    Many(Vec<T>),
    /// One item.
    One(T),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    /// The items as a list.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(items) => items,
            Self::One(item) => vec![item],
        }
    }
}
