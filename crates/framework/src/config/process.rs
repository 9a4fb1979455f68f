//! `process` of a plugin entry: what its process is started with, and what it may use.
//!
//! Only the words; who starts processes reads them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::python::names_only;

/// How the process of a plugin is started and bounded. Every key is optional.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessKeys {
    /// Variables of its environment, beside the short list that every program needs.
    #[serde(serialize_with = "names_only")]
    pub env: BTreeMap<String, String>,
    /// Its working directory, relative to the file that the entry stands in. Not given, the gateway's.
    pub cwd: Option<String>,
    /// What the SHA-256 of its program must be, in hexadecimal digits. Looked at before each start.
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<String>,
    /// Memory it may have for data, in MiB; 0 for no limit.
    pub memory_mb: u64,
    /// Services of the gateway that it may use, of those its manifest asks for: `kv.readwrite`, `apps.read`, …; `*`
    /// stands for all. Not given, all that it asks for.
    pub services: Option<Vec<String>>,
    /// Files it may have open.
    #[schemars(range(min = 16))]
    pub open_files: u64,
    /// What it may reach beside that, on Linux.
    pub sandbox: SandboxKeys,
}

/// What the process of a plugin may reach of its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxKeys {
    /// Which rules hold.
    pub profile: SandboxProfile,
    /// Files and folders it may read beside those that every program needs, under `strict`; relative to the file that the
    /// entry stands in.
    pub read: Vec<String>,
    /// Files and folders it may change beside its own; relative to the file that the entry stands in.
    pub write: Vec<String>,
    /// Whether it may use the network, under `strict`.
    pub network: bool,
}

/// Rules for the process of a plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxProfile {
    /// For programs that know of no rules: they may read what the gateway may and use the network, but change files only
    /// in their working directory, in the temporary folder and where `write` says, gain no privileges, and neither signal
    /// nor look into processes that are not theirs. Where the kernel cannot hold them to it, they run all the same.
    #[default]
    Compat,
    /// Nothing but what the entry says: no network, no files but the system's programs and libraries, its own folder, and
    /// what `read` and `write` say. Where the kernel cannot hold it to that, it is not started.
    Strict,
    /// No rules.
    None,
}

impl SandboxProfile {
    /// The word of a configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Compat => "compat",
            Self::Strict => "strict",
            Self::None => "none",
        }
    }
}

impl Default for ProcessKeys {
    fn default() -> Self {
        Self {
            env: BTreeMap::new(),
            cwd: None,
            sha256: None,
            memory_mb: 0,
            services: None,
            open_files: 4096,
            sandbox: SandboxKeys::default(),
        }
    }
}

/// Never shows values of variables.
impl std::fmt::Debug for ProcessKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessKeys")
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .field("sha256", &self.sha256)
            .field("memory_mb", &self.memory_mb)
            .field("services", &self.services)
            .field("open_files", &self.open_files)
            .field("sandbox", &self.sandbox)
            .finish()
    }
}
