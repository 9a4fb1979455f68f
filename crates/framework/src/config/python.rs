//! `plugin_settings.python`: what holds for plugins that are Python classes, and where they are looked for.
//!
//! Only the words; who runs Python reads them. A runtime is given entries and nothing else, so what an entry needs to
//! know of its surroundings goes with it ([`Surroundings`]).

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::entry::OneOrMany;
use super::settings::Seconds;

/// How plugins that are Python classes are run. Every key is optional.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PythonSettings {
    /// The interpreter: a name that is looked for on the path, or a file. Not given, `python3`; with `venv`, its own.
    pub interpreter: Option<String>,
    /// A virtual environment that plugins run in. Without `requirements` it must be there; with them it is made.
    pub venv: Option<String>,
    /// What plugins need: files in the format of pip, or single requirements (`requests>=2`). A virtual environment
    /// with it is made when the first plugin starts, in `venv` or else in the state folder.
    pub requirements: Option<OneOrMany<String>>,
    /// Memory that one worker process may have, in MiB of address space; 0 for no limit.
    pub memory_mb: u64,
    /// A worker that gives no sign of life for so long while calls wait, in seconds, is ended and started anew.
    pub stuck_after: Seconds,
    /// How long pip may take to install what plugins need, in seconds. A plugin whose start does not wait that long is
    /// unavailable until the next reload.
    pub install_timeout: Seconds,
    /// Variables of the environment of workers, beside the short list that every program needs.
    #[serde(serialize_with = "names_only")]
    pub env: BTreeMap<String, String>,
    /// Where a debugger can attach (`127.0.0.1:5678`), by debugpy. Workers that are stopped are not ended then.
    pub debug: Option<String>,
    /// Whether a worker waits for the debugger before it loads plugins, as long as a start may take.
    pub debug_wait: bool,
}

impl Default for PythonSettings {
    fn default() -> Self {
        Self {
            interpreter: None,
            venv: None,
            requirements: None,
            memory_mb: 1024,
            stuck_after: Seconds(Duration::from_secs(10)),
            install_timeout: Seconds(Duration::from_secs(600)),
            env: BTreeMap::new(),
            debug: None,
            debug_wait: false,
        }
    }
}

/// Names with a mark that changes with the value and tells nothing of it: values may be secrets.
pub(super) fn names_only<S: Serializer>(env: &BTreeMap<String, String>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(env.iter().map(|(name, value)| {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        (name, format!("hidden-{:04x}", hasher.finish() & 0xffff))
    }))
}

/// What the code of an entry finds around it.
#[derive(Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// What file names are relative to.
    pub directory: PathBuf,
    /// Where what outlives a restart may be kept; `None` where there is no such folder.
    pub state_dir: Option<PathBuf>,
    /// The `plugin_dirs`, where they are.
    pub plugin_dirs: Vec<PathBuf>,
    /// How Python is run.
    pub python: PythonSettings,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("."),
            state_dir: None,
            plugin_dirs: Vec::new(),
            python: PythonSettings::default(),
        }
    }
}

/// Never shows values of variables.
impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("directory", &self.directory)
            .field("state_dir", &self.state_dir)
            .field("plugin_dirs", &self.plugin_dirs)
            .finish_non_exhaustive()
    }
}
