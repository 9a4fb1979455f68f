//! A plugin that is served: the same value a gateway would run, with what the server has to know of it.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use mortise_plugin_api::{HookId, HookTable, Host, Plugin, host::NoHost};
use serde_json::{Map, Value, json};

use crate::Policy;

/// How long a call may take unless the plugin says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A plugin to be served.
pub struct Served {
    pub(crate) name: Arc<str>,
    pub(crate) plugin: Arc<dyn Plugin>,
    pub(crate) hooks: Option<Vec<String>>,
    pub(crate) entry: Map<String, Value>,
    pub(crate) policy: Policy,
    pub(crate) timeout: Duration,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) started: bool,
    /// Set by an error where the policy says so.
    pub(crate) off: AtomicBool,
    /// Where it is called: filled once it has started.
    pub(crate) at: Vec<HookId>,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("name", &self.name).field("hooks", &self.hooks).finish_non_exhaustive()
    }
}

impl Served {
    /// Serves `plugin` under `name`, at every hook it has, within 30 s a call, with host services that do nothing but log.
    pub fn new(name: impl Into<Arc<str>>, plugin: Arc<dyn Plugin>) -> Self {
        Self {
            name: name.into(),
            plugin,
            hooks: None,
            entry: Map::new(),
            policy: Policy::default(),
            timeout: DEFAULT_TIMEOUT,
            host: Arc::new(NoHost),
            started: false,
            off: AtomicBool::new(false),
            at: Vec::new(),
        }
    }

    /// Serves it at these hooks only.
    #[must_use]
    pub fn hooks(mut self, hooks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.hooks = Some(hooks.into_iter().map(Into::into).collect());
        self
    }

    /// What a gateway is told of it beside its name and hooks: any keys of a plugin entry (`description`, `mode`,
    /// `priority`, `conditions`, `config`, …). Must hold no secrets: whoever can connect may ask for it.
    #[must_use]
    pub fn entry(mut self, entry: Map<String, Value>) -> Self {
        self.entry = entry;
        self
    }

    /// What its mode means for its answers.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How long a call may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Host services it is given.
    #[must_use]
    pub fn host(mut self, host: Arc<dyn Host>) -> Self {
        self.host = host;
        self
    }

    /// Says that somebody else has started it and will stop it.
    #[must_use]
    pub fn started(mut self) -> Self {
        self.started = true;
        self
    }

    /// Looks where it can be called, once it has started.
    pub(crate) fn settle(&mut self, table: &HookTable) {
        let wanted: Vec<HookId> = match &self.hooks {
            Some(names) => names.iter().filter_map(|name| table.id(name)).collect(),
            None => table.rows().iter().map(|row| row.id).collect(),
        };
        self.at = wanted.into_iter().filter(|hook| self.plugin.needs(*hook).is_some()).collect();
        self.entry = self.full_entry(table);
    }

    /// The entry with every key that clients look for, as gateways of all generations can read it.
    fn full_entry(&self, table: &HookTable) -> Map<String, Value> {
        let names = self.at.iter().filter_map(|hook| table.spec(*hook));
        let hooks: Vec<Value> = names.map(|spec| Value::from(&*spec.name)).collect();
        let mut entry = match json!({
            "name": &*self.name, "description": null, "author": null, "kind": format!("builtin.{}", self.name),
            "namespace": null, "version": null, "hooks": [], "tags": [], "mode": "enforce", "on_error": null,
            "priority": 100, "conditions": [], "applied_to": null, "config": null, "mcp": null, "grpc": null,
            "unix_socket": null,
        }) {
            Value::Object(entry) => entry,
            _ => Map::new(),
        };
        entry.extend(self.entry.clone());
        entry.insert("name".into(), Value::from(&*self.name));
        entry.insert("hooks".into(), hooks.into());
        // Gateways that know the key do not take null for it; those that do not, ignore it.
        if entry.get("on_error").is_some_and(Value::is_null) {
            entry.shift_remove("on_error");
        }
        entry
    }
}
