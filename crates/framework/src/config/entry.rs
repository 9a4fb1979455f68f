//! Plugin entries: the unit of `plugins:` in both kinds of file.
//!
//! Three states as everywhere: [`RawPluginEntry`] is what may be written (its JSON Schema is the reference),
//! [`PluginEntry`] is what is meant (defaults applied, names checked, places kept). What makes one entry unusable
//! without making the file wrong, such as an unset `${NAME}` in a foreign file, is a [`Problem`]: the plugin is
//! listed as unavailable and the rest runs.

mod dependencies;
mod raw;
mod read;
mod transport;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use mortise_plugin_api::Manifest;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::Dialect;
use super::check::{Checked, Salvaged, check_compiled};
use super::diagnostic::{Diagnostic, DiagnosticKind, Errors};
use super::expand::Unset;
use super::node::Node;
use super::overlay::Overlaid;
use super::overrides::nowhere;
use super::path;
use super::process::ProcessKeys;
use super::python::Surroundings;
use super::schema::Compiled;
use super::settings::BreakerKeys;
use super::source::Span;

pub use dependencies::DependsOn;
pub use raw::{Condition, Mode, OfferName, OnError, OneOrMany, PluginPermission, RawPluginEntry};
pub(super) use read::{Reading, duplicate_names, strip};
pub use read::{duplicates, read_entries, read_partial_entries};

/// What [`read_entries`] goes by.
#[derive(Debug, Clone, Copy)]
pub struct EntryRules<'a> {
    /// All hook names that exist, aliases included; an empty list lets any name pass.
    pub known_hooks: &'a [&'a str],
    /// Whose file the entries are from.
    pub dialect: Dialect,
    /// The unset `${NAME}`s of the load, as in [`super::Loaded::unset`].
    pub unset: &'a [Unset],
}

/// A validated plugin entry.
#[derive(Clone)]
pub struct PluginEntry {
    /// The unique name.
    pub name: String,
    /// Which code: `builtin.NAME`, a dotted class path, `external`, `process`, `wasm`.
    pub kind: String,
    /// What it is for.
    pub description: Option<String>,
    /// Who wrote it.
    pub author: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// A namespace, for display.
    pub namespace: Option<String>,
    /// The hooks it runs at, each once, in the order given.
    pub hooks: Vec<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// What its verdicts and failures mean.
    pub mode: Mode,
    /// What a failure means, where that differs from its mode.
    pub on_error: Option<OnError>,
    /// What it says of its circuit breaker.
    pub circuit_breaker: BreakerKeys,
    /// Lower runs first. Default 100.
    pub priority: i64,
    /// Where it runs: any of these; everywhere when empty.
    pub conditions: Vec<Condition>,
    /// Fields it applies to, interpreted by the plugin itself.
    pub applied_to: Option<Map<String, Json>>,
    /// Its own configuration with places; an empty map when there is none.
    pub config: Node,
    /// Its own configuration as JSON, before a schema of the plugin has re-typed anything.
    pub config_json: Map<String, Json>,
    /// Transport of an external plugin over MCP, as written.
    pub mcp: Option<Map<String, Json>>,
    /// Transport of an external plugin over gRPC, as written.
    pub grpc: Option<Map<String, Json>>,
    /// Transport of an external plugin over a Unix socket, as written.
    pub unix_socket: Option<Map<String, Json>>,
    /// What it may see and change of a call (`capabilities` in the file).
    pub permissions: Vec<PluginPermission>,
    /// Largest message to an isolated plugin, in bytes. Default 10,000,000.
    pub max_content_size: u64,
    /// How its process is started, or where its code is: `file://plugins/echo`.
    pub command: Vec<String>,
    /// How its process is started and bounded.
    pub process: ProcessKeys,
    /// What it offers beside hooks.
    pub offers: Vec<OfferName>,
    /// Plugins that must have started before it.
    pub dependencies: Vec<DependsOn>,
    /// What its kind says of itself, where a manifest of it was found.
    pub manifest: Option<Arc<Manifest>>,
    /// The keys that the entry names itself, for laying it over a remote configuration.
    pub given: Vec<String>,
    /// Where it was written.
    pub span: Span,
    /// Where parts of it were written: each key by its name, the kind as `kind`, each hook as `hooks.NAME`.
    pub places: HashMap<String, Span>,
    /// Its dotted path: `plugins[3]`.
    pub path: String,
    /// Whose file it is from.
    pub dialect: Dialect,
    /// Why it cannot run; empty when it can.
    pub problems: Vec<Problem>,
    /// What was laid over it while the program runs, and what it says without.
    pub overlaid: Option<Arc<Overlaid>>,
    /// What its code finds around it.
    pub surroundings: Arc<Surroundings>,
}

