//! The process runtime: plugins that are programs of their own, over HashiCorp's go-plugin.
//!
//! A program written for Tyk AI Studio's plugin kit runs unmodified: it is started, shakes hands, is called over gRPC at
//! a Unix socket, and finds its way back to the gateway through the broker it knows. Its process is its own: what it
//! does wrong costs its own calls, it is started again when it ends, and it ends with the gateway.
//!
//! Not here: what its verdicts mean (the pipeline's), who may call its endpoints (the gateway's), pages it may offer,
//! fetching it from a registry. One process serves one entry of the configuration, with all hooks and endpoints it has.

mod about;
mod broker;
mod child;
mod command;
mod endpoints;
mod events;
mod folder;
mod handshake;
mod headers;
mod hooks;
mod keeper;
mod kv;
mod limits;
mod lines;
mod link;
mod manifest;
mod mux;
mod plugin;
mod running;
mod sandbox;
mod services;
mod status;
mod terms;
mod values;

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use mortise_framework::{
    Runtime,
    config::{Mode, PluginEntry},
};
use mortise_plugin_api::{BuildError, HookId, HookTable, Plugin};
use serde_json::{Value, json};

use crate::{
    command::{CommandError, Place},
    plugin::ProcessPlugin,
};

/// The kind by which entries name this runtime.
pub const KIND: &str = "process";

/// Runs plugins of `kind: process`. Costs nothing until the first of them starts.
#[derive(Debug, Default)]
pub struct ProcessRuntime {
    shared: Arc<Shared>,
}

/// What all process plugins of a gateway share.
#[derive(Debug, Default)]
struct Shared {
    table: OnceLock<HookTable>,
    starter: Arc<child::Starter>,
    stores: kv::Stores,
    bus: Arc<events::Bus>,
    pace: keeper::Pace,
}

impl ProcessRuntime {
    /// A runtime without plugins.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Runtime for ProcessRuntime {
    fn name(&self) -> &'static str {
        KIND
    }

    fn claims(&self, kind: &str) -> bool {
        kind == KIND
    }

    fn kind_names(&self) -> Vec<String> {
        vec![KIND.to_owned()]
    }

    /// All it can have: which ones it has, only the program can say.
    fn default_hooks(&self, _kind: &str) -> &[HookId] {
        hooks::ALL
    }

    /// A request is guarded as by any plugin; an answer that is there is not lost to a plugin in trouble; and nobody waits
    /// for those that only take records.
    fn default_mode(&self, hook: HookId) -> Option<Mode> {
        hooks::default_mode(hook)
    }

    /// An entry that says what it offers has the hooks it lists and no others: that its program could not be asked for
    /// more must not make it a guard of everything.
    fn hooks_of(&self, entry: &PluginEntry) -> &[HookId] {
        if entry.offers.is_empty() { hooks::ALL } else { &[] }
    }

    /// Any program may; whether one has, it says when it has started.
    fn may_have_endpoints(&self, _entry: &PluginEntry) -> bool {
        true
    }

    fn waits_for(&self, entry: &PluginEntry) -> Option<String> {
        match place(entry) {
            Ok(Place::Artifact(_)) => {
                Some("waits for artifacts from registries, which cannot be fetched yet".to_owned())
            }
            _ => None,
        }
    }

    /// Its program: a new one in its place is another plugin.
    fn beside(&self, entry: &PluginEntry) -> Value {
        let Ok(Place::File { path, .. }) = place(entry) else { return Value::Null };
        let Ok(file) = path.metadata() else { return Value::Null };
        let changed = file.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        json!({ "size": file.len(), "changed": changed.map(|at| at.as_nanos().to_string()) })
    }

    fn create(&self, entry: &PluginEntry, config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
        check(entry)?;
        let place = place(entry).map_err(|error| BuildError::new("command", error.to_string()))?;
        check_connection(entry, &place)?;
        let table = self.shared.table.get_or_init(HookTable::standard);
        // A hook of an embedding program's own table is none that such a plugin could have.
        let listed =
            entry.hooks.iter().filter_map(|name| table.id(name)).filter(|id| hooks::ALL.contains(id));
        let listed = (!entry.hooks.is_empty()).then(|| listed.collect());
        let config = config.as_object().cloned().unwrap_or_default();
        let plugin = ProcessPlugin::new(place, entry, config, listed, self.shared.clone());
        Ok(Arc::new(plugin))
    }
}

/// Variables that a process has where there is something to tell.
const TOLD: [&str; 3] = [handshake::SOCKET_DIR, handshake::CERTIFICATE, handshake::MULTIPLEX];

/// Whether the keys about its connection fit where its program is.
fn check_connection(entry: &PluginEntry, place: &Place) -> Result<(), BuildError> {
    let keys = &entry.process;
    let remote = matches!(place, Place::Remote(_));
    let wrong = |key: &str, message: &str| Err(BuildError::new(format!("process.{key}"), message));
    match &keys.tls {
        Some(_) if !remote => {
            return wrong("tls", "is for `grpc://` commands; what is started encrypts by `encrypt`");
        }
        Some(tls) if tls.key.is_some() && tls.cert.is_none() => {
            return wrong("tls.cert", "must be given beside the key");
        }
        _ => {}
    }
    match remote {
        true if keys.encrypt => {
            wrong("encrypt", "is for programs that are started; a `grpc://` server has `tls`")
        }
        true if keys.multiplex => wrong("multiplex", "is for programs that are started"),
        _ => Ok(()),
    }
}

/// Whether variables can be given to a process.
fn check(entry: &PluginEntry) -> Result<(), BuildError> {
    for (name, value) in &entry.process.env {
        let taken =
            handshake::ENVIRONMENT.iter().any(|(own, _)| own == name) || TOLD.contains(&name.as_str());
        let why = match () {
            () if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') => "is no variable",
            () if taken => "is set by the gateway",
            () => continue,
        };
        return Err(BuildError::new("process.env", format!("`{name}` {why}")));
    }
    Ok(())
}

/// Where the program of an entry is; a relative path counts from the file that the entry stands in.
fn place(entry: &PluginEntry) -> Result<Place, CommandError> {
    Place::parse(&entry.command, folder(entry))
}

/// The folder that the entry stands in.
fn folder(entry: &PluginEntry) -> &Path {
    Path::new(entry.span.file()).parent().unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests;
