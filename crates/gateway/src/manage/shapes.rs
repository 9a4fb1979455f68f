//! Answers of the management surface as types: what is written is what the OpenAPI document describes.

use std::collections::BTreeMap;

use mortise_framework::config::{Mode, OfferName, OnError, OneOrMany, PluginPermission};
use mortise_plugin_api::Confinement;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{
    config::outline::Change,
    history::Outcome,
    overrides::{Configured, Overridden},
    reload::Report,
};

/// Why something was refused.
#[derive(Serialize, JsonSchema)]
pub(super) struct Problem {
    /// What is wrong, for a person.
    pub(super) detail: String,
    /// `refused`, where a change of the configuration was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<String>,
    /// Every reason of it, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasons: Option<Vec<String>>,
    /// The same with file, line, field and advice; null where the configuration itself is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) errors: Option<Value>,
}

/// The process answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Healthy {
    /// `healthy`.
    pub(super) status: &'static str,
}

/// Whether the gateway is ready.
#[derive(Serialize, JsonSchema)]
pub(super) struct Ready {
    /// `starting` (with 503), `ready` or `degraded`.
    pub(super) status: &'static str,
    /// Whether plugins run at all.
    pub(super) plugins_enabled: bool,
    /// Plugins that are switched off while running, by name.
    pub(super) switched_off: Vec<String>,
    /// What does not run as configured. Not there while starting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) degraded: Option<Vec<Degraded>>,
}

