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
    /// Files it may have open.
    #[schemars(range(min = 16))]
    pub open_files: u64,
}

impl Default for ProcessKeys {
    fn default() -> Self {
        Self { env: BTreeMap::new(), cwd: None, sha256: None, memory_mb: 0, open_files: 4096 }
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
            .field("open_files", &self.open_files)
            .finish()
    }
}