impl PluginEntry {
    /// An entry made by a program instead of a file, with the defaults of one that gives only name and kind.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        let span = nowhere().span_at(0, 1);
        Self {
            name: name.into(),
            kind: kind.into(),
            description: None,
            author: None,
            version: None,
            namespace: None,
            hooks: Vec::new(),
            tags: Vec::new(),
            mode: Mode::default(),
            on_error: None,
            circuit_breaker: BreakerKeys::default(),
            priority: 100,
            conditions: Vec::new(),
            applied_to: None,
            config: Node::empty_map(span.clone()),
            config_json: Map::new(),
            mcp: None,
            grpc: None,
            unix_socket: None,
            permissions: Vec::new(),
            max_content_size: 10_000_000,
            command: Vec::new(),
            process: ProcessKeys::default(),
            offers: Vec::new(),
            dependencies: Vec::new(),
            manifest: None,
            given: Vec::new(),
            span,
            places: HashMap::new(),
            path: "plugins".to_owned(),
            dialect: Dialect::Own,
            problems: Vec::new(),
            overlaid: None,
            surroundings: Arc::default(),
        }
    }

    /// The same entry with this `config:`.
    #[must_use]
    pub fn with_config(mut self, config: Map<String, Json>) -> Self {
        self.config = Node::from_json(&Json::Object(config.clone()), &self.span);
        self.config_json = config;
        self
    }

    /// The same with a mode for all its hooks, as if the file named it.
    #[must_use]
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self.given.push("mode".to_owned());
        self
    }

    /// Where a part of it was written, one of [`PluginEntry::places`]; where that is not known, where the entry is.
    #[must_use]
    pub fn place(&self, part: &str) -> &Span {
        self.places.get(part).unwrap_or(&self.span)
    }

    /// Whether it names its mode, or somebody has while the program runs.
    #[must_use]
    pub fn names_mode(&self) -> bool {
        self.given.iter().any(|given| given == "mode")
    }

    /// Whether nothing known so far keeps it from running.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether its code is elsewhere, behind a transport.
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.kind == "external"
    }

    /// Checks `config` against the plugin's own schema and re-types scalars as that wants. Unknown keys are errors
    /// or notices as for the file; keys whose description in the schema says that they have no effect are notices.
    ///
    /// # Errors
    ///
    /// Everything that does not fit the schema.
    pub fn check_config(&self, schema: &Compiled) -> Result<Checked, Errors> {
        let mut node = self.config.clone();
        let at = format!("{}.config", self.path);
        let (errors, mut notices) = check_compiled(&mut node, schema, &at, self.dialect);
        for (key, given) in
            node.as_map().into_iter().flatten().filter(|(key, _)| schema.is_without_effect(key))
        {
            let shown = given.shown_key(key);
            let message = format!("`{shown}` is accepted and has no effect");
            let notice = Diagnostic::new(DiagnosticKind::Remark, message).at(given.key_span.clone());
            notices.push(notice.path(path::with_key(&at, &shown)));
        }
        Errors::unless_empty(errors, Checked { node, notices })
    }

    /// What is left of `config` when everything is gone that does not fit the schema; none when nothing fits. For
    /// finding more errors only: nothing may run with it.
    #[must_use]
    pub fn salvage_config(&self, schema: Option<&Compiled>) -> Option<Salvaged> {
        Salvaged::new(self.config.clone(), schema)
    }
}

/// Shows what identifies an entry; never its configuration or transports, which may hold secrets.
impl fmt::Debug for PluginEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginEntry")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("hooks", &self.hooks)
            .field("mode", &self.mode)
            .field("priority", &self.priority)
            .field("config", &self.config)
            .field("problems", &self.problems)
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}

/// Why one entry cannot run although the file is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What sort of reason.
    pub kind: ProblemKind,
    /// The reason for a person, without secrets.
    pub reason: String,
}

/// Sorts of [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// A `${NAME}` in the entry is not set.
    Unset,
    /// `kind: external` without `mcp`, `grpc` or `unix_socket`.
    NoTransport,
    /// Nothing here runs this kind.
    UnknownKind,
    /// Its own configuration does not fit.
    Config,
    /// Any other reason.
    Other,
}
