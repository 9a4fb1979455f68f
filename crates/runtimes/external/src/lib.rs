//! The runtime `external`: plugins that are served elsewhere, over MCP, gRPC or a Unix socket.
//!
//! An entry with `kind: external` names a server by one of three blocks, and the server says what the plugin is. What
//! it serves speaks the contract of ContextForge's plugin servers, either generation. Not here: mode, order,
//! conditions and circuit breaker, which are the pipeline's, as for every plugin.
//!
//! [`link`] is the seam between what is the same for all servers (`plugin`, `supervise`, `terms`, `settings`,
//! `cache`) and the ways there (`mcp`, `grpc`, `unix`). A gateway without an external plugin holds nothing of this but
//! the hook table: connections, tasks and TLS settings are made when a plugin starts.

pub mod link;

mod cache;
mod grpc;
mod mcp;
mod message;
mod plugin;
mod settings;
mod supervise;
mod terms;
mod unix;

use std::sync::Arc;

use mortise_framework::{Runtime, config::PluginEntry};
use mortise_plugin_api::{BuildError, HookId, HookTable, Plugin, hooks::MCP_HOOKS};
use serde_json::Value;

pub use settings::Settings;

use crate::{link::Link, plugin::ExternalPlugin, terms::Local};

/// Plugins that are served elsewhere: entries of kind `external`.
pub struct ExternalRuntime {
    hooks: Arc<HookTable>,
}

impl ExternalRuntime {
    /// The runtime for a program with these hooks.
    #[must_use]
    pub fn new(hooks: Arc<HookTable>) -> Self {
        Self { hooks }
    }

    /// The way to the server of an entry, for whoever asks a server without running its plugin, as a check of the
    /// server does. Pure: connects nothing.
    ///
    /// # Errors
    /// Keys of the entry that are wrong.
    pub fn way_to(&self, entry: &PluginEntry) -> Result<Box<dyn Link>, BuildError> {
        self.link(entry, &Settings::of(entry)?)
    }

    fn link(&self, entry: &PluginEntry, settings: &Settings) -> Result<Box<dyn Link>, BuildError> {
        match (&entry.mcp, &entry.grpc, &entry.unix_socket) {
            (Some(block), ..) => mcp::link(entry, block, settings, &self.hooks),
            (_, Some(block), _) => grpc::link(entry, block),
            (.., Some(block)) => unix::link(entry, block),
            // Told by whoever reads the file, as a reason why the entry cannot run.
            (None, None, None) => Err(BuildError::new("", "needs one of `mcp`, `grpc` or `unix_socket`")),
        }
    }
}

impl std::fmt::Debug for ExternalRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalRuntime").finish_non_exhaustive()
    }
}

impl Runtime for ExternalRuntime {
    fn name(&self) -> &'static str {
        "external"
    }

    fn claims(&self, kind: &str) -> bool {
        kind == "external"
    }

    /// Its server says which; until it can be asked, a guard must not be missing anywhere.
    fn default_hooks(&self, _: &str) -> &[HookId] {
        MCP_HOOKS
    }

    fn create(&self, entry: &PluginEntry, _config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
        let settings = Settings::of(entry)?;
        let link = self.link(entry, &settings)?;
        let hooks = entry.hooks.iter().filter_map(|name| self.hooks.id(name)).collect();
        let local = Local { name: entry.name.as_str().into(), hooks };
        Ok(Arc::new(ExternalPlugin::new(local, settings, link, self.hooks.clone())))
    }
}
