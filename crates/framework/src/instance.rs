//! A configured plugin, running or not: what the registry lists and pipelines call.

use std::{
    sync::{Arc, OnceLock, RwLock},
    time::Duration,
};

use mortise_plugin_api::{Host, Plugin, PluginError};

use crate::{config::PluginEntry, stats::PluginStats};

/// Where an instance stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not started yet.
    Starting,
    /// Takes calls.
    Ready,
    /// Cannot take calls, and why: what it waits for, or what failed.
    Unavailable(Arc<str>),
    /// Switched off by its mode; validated, never started.
    Disabled,
    /// Takes no more calls.
    Stopped,
}

impl State {
    /// A stable word: `starting`, `ready`, `unavailable`, `disabled`, `stopped`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unavailable(_) => "unavailable",
            Self::Disabled => "disabled",
            Self::Stopped => "stopped",
        }
    }
}

/// One configured plugin.
pub struct Instance {
    /// The validated entry it was made of.
    pub entry: Arc<PluginEntry>,
    /// Name, also of its metrics.
    pub name: Arc<str>,
    /// 32 hexadecimal digits, new for each instance.
    pub uuid: Arc<str>,
    /// Name of the runtime its code runs in, empty where none claims its kind.
    pub runtime: &'static str,
    /// Whether its code runs outside this process or in a sandbox: it is not told of calls it can only observe.
    pub foreign: bool,
    /// Its counters.
    pub stats: Arc<PluginStats>,
    /// Host services as it sees them.
    pub host: Arc<dyn Host>,
    plugin: OnceLock<Arc<dyn Plugin>>,
    state: RwLock<State>,
}

impl Instance {
    /// An instance that has not started.
    pub fn new(
        entry: Arc<PluginEntry>,
        runtime: &'static str,
        foreign: bool,
        stats: Arc<PluginStats>,
        host: Arc<dyn Host>,
    ) -> Self {
        Self {
            name: entry.name.as_str().into(),
            uuid: uuid::Uuid::new_v4().simple().to_string().into(),
            entry,
            runtime,
            foreign,
            stats,
            host,
            plugin: OnceLock::new(),
            state: RwLock::new(State::Starting),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Says where it stands from now on.
    pub fn set_state(&self, state: State) {
        *self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner) = state;
    }

    /// The plugin, once it has started. Never changes afterwards.
    pub fn plugin(&self) -> Option<&Arc<dyn Plugin>> {
        self.plugin.get()
    }

    /// Why calls cannot be made, for [`PluginError::Unavailable`].
    pub fn why_unavailable(&self) -> PluginError {
        PluginError::Unavailable(match self.state() {
            State::Unavailable(reason) => reason.to_string(),
            other => format!("it is {}", other.word()),
        })
    }

    /// Starts `plugin` and, if that works within `patience`, takes calls with it.
    pub async fn start(&self, plugin: Arc<dyn Plugin>, inherited: Option<bytes::Bytes>, patience: Duration) {
        let init = mortise_plugin_api::Init {
            name: self.name.clone(),
            instance: self.uuid.clone(),
            host: self.host.clone(),
            inherited,
        };
        let started = crate::pipeline::isolate::timed(patience, plugin.initialize(init)).await;
        match started {
            Ok(()) => {
                let _ = self.plugin.set(plugin);
                self.set_state(State::Ready);
            }
            Err(error) => {
                tracing::error!(plugin = &*self.name, %error, "plugin did not start");
                self.set_state(State::Unavailable(format!("did not start: {error}").into()));
            }
        }
    }

    /// Ends it; waits at most `patience`.
    pub async fn stop(&self, patience: Duration) {
        if let Some(plugin) = self.plugin.get() {
            let ended = async {
                plugin.shutdown().await;
                Ok(())
            };
            if let Err(error) = crate::pipeline::isolate::timed(patience, ended).await {
                tracing::warn!(plugin = &*self.name, %error, "plugin did not stop cleanly");
            }
        }
        self.set_state(State::Stopped);
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("name", &self.name)
            .field("uuid", &self.uuid)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