/// Something that does not run as configured.
#[derive(Serialize, JsonSchema)]
pub(super) struct Degraded {
    /// `plugin`, `upstream`, `configuration` or `storage`.
    pub(super) kind: &'static str,
    /// Its name.
    pub(super) name: String,
    /// Why; only for callers that may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// An upstream and where it stands.
#[derive(Serialize, JsonSchema)]
pub(super) struct UpstreamStatus {
    /// Its name.
    pub(super) name: String,
    /// `ready`, `starting` or `failing`.
    pub(super) status: &'static str,
    /// Why it is failing.
    pub(super) reason: Option<String>,
    /// How many tools it lists.
    pub(super) tools: usize,
    /// How many prompts.
    pub(super) prompts: usize,
    /// How many resources.
    pub(super) resources: usize,
}

/// A plugin in a list.
#[derive(Serialize, JsonSchema)]
pub(super) struct PluginSummary {
    /// Its unique name.
    pub(super) name: String,
    /// Lower runs first.
    pub(super) priority: i64,
    /// What its verdicts and failures mean.
    pub(super) mode: Mode,
    /// The hooks it runs at.
    pub(super) hooks: Vec<String>,
    /// Words to find it by.
    pub(super) tags: Vec<String>,
    /// Where it runs: the fields that narrow. Of several conditions, a list of these; empty means everywhere.
    #[schemars(with = "OneOrMany<BTreeMap<String, Vec<String>>>")]
    pub(super) conditions: Value,
    /// `starting`, `ready`, `degraded` (not at all of its hooks, unwell, or its circuit breaker is open), `unavailable`, `disabled`, `idle` or `stopped`.
    pub(super) status: &'static str,
    /// Why it is unavailable, idle or degraded.
    pub(super) reason: Option<String>,
    /// Which code: `builtin.NAME`, a class path, `external`, `process`, `wasm`.
    pub(super) kind: String,
    /// Name of the runtime its code runs in, empty where none claims its kind.
    pub(super) runtime: &'static str,
    /// 32 hexadecimal digits, new for each start.
    pub(super) uuid: String,
    /// What it is for.
    pub(super) description: Option<String>,
    /// Who wrote it.
    pub(super) author: Option<String>,
    /// Its version.
    pub(super) version: Option<String>,
    /// Its number, where it is kept in storage; one without stands in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<i64>,
    /// The rules that its process runs under, where it has one of its own: `compat`, `strict` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sandbox: Option<&'static str>,
    /// What of it is changed while running. What stands above is what comes of it.
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    pub(super) over: Option<Overridden>,
    /// What is configured of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) configured: Option<Configured>,
}

/// Everything that is changed while running.
#[derive(Serialize, JsonSchema)]
pub(super) struct OverrideList {
    /// The switch for all plugins; null where the configuration decides.
    pub(super) plugins_enabled: Option<SwitchState>,
    /// Single plugins.
    pub(super) plugins: Vec<OverrideOf>,
}

/// The switch for all plugins.
#[derive(Serialize, JsonSchema)]
pub(super) struct SwitchState {
    /// Whether they run.
    pub(super) enabled: bool,
    /// Who said so.
    pub(super) by: String,
    /// When, in UTC.
    pub(super) at: String,
}

/// What of one plugin is changed while running.
#[derive(Serialize, JsonSchema)]
pub(super) struct OverrideOf {
    /// Its name.
    pub(super) name: String,
    /// Whether there is such a plugin; if not, the override waits for it.
    pub(super) configured: bool,
    /// The change.
    #[serde(rename = "override")]
    pub(super) over: Overridden,
}

/// A plugin in full.
#[derive(Serialize, JsonSchema)]
pub(super) struct PluginDetail {
    #[serde(flatten)]
    pub(super) summary: PluginSummary,
    /// A namespace, for display.
    pub(super) namespace: Option<String>,
    /// What a failure means, where that differs from its mode.
    pub(super) on_error: Option<OnError>,
    /// What it may see and change of a call.
    pub(super) capabilities: Vec<PluginPermission>,
    /// What it offers beside hooks.
    pub(super) offers: Vec<OfferName>,
    /// What holds its process, where it has one of its own that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confinement: Option<Confinement>,
    /// Where it is configured: file, line and column.
    pub(super) source: String,
    /// Its configuration, secrets as `***`.
    pub(super) config: Value,
    /// How its circuit breaker stands.
    pub(super) circuit_breaker: Breaker,
    /// What it counted.
    pub(super) stats: Counters,
}

/// A plugin's circuit breaker.
#[derive(Serialize, JsonSchema)]
pub(super) struct Breaker {
    /// `closed`, `open` (it is not called) or `half_open` (one call tries it).
    pub(super) state: &'static str,
    /// Failures in a row.
    pub(super) failures: u32,
    /// When it last opened or closed, in UTC; null where it never opened.
    pub(super) since: Option<String>,
    /// Seconds until a call tries it again.
    pub(super) retry_in: f64,
}

/// Counters of one plugin.
#[derive(Serialize, JsonSchema)]
pub(super) struct Counters {
    /// Calls by hook.
    pub(super) hooks: BTreeMap<String, HookCounters>,
    /// Violations by code.
    pub(super) violations: Vec<ViolationCount>,
    /// Errors by type.
    pub(super) errors: BTreeMap<String, u64>,
}

/// Calls of one plugin at one hook.
#[derive(Serialize, JsonSchema)]
pub(super) struct HookCounters {
    /// All of them.
    pub(super) calls: u64,
    /// The same by how they ended.
    pub(super) by_status: BTreeMap<String, u64>,
}

/// Violations of one code.
#[derive(Serialize, JsonSchema)]
pub(super) struct ViolationCount {
    /// The code.
    pub(super) code: String,
    /// Whether they blocked; if not, a stricter mode would have.
    pub(super) blocked: bool,
    /// How many.
    pub(super) count: u64,
}

/// A change of the configuration that was not refused.
#[derive(Serialize, JsonSchema)]
pub(super) struct Reloaded {
    /// `success`.
    status: &'static str,
    /// Whether there was anything to change.
    outcome: Outcome,
    /// The snapshot in force.
    snapshot: u64,
    /// What changed, secrets as `***`.
    changes: Vec<Change>,
    /// Settings that wait for a restart.
    waiting_for_restart: Vec<String>,
    /// What deserves a word although it was done.
    notices: Vec<String>,
}

impl From<Report> for Reloaded {
    fn from(report: Report) -> Self {
        Self {
            status: "success",
            outcome: report.outcome,
            snapshot: report.snapshot,
            changes: report.changes,
            waiting_for_restart: report.waiting,
            notices: report.notices,
        }
    }
}

/// A plugin that was started anew.
#[derive(Serialize, JsonSchema)]
pub(super) struct ReloadedPlugin {
    #[serde(flatten)]
    pub(super) reloaded: Reloaded,
    /// A word for a person.
    pub(super) message: String,
    /// The plugin as it is now.
    pub(super) plugin: Option<PluginSummary>,
}

/// A plugin that was changed.
#[derive(Serialize, JsonSchema)]
pub(super) struct ChangedPlugin {
    #[serde(flatten)]
    pub(super) reloaded: Reloaded,
    /// The plugin as it is now; null where there is none of this name any more.
    pub(super) plugin: Option<PluginDetail>,
}

/// All plugins, switched off or on.
#[derive(Serialize, JsonSchema)]
pub(super) struct Switched {
    #[serde(flatten)]
    pub(super) reloaded: Reloaded,
    /// Whether plugins run at all.
    pub(super) plugins_enabled: bool,
}
