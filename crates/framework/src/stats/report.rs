//! Statistics as they are shown: what `GET /plugins/stats` answers.
//!
//! The totals of the registry stand under the names that existing clients know (`total_plugins`,
//! `plugins_by_hook`, …). What plugins did stands under the names of the metrics without their prefix
//! (`executions`, `duration_seconds`, `violations`, `errors`, `contexts_active`, `contexts_cleaned`,
//! `memory_usage_bytes`), so that who knows the one knows the other. Counted from the start of the program, or the last
//! reset.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Totals, contexts, memory, totals::HookTotals};
use crate::{config::Mode, load::Framework, pipeline::outcome::Status};

/// Statistics of all plugins.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Statistics")]
pub struct Report {
    /// Plugins that are configured.
    pub total_plugins: u64,
    /// Those of them that are not disabled.
    pub enabled_plugins: u64,
    /// Those that are disabled by their mode.
    pub disabled_plugins: u64,
    /// How many are configured at each hook; hooks without plugins are left out.
    pub plugins_by_hook: BTreeMap<String, u64>,
    /// How many are configured in each mode; modes without plugins are left out.
    pub plugins_by_mode: BTreeMap<String, u64>,
    /// When the statistics began, in seconds since 1970: at the start of the program, or at the last reset.
    pub since: u64,
    /// Calls of plugins.
    pub executions: u64,
    /// Violations, those that did not block among them.
    pub violations: u64,
    /// Violations that a stricter mode would have let block.
    pub would_have_blocked: u64,
    /// Calls that gave no answer.
    pub errors: u64,
    /// Requests whose plugins remember something at the moment.
    pub contexts_active: u64,
    /// Requests that ended and took what plugins remembered with them.
    pub contexts_cleaned: u64,
    /// By plugin, sorted by name; also those that are no longer configured, while something of them is counted.
    pub plugins: Vec<PluginReport>,
}

/// Statistics of one plugin.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PluginReport {
    /// Its name.
    pub name: String,
    /// Calls at all hooks.
    pub executions: u64,
    /// The same by how they ended: `pass`, `change`, `block`, `would_block`, `error`, `serve`.
    pub executions_by_status: BTreeMap<&'static str, u64>,
    /// How long calls took.
    pub duration_seconds: Durations,
    /// Violations by code, those that did not block among them.
    pub violations: BTreeMap<String, u64>,
    /// Those that a stricter mode would have let block, by code.
    pub would_have_blocked: BTreeMap<String, u64>,
    /// Calls that gave no answer, by type: `error`, `panic`, `unavailable`, `timeout`, `invalid_answer`, `payload`,
    /// `no_service`.
    pub errors: BTreeMap<&'static str, u64>,
    /// Calls that answered after their deadline and could not be interrupted.
    pub deadline_overruns: u64,
    /// Background calls that were not made because too many were under way.
    pub background_dropped: u64,
    /// Times its circuit breaker opened.
    pub breaker_opened: u64,
    /// Memory of its process, with what that has started, which plugins that share the process all show; null for
    /// plugins that run within the gateway, or elsewhere and not started by it.
    pub memory_usage_bytes: Option<u64>,
    /// By hook.
    pub hooks: BTreeMap<String, HookReport>,
}

/// Statistics of one plugin at one hook.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct HookReport {
    /// Calls.
    pub executions: u64,
    /// The same by how they ended.
    pub executions_by_status: BTreeMap<&'static str, u64>,
    /// How long they took.
    pub duration_seconds: Durations,
}

/// How long calls took, in seconds. All zero where there was none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Durations {
    /// All together.
    pub sum: f64,
    /// The shortest.
    pub min: f64,
    /// The mean.
    pub avg: f64,
    /// The longest.
    pub max: f64,
    /// Half of the calls took no longer. This and the next ones are as near as the buckets of the metric tell.
    pub p50: f64,
    /// Nine of ten took no longer.
    pub p90: f64,
    /// 95 of 100.
    pub p95: f64,
    /// 99 of 100.
    pub p99: f64,
}

