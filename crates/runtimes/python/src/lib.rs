//! The runtime `python`: plugins that are Python classes, in worker processes that are supervised.
//!
//! An entry whose `kind` is the dotted path of a class that nothing here has built in, or `isolated_venv`, runs that class
//! unmodified, as ContextForge would. What is the same for all runtimes (mode, order, conditions, time limits, circuit
//! breaker) is the pipeline's; here are the processes, which of them plugins share (`pool`), what is said on
//! the wire (`link`), where classes are found (`source`) and what they need installed (`home`).
//!
//! The worker is a program of ours, kept in `worker/` beside this and embedded; it needs nothing but an interpreter. One
//! process serves all plugins of one virtual environment and trust group: Python takes some 20 MiB and a second of
//! imports, so one each would cost more than most plugins are worth. The price is that they share their fate, so a
//! `namespace` sets plugins apart that should not.
//!
//! A gateway without such a plugin holds nothing of this but a hook table.

mod frame;
mod home;
mod install;
mod link;
mod plugin;
mod pool;
mod process;
mod program;
mod source;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use mortise_framework::{Runtime, config::PluginEntry};
use mortise_plugin_api::{BuildError, HookTable, Plugin};
use serde_json::{Value, json};

use crate::{plugin::PythonPlugin, pool::Pool, source::Source};

/// The kind whose class stands in `config.class_name`.
const ISOLATED: &str = "isolated_venv";

/// Says of a class path what is known of it without Python: what it waits for where its code is not found.
type Known = fn(&str) -> Option<String>;

/// Plugins that are Python classes.
pub struct PythonRuntime {
    hooks: Arc<HookTable>,
    pool: Arc<Pool>,
    known: Known,
}

impl PythonRuntime {
    /// The runtime for a program with these hooks.
    #[must_use]
    pub fn new(hooks: Arc<HookTable>) -> Self {
        Self { hooks, pool: Arc::default(), known: |_| None }
    }

    /// Knows why a class path cannot run here where its module is not in `plugin_dirs`: for classes of other products
    /// that users rarely have.
    #[must_use]
    pub fn known(mut self, known: Known) -> Self {
        self.known = known;
        self
    }
}

impl std::fmt::Debug for PythonRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PythonRuntime").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl Runtime for PythonRuntime {
    fn name(&self) -> &'static str {
        "python"
    }

    fn claims(&self, kind: &str) -> bool {
        kind == ISOLATED || is_class_path(kind)
    }

    fn waits_for(&self, entry: &PluginEntry) -> Option<String> {
        if let Some(reason) = (self.known)(&entry.kind)
            && Source::of(entry).file().is_none()
        {
            return Some(reason);
        }
        home::missing(entry)
    }

    /// A class sees what it is applied to; messages are bounded where it has an environment of its own.
    fn goes_by(&self, kind: &str, key: &str) -> bool {
        key == "applied_to" || (key == "max_content_size" && kind == ISOLATED)
    }

    fn beside(&self, entry: &PluginEntry) -> Value {
        let source = Source::of(entry);
        json!({
            "folders": source.folders(),
            "code": source.digest(),
            "namespace": entry.namespace,
            "python": entry.surroundings.python,
            "requirements": home::requirements_digest(entry),
        })
    }

    fn create(&self, entry: &PluginEntry, config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
        let source = Source::of(entry);
        source.note();
        Ok(Arc::new(PythonPlugin::new(self.hooks.clone(), self.pool.clone(), entry, source, config)))
    }
}

/// Whether `kind` can be the dotted path of a Python class.
fn is_class_path(kind: &str) -> bool {
    let identifier = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    kind.contains('.') && !kind.starts_with("builtin.") && kind.split('.').all(identifier)
}
