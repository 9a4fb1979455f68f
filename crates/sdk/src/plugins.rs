//! The plugins of one server: found by name, called by hook, started and stopped together.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mortise_plugin_api::{HookTable, Init, PluginError};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::{
    Served,
    call::{self, Answered, Asked},
    memory::Memory,
};

/// Longest time a plugin may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls at once unless the server says otherwise; further ones wait within their time limit.
pub const DEFAULT_CALLS: usize = 1024;

/// Why plugins cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Two plugins have one name; names are compared in any letter case, as clients ask for them.
    #[error("two plugins are named `{0}`: each needs a name of its own, in any letter case")]
    Duplicate(String),
    /// A hook that is not in the table.
    #[error("the plugin `{plugin}` is to be served at `{hook}`, which is no hook")]
    UnknownHook {
        /// The plugin.
        plugin: String,
        /// The name that is none.
        hook: String,
    },
    /// A plugin did not start.
    #[error("the plugin `{plugin}` did not start")]
    Start {
        /// The plugin.
        plugin: String,
        /// What it said.
        #[source]
        source: PluginError,
    },
}

/// The plugins of one server, started.
pub struct Plugins {
    table: Arc<HookTable>,
    /// In the order given.
    served: Vec<Served>,
    /// By name in lower case.
    by_name: BTreeMap<String, usize>,
    memory: Memory,
    calls: Semaphore,
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.served).finish()
    }
}

impl Plugins {
    /// Starts plugins of the standard hooks, at most [`DEFAULT_CALLS`] calls at once.
    ///
    /// # Errors
    /// As [`Plugins::start_with`].
    pub async fn start(plugins: Vec<Served>) -> Result<Self, SetupError> {
        Self::start_with(Arc::new(HookTable::standard()), plugins, DEFAULT_CALLS).await
    }

    /// Starts plugins of the hooks in `table`, at most `calls` calls at once.
    ///
    /// # Errors
    /// When names or hooks are wrong, or a plugin does not start; those that have started are stopped again.
    pub async fn start_with(
        table: Arc<HookTable>,
        plugins: Vec<Served>,
        calls: usize,
    ) -> Result<Self, SetupError> {
        let mut by_name = BTreeMap::new();
        for (at, served) in plugins.iter().enumerate() {
            if by_name.insert(served.name.to_lowercase(), at).is_some() {
                return Err(SetupError::Duplicate(served.name.to_string()));
            }
            let unknown = served.hooks.iter().flatten().find(|hook| table.id(hook).is_none());
            if let Some(hook) = unknown {
                return Err(SetupError::UnknownHook { plugin: served.name.to_string(), hook: hook.clone() });
            }
        }
        let calls = Semaphore::new(calls.clamp(1, Semaphore::MAX_PERMITS));
        let mut all = Self { table, served: Vec::new(), by_name, memory: Memory::default(), calls };
        for mut served in plugins {
            if let Err(source) = start(&served).await {
                all.stop().await;
                return Err(SetupError::Start { plugin: served.name.to_string(), source });
            }
            served.settle(&all.table);
            all.served.push(served);
        }
        Ok(all)
    }

    /// Stops those that were started here, in reverse order.
    pub async fn stop(&self) {
        for served in self.served.iter().rev().filter(|served| !served.started) {
            let stopping = async {
                served.plugin.shutdown().await;
                Ok(())
            };
            if let Err(error) = call::timed(PATIENCE, stopping).await {
                tracing::warn!(plugin = &*served.name, %error, "plugin did not stop");
            }
        }
    }

    /// What gateways are told of a plugin, by its name in any letter case.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Map<String, Value>> {
        let at = self.by_name.get(&name.to_lowercase())?;
        self.served.get(*at).map(|served| &served.entry)
    }

    /// What gateways are told of all plugins, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.served.iter().map(|served| &served.entry)
    }

    /// Names of the hooks at which any plugin is called, in order of the table.
    #[must_use]
    pub fn hooks(&self) -> Vec<&str> {
        let rows = self.table.rows().iter();
        let used = rows.filter(|row| self.served.iter().any(|served| served.at.contains(&row.id)));
        used.map(|row| &*row.name).collect()
    }

    /// Has a plugin look at a call. Dropping the future cancels it.
    pub async fn call(&self, asked: Asked) -> Answered {
        let found = self.by_name.get(&asked.plugin.to_lowercase()).and_then(|at| self.served.get(*at));
        // Calls need the exact name, as they do at other servers.
        let found = found.filter(|served| *served.name == asked.plugin);
        let spec = self.table.get(&asked.hook);
        let (Some(served), Some(spec)) = (found, spec) else { return self.missing(asked) };
        if !served.at.contains(&spec.id) {
            return self.missing(asked);
        }
        let Ok(Ok(_permit)) = tokio::time::timeout(served.timeout, self.calls.acquire()).await else {
            return Answered::failed(asked.plugin, PluginError::Timeout(served.timeout));
        };
        call::run(served, spec, asked, &self.memory).await
    }

    fn missing(&self, asked: Asked) -> Answered {
        let error = match self.entry(&asked.plugin) {
            Some(entry) if entry["name"].as_str() == Some(&asked.plugin) => {
                format!("the plugin `{}` is not served at the hook `{}`", asked.plugin, asked.hook)
            }
            Some(entry) => {
                format!("there is no plugin `{}` here; did you mean {}?", asked.plugin, entry["name"])
            }
            None => format!("there is no plugin `{}` here", asked.plugin),
        };
        Answered::failed(asked.plugin, PluginError::failed(error))
    }

    /// Whether every plugin could serve a call now.
    ///
    /// # Errors
    /// The first that could not, and why.
    pub async fn health(&self) -> Result<(), (Arc<str>, PluginError)> {
        for served in &self.served {
            call::timed(PATIENCE, served.plugin.health())
                .await
                .map_err(|error| (served.name.clone(), error))?;
        }
        Ok(())
    }
}

async fn start(served: &Served) -> Result<(), PluginError> {
    if served.started {
        return Ok(());
    }
    let init = Init {
        name: served.name.clone(),
        instance: uuid::Uuid::new_v4().simple().to_string().into(),
        host: served.host.clone(),
        inherited: None,
    };
    call::timed(PATIENCE, served.plugin.initialize(init)).await
}