impl Framework {
    /// Statistics of all plugins since the start of the program, or since
    /// [`Stats::reset`](super::Stats::reset).
    pub fn statistics(&self) -> Report {
        let stats = self.stats();
        let pipelines = self.pipelines();
        let instances = pipelines.instances();
        let mut plugins_by_hook = BTreeMap::new();
        let mut plugins_by_mode = BTreeMap::new();
        for instance in instances {
            *plugins_by_mode.entry(word(instance.entry.mode)).or_default() += 1;
            for hook in self.hooks_of(&instance.entry) {
                if let Some(spec) = self.hooks().spec(hook) {
                    *plugins_by_hook.entry(spec.name.to_string()).or_default() += 1;
                }
            }
        }
        let held = memory::of_plugins(&pipelines);
        let configured = |name: &str| instances.iter().any(|instance| &*instance.name == name);
        let plugins: Vec<_> = stats
            .all()
            .into_iter()
            .map(|(name, stats)| PluginReport {
                memory_usage_bytes: held.get(&name).copied(),
                ..PluginReport::new(&name, &stats.since_reset())
            })
            .filter(|plugin| plugin.executions > 0 || configured(&plugin.name))
            .collect();
        let disabled = instances.iter().filter(|instance| instance.entry.mode == Mode::Disabled).count();
        let sum = |of: fn(&PluginReport) -> u64| plugins.iter().map(of).sum();
        Report {
            total_plugins: instances.len() as u64,
            enabled_plugins: (instances.len() - disabled) as u64,
            disabled_plugins: disabled as u64,
            plugins_by_hook,
            plugins_by_mode,
            since: stats.began().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            executions: sum(|plugin| plugin.executions),
            violations: sum(|plugin| plugin.violations.values().sum()),
            would_have_blocked: sum(|plugin| plugin.would_have_blocked.values().sum()),
            errors: sum(|plugin| plugin.errors.values().sum()),
            contexts_active: contexts::active(),
            contexts_cleaned: stats.contexts_cleaned(),
            plugins,
        }
    }
}

impl PluginReport {
    /// What these totals show of the plugin `name`; of its memory they know nothing.
    pub fn new(name: &str, totals: &Totals) -> Self {
        let all = totals.all_hooks();
        let mut violations: BTreeMap<String, u64> = BTreeMap::new();
        let mut would_have_blocked: BTreeMap<String, u64> = BTreeMap::new();
        for ((code, blocked), count) in &totals.violations {
            *violations.entry(code.clone()).or_default() += count;
            if !blocked {
                *would_have_blocked.entry(code.clone()).or_default() += count;
            }
        }
        Self {
            name: name.to_owned(),
            executions: all.executions(),
            executions_by_status: by_status(&all),
            duration_seconds: Durations::of(&all),
            violations,
            would_have_blocked,
            errors: totals.errors.clone(),
            deadline_overruns: totals.overruns,
            background_dropped: totals.dropped,
            breaker_opened: totals.breaker_openings,
            memory_usage_bytes: None,
            hooks: totals
                .hooks
                .iter()
                .map(|(hook, totals)| (hook.to_string(), HookReport::of(totals)))
                .collect(),
        }
    }
}

impl HookReport {
    fn of(totals: &HookTotals) -> Self {
        Self {
            executions: totals.executions(),
            executions_by_status: by_status(totals),
            duration_seconds: Durations::of(totals),
        }
    }
}

impl Durations {
    fn of(totals: &HookTotals) -> Self {
        let Some((min, max)) = totals.extremes.filter(|_| totals.duration.count() > 0) else {
            return Self::default();
        };
        // What buckets tell is an estimate; the extremes are known.
        let quantile = |share| totals.duration.quantile(share).clamp(min, max);
        let [sum, min_s, avg, max_s] =
            [totals.duration.sum, min, totals.duration.mean(), max].map(|took: Duration| took.as_secs_f64());
        let [p50, p90, p95, p99] = [0.5, 0.9, 0.95, 0.99].map(|share| quantile(share).as_secs_f64());
        Self { sum, min: min_s, avg, max: max_s, p50, p90, p95, p99 }
    }
}

fn by_status(totals: &HookTotals) -> BTreeMap<&'static str, u64> {
    Status::ALL.iter().zip(totals.by_status).map(|(status, count)| (status.word(), count)).collect()
}

/// A mode as configurations say it.
fn word(mode: Mode) -> String {
    match serde_json::to_value(mode) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
