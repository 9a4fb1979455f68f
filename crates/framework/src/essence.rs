//! What makes an instance this one and no other: the part of an entry that the plugin's code can see.
//!
//! Two entries of equal essence are served by one running plugin, also where mode, priority, conditions or a
//! description differ: these are the pipeline's, or for people. Compared after the schema has normalised the
//! configuration, so that `"5"` and `5` for a number are equal.

use serde_json::{Value, json};

use crate::{config::PluginEntry, pipeline::scope::Scope};

/// Keys of an entry that its code never sees.
const OF_THE_PIPELINE: [&str; 13] = [
    "author",
    "circuit_breaker_enabled",
    "circuit_breaker_failure_threshold",
    "circuit_breaker_timeout",
    "conditions",
    "dependencies",
    "description",
    "mode",
    "namespace",
    "on_error",
    "priority",
    "tags",
    "version",
];

/// The essence of an instance.
#[derive(Default)]
pub(crate) struct Essence {
    /// The scope of the binding it belongs to, where a binding has a configuration of its own.
    pub(crate) role: Option<Scope>,
    /// What code it runs; only between equal kinds can state be handed over.
    pub(crate) kind: String,
    /// The name of its runtime.
    pub(crate) runtime: &'static str,
    code: Value,
}

impl Essence {
    /// Of an entry with this configuration, a binding's keys laid over it, and what its code depends on beside.
    pub(crate) fn of(
        entry: &PluginEntry,
        runtime: &'static str,
        role: Option<&Scope>,
        config: &Value,
        beside: &Value,
    ) -> Self {
        let reasons: Vec<&str> = entry.problems.iter().map(|problem| &*problem.reason).collect();
        // Which keys an entry names itself counts where it is laid over another program's configuration.
        let mut given: Vec<&str> = entry.given.iter().map(String::as_str).collect();
        given.retain(|key| !OF_THE_PIPELINE.contains(key));
        given.sort_unstable();
        let folder = std::path::Path::new(entry.span.file()).parent();
        let code = json!({
            "config": config,
            "beside": beside,
            "hooks": entry.hooks,
            "applied_to": entry.applied_to,
            "mcp": entry.mcp,
            "grpc": entry.grpc,
            "unix_socket": entry.unix_socket,
            "permissions": entry.permissions,
            "max_content_size": entry.max_content_size,
            "command": entry.command,
            "process": entry.process,
            "offers": entry.offers,
            "given": given,
            "problems": reasons,
            // File names in an entry are relative to where it stands.
            "folder": folder.map(|folder| folder.display().to_string()),
        });
        Self { role: role.cloned(), kind: entry.kind.clone(), runtime, code }
    }

    /// Whether one running plugin can serve both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.is_kin(other) && self.role == other.role && self.code == other.code
    }

    /// Whether both are of one kind of code, so that one understands what the other hands over.
    pub(crate) fn is_kin(&self, other: &Self) -> bool {
        self.kind == other.kind && self.runtime == other.runtime
    }
}
