//! The configuration of a gateway: its root type, and how it is settled from files, variables and flags.
//!
//! [`Config`] and its parts accept what may be written; every key is optional and unknown ones are errors. What a
//! schema cannot say (names that must exist, addresses, digests) is checked when [`Settled::load`] turns them into
//! types that cannot be wrong: [`Listen`], [`Upstream`], [`App`]. Nothing that serves calls reads the raw form.
//!
//! The doc comments on the keys are the reference page and the descriptions in the JSON Schema.

mod app;
mod catalogue;
mod check;
mod datasources;
mod egress;
mod endpoints;
mod explain;
mod headers;
mod limits;
mod listen;
mod llm;
mod load;
pub mod outline;
mod place;
mod plugins;
mod secret;
mod secrets;
mod server;
mod storage;
mod stored;
mod telemetry;
pub(crate) mod tools;
mod upstream;

#[cfg(test)]
mod tests;

use indexmap::IndexMap;
use mortise_framework::{
    config::{OneOrMany, PluginSettings, RawPluginEntry},
    pipeline::scope::Binding,
};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use app::end_of;
pub use app::{App, AppConfig, Token, TokenConfig, TokenDigest};
pub use datasources::{Datasource, DatasourceConfig};
pub use egress::{Destination, Egress, EgressConfig, NotADestination, Target};
pub use endpoints::{EndpointLimits, EndpointsConfig};
pub use explain::ExplainConfig;
pub use limits::LimitsConfig;
pub(crate) use listen::is_loopback;
pub use listen::{DEFAULT_ADDRESS, Listen, ListenConfig, Tls, TlsConfig};
pub use llm::{Llm, LlmConfig, PriceConfig};
pub use load::{DEFAULT_FILE, DEFAULT_STATE_DIR, LoadOptions, Settled};
pub use secret::Secret;
pub use secrets::{SecretsConfig, VaultConfig};
pub use server::ServerConfig;
pub use storage::{RecordKind, Records, RecordsConfig, Storage, StorageConfig};
pub use stored::{Kept, STORED, entry as stored_entry, is_stored};
pub use telemetry::{OtlpConfig, Protocol, Sampling, Telemetry, TelemetryConfig};
pub use tools::{Spec, Tool, ToolAuthConfig, ToolConfig};
pub use upstream::{Transport, Upstream, UpstreamConfig};

/// Mortise's configuration file, `mortise.yaml`. Every key is optional.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how the gateway listens.
    pub listen: ListenConfig,
    /// Folder for what must outlive a restart: the admin token (hashed) and the names given to tools. Created with
    /// access for its owner only. Relative to the file it is written in. Default `.mortise` in the working folder.
    pub state_dir: Option<String>,
    /// Plugin files in the ContextForge format, later ones over earlier ones, relative to the file they are written
    /// in. Not given, `plugins/config.yaml` in the working folder is read if it is there; an empty list means none.
    /// A file named by the variable `PLUGINS_CONFIG_FILE` (or `PLUGIN_CONFIG_FILE`) comes last.
    pub plugins_files: Option<OneOrMany<String>>,
    /// Plugins, as in a plugin file. An entry replaces the one of the same name from a plugin file.
    pub plugins: Vec<RawPluginEntry>,
    /// Folders in which manifests of plugins are looked for, and index files that list some, beside those of plugin
    /// files. Relative to the file they are written in.
    pub plugin_dirs: Vec<String>,
    /// What holds for all plugins. Keys given here win over those of plugin files.
    pub plugin_settings: Option<PluginSettings>,
    /// Where plugins run differently: other order, mode or configuration within a scope.
    pub bindings: Vec<Binding>,
    /// The MCP servers behind the gateway, by name. Their order decides who keeps a tool's plain name when several
    /// offer it.
    pub upstreams: IndexMap<String, UpstreamConfig>,
    /// Virtual servers by id: each is a part of what the upstreams offer, served at `/servers/{id}/mcp`.
    pub servers: IndexMap<String, ServerConfig>,
    /// HTTP APIs whose operations are called as tools, by slug.
    pub tools: IndexMap<String, ToolConfig>,
    /// Collections of texts that are searched by what they mean, by slug.
    pub datasources: IndexMap<String, DatasourceConfig>,
    /// LLM providers by name.
    pub llms: IndexMap<String, LlmConfig>,
    /// Who may call. Not given, anyone may, and the gateway listens on loopback addresses only; an empty list lets
    /// nobody in.
    pub apps: Option<Vec<AppConfig>>,
    /// The database of what is not in files: apps, tokens, plugins, LLMs, values of plugins, records. Not given, it is
    /// made in the state folder when something is first kept there.
    pub storage: Option<StorageConfig>,
    /// Largest payloads that plugins are shown.
    pub limits: LimitsConfig,
    /// Stores of secrets that values refer to.
    pub secrets: SecretsConfig,
    /// Where plugins may send requests of their own.
    pub egress: EgressConfig,
    /// Limits of plugins' own HTTP endpoints.
    pub endpoints: EndpointsConfig,
    /// What is kept of the last calls so that they can be explained.
    pub explain: ExplainConfig,
    /// Spans for an OpenTelemetry collector.
    pub telemetry: TelemetryConfig,
    /// Whether the gateway watches its files and takes changes over while it runs. Without it, it does so when it is
    /// told to: by `mortise reload` or SIGHUP. Default true.
    pub watch: Option<bool>,
    /// Files to read before this one, as patterns relative to it; this file's keys win over theirs.
    pub include: Option<OneOrMany<String>>,
}

/// The JSON Schema of `mortise.yaml`.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}
