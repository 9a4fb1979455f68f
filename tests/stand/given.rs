//! A runtime of plugins that the test holds itself, so that it can look into them while they run.

use std::sync::Arc;

use mortise_framework::{Runtime, config::PluginEntry};
use mortise_plugin_api::{BuildError, HookId, HookTable, Plugin};
use serde_json::Value;

/// Makes a plugin of its configuration.
pub(crate) type Make = Arc<dyn Fn(&Value) -> Arc<dyn Plugin> + Send + Sync>;

/// A plugin and the kind by which an entry names it.
#[derive(Clone)]
pub(crate) struct GivenPlugin {
    pub(crate) kind: String,
    make: Make,
    hooks: Vec<HookId>,
}

impl GivenPlugin {
    /// A plugin; entries without `hooks:` run at all it has.
    pub(crate) fn new(kind: String, plugin: Arc<dyn Plugin>) -> Self {
        let table = HookTable::standard();
        let has = |id: &HookId| plugin.needs(*id).is_some();
        let hooks = table.rows().iter().map(|row| row.id).filter(has).collect();
        Self { kind, make: Arc::new(move |_| plugin.clone()), hooks }
    }

    /// A kind of plugin, one for each entry and start.
    pub(crate) fn made(kind: String, hooks: &[HookId], make: Make) -> Self {
        Self { kind, make, hooks: hooks.to_vec() }
    }
}

/// The runtime: native plugins, or foreign ones.
pub(crate) struct Given {
    pub(crate) foreign: bool,
    pub(crate) plugins: Vec<GivenPlugin>,
}

impl Given {
    fn find(&self, kind: &str) -> Option<&GivenPlugin> {
        self.plugins.iter().find(|given| given.kind == kind)
    }
}

impl Runtime for Given {
    fn name(&self) -> &'static str {
        if self.foreign { "given-foreign" } else { "given" }
    }

    fn foreign(&self) -> bool {
        self.foreign
    }

    fn claims(&self, kind: &str) -> bool {
        self.find(kind).is_some()
    }

    fn default_hooks(&self, kind: &str) -> &[HookId] {
        self.find(kind).map_or(&[], |given| &given.hooks)
    }

    fn create(&self, entry: &PluginEntry, config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
        let given = self.find(&entry.kind).ok_or_else(|| BuildError::new("kind", "is not given"))?;
        Ok((given.make)(config))
    }
}
