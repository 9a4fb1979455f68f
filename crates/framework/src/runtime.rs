//! Runtimes: how the code of a configured plugin is brought to run.
//!
//! A pipeline knows plugins only as the trait. A runtime turns an entry into such a plugin; which runtimes a
//! program has is decided where it is put together.

use std::sync::Arc;

use mortise_plugin_api::{BuildError, NativeKind, Plugin};
use schemars::Schema;
use serde_json::Value;

use crate::config::{Mode, PluginEntry};

/// The key of an entry that says what of a plugin's calls it applies to.
const APPLIED_TO: &str = "applied_to";

/// Makes plugins of the entries whose kind it knows.
pub trait Runtime: Send + Sync {
    /// Its name in lists and logs: `native`, `external`, `process`, ….
    fn name(&self) -> &'static str;

    /// Whether plugins run outside this process or in a sandbox.
    fn foreign(&self) -> bool {
        true
    }

    /// Whether `kind` is one of its kinds.
    fn claims(&self, kind: &str) -> bool;

    /// The kinds it has, as they are best written, where these can be counted: what a slip of the pen is compared with.
    fn kind_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Schema that `config:` of this kind must match, where it has one.
    fn config_schema(&self, _kind: &str) -> Option<Schema> {
        None
    }

    /// Hooks an entry of this kind runs at when it lists none.
    fn default_hooks(&self, _kind: &str) -> &[mortise_plugin_api::HookId] {
        &[]
    }

    /// The mode that an entry has at a hook when neither it nor a binding names one; `None` for the mode of all.
    fn default_mode(&self, _hook: mortise_plugin_api::HookId) -> Option<Mode> {
        None
    }

    /// Hooks this entry runs at when it lists none.
    fn hooks_of(&self, entry: &PluginEntry) -> &[mortise_plugin_api::HookId] {
        self.default_hooks(&entry.kind)
    }

    /// Whether code of this kind goes by a key of its entry that is the code's own business (`applied_to`,
    /// `max_content_size`).
    fn goes_by(&self, _kind: &str, _key: &str) -> bool {
        false
    }

    /// Whether the code of an entry that does not say what it offers may have endpoints of its own, as far as that is
    /// known before it runs.
    fn may_have_endpoints(&self, _entry: &PluginEntry) -> bool {
        false
    }

    /// What keeps an entry of one of its kinds from running here, as far as that is known without running anything;
    /// `None` where nothing is.
    fn waits_for(&self, _entry: &PluginEntry) -> Option<String> {
        None
    }

    /// What the code of an entry depends on beside the entry, such as files: where that has changed, the plugin has.
    fn beside(&self, _entry: &PluginEntry) -> Value {
        Value::Null
    }

    /// Makes the plugin of an entry and its `config:`, checked against the schema and with a binding's keys over the
    /// entry's own. Pure: touches nothing outside; starting is [`Plugin::initialize`]'s.
    ///
    /// # Errors
    /// When the config is not acceptable.
    fn create(&self, entry: &PluginEntry, config: &Value) -> Result<Arc<dyn Plugin>, BuildError>;
}

/// The native runtime: Rust plugins of this build, by `builtin.NAME`, bare name, or the class path under which
/// other frameworks know them.
#[derive(Debug, Default)]
pub struct NativeRuntime {
    kinds: Vec<NativeKind>,
}

impl NativeRuntime {
    /// A runtime of these kinds. Where two answer to one name, the later one wins, so that a custom build can
    /// replace a built-in plugin.
    pub fn new(kinds: impl IntoIterator<Item = NativeKind>) -> Self {
        Self { kinds: kinds.into_iter().collect() }
    }

    /// The kind that `kind:` names.
    pub fn find(&self, kind: &str) -> Option<&NativeKind> {
        let plain = kind.strip_prefix("builtin.").unwrap_or(kind);
        self.kinds.iter().rev().find(|known| known.name == plain || known.class_paths.contains(&kind))
    }

    /// All kinds.
    pub fn kinds(&self) -> &[NativeKind] {
        &self.kinds
    }
}

impl Runtime for NativeRuntime {
    fn name(&self) -> &'static str {
        "native"
    }

    fn foreign(&self) -> bool {
        false
    }

    fn claims(&self, kind: &str) -> bool {
        self.find(kind).is_some()
    }

    fn kind_names(&self) -> Vec<String> {
        self.kinds.iter().map(|kind| format!("builtin.{}", kind.name)).collect()
    }

    fn config_schema(&self, kind: &str) -> Option<Schema> {
        Some((self.find(kind)?.config_schema)())
    }

    fn default_hooks(&self, kind: &str) -> &[mortise_plugin_api::HookId] {
        self.find(kind).map_or(&[], |known| known.hooks)
    }

    /// `applied_to`, by kinds whose configuration has such a key: there it may stand in either place.
    fn goes_by(&self, kind: &str, key: &str) -> bool {
        let has = |schema: Schema| schema.as_value()["properties"].get(key).is_some();
        key == APPLIED_TO && self.config_schema(kind).is_some_and(has)
    }

    fn may_have_endpoints(&self, entry: &PluginEntry) -> bool {
        let config = Value::Object(entry.config_json.clone());
        let built = self.find(&entry.kind).and_then(|kind| (kind.build)(&config).ok());
        built.is_some_and(|plugin| plugin.endpoints().is_some())
    }

    fn create(&self, entry: &PluginEntry, config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
        let kind = self.find(&entry.kind).ok_or_else(|| BuildError::new("kind", "is not a native kind"))?;
        let beside = entry.applied_to.as_ref().filter(|_| config.get(APPLIED_TO).is_none_or(Value::is_null));
        match beside {
            Some(applied) if self.goes_by(&entry.kind, APPLIED_TO) => {
                let mut config = config.clone();
                if let Some(config) = config.as_object_mut() {
                    config.insert(APPLIED_TO.to_owned(), Value::Object(applied.clone()));
                }
                (kind.build)(&config)
            }
            _ => (kind.build)(config),
        }
    }
}
