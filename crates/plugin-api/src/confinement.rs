//! What people are shown of the rules that a plugin's process runs under.
//!
//! Told, not decided: the runtime that starts the process holds it to them.

use schemars::JsonSchema;
use serde::Serialize;

/// Rules and limits of a plugin's process, as they hold.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Confinement {
    /// Name of the rules about what it may reach: `compat`, `strict` or `none`.
    pub profile: &'static str,
    /// Whether the kernel of this machine holds it to them.
    pub enforced: bool,
    /// Whether it may use the network.
    pub network: bool,
    /// What it may read beside what every program of its profile may.
    pub read: Vec<String>,
    /// What it may change beside what every program of its profile may.
    pub write: Vec<String>,
    /// Memory it may have, in MiB; null for no limit.
    pub memory_mb: Option<u64>,
    /// Cores it may keep busy; null for no limit. Held by control groups only.
    pub cpu_cores: Option<f64>,
    /// Processes and threads it may have; null for no limit.
    pub processes: Option<u64>,
    /// Files it may have open; null for no limit.
    pub open_files: Option<u64>,
    /// What holds the limits: `cgroup` for the process with all it starts, `rlimits` for each of its processes.
    pub limits_held_by: &'static str,
}
