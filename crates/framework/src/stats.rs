//! Counters of plugins: atomics on the hot path, read out when somebody scrapes or asks.
//!
//! Counters belong to a plugin's name, not to an instance, so they survive a reload. They only ever grow, as whoever
//! scrapes them must be able to rely on: a reset of the statistics notes where they stand ([`Totals`]) and subtracts
//! that from then on ([`report`]).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use mortise_plugin_api::HookId;
use mortise_telemetry::{
    counts::{Adder, Counts},
    histogram::Histogram,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};

use crate::pipeline::outcome::Status;

pub mod contexts;
mod export;
mod memory;
pub mod report;
mod totals;

pub use export::{PluginCollector, descriptor};
pub use report::Report;
pub use totals::Totals;

/// Most distinct codes counted per plugin; what comes beyond counts as `other`, so that a plugin cannot fill memory
/// with codes it makes up.
const MAX_CODES: usize = 64;

/// Counters of one plugin at one hook.
#[derive(Debug, Default)]
pub struct HookStats {
    /// Calls by [`Status`].
    statuses: Counts<{ Status::COUNT }>,
    /// Time taken.
    pub duration: Histogram,
}

impl HookStats {
    /// Counts one call.
    pub fn count(&self, status: Status, took: std::time::Duration) {
        let adder = Adder::this_thread();
        self.statuses.add_as(adder, status as usize, 1);
        self.duration.record_as(adder, took);
    }

    /// Calls that ended so.
    pub fn calls(&self, status: Status) -> u64 {
        self.statuses.total(status as usize)
    }

    /// Calls by status, in the order of [`Status::ALL`].
    pub fn by_status(&self) -> [u64; Status::COUNT] {
        self.statuses.totals()
    }

    /// All calls.
    pub fn total(&self) -> u64 {
        self.by_status().iter().sum()
    }
}

/// Counters at a hook, and the hook's name.
type NamedStats = (Arc<str>, Arc<HookStats>);

/// Counters of one plugin.
#[derive(Debug, Default)]
pub struct PluginStats {
    hooks: Mutex<BTreeMap<HookId, NamedStats>>,
    violations: Mutex<BTreeMap<(String, bool), u64>>,
    errors: Mutex<BTreeMap<&'static str, u64>>,
    /// Calls that answered after their deadline and could not be interrupted.
    pub overruns: AtomicU64,
    /// Background calls that were not made because too many were under way.
    pub dropped: AtomicU64,
    /// Times its circuit breaker opened.
    opened: AtomicU64,
    /// Where its counters stood when the statistics were last reset.
    baseline: Mutex<Totals>,
}

impl PluginStats {
    /// Counters at one hook; a pipeline asks once and keeps them.
    pub fn at(&self, hook: HookId, name: &Arc<str>) -> Arc<HookStats> {
        let mut hooks = lock(&self.hooks);
        hooks.entry(hook).or_insert_with(|| (name.clone(), Arc::default())).1.clone()
    }

    /// Counts a violation.
    pub fn violation(&self, code: &str, blocked: bool) {
        let mut violations = lock(&self.violations);
        let known = violations.contains_key(&(code.to_owned(), blocked));
        let code = if known || violations.len() < MAX_CODES { code } else { "other" };
        *violations.entry((code.to_owned(), blocked)).or_default() += 1;
    }

    /// Counts an error.
    pub fn error(&self, kind: &'static str) {
        *lock(&self.errors).entry(kind).or_default() += 1;
    }

    /// Counts that the plugin's circuit breaker opened.
    pub fn breaker_opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    /// How often its circuit breaker opened.
    pub fn breaker_openings(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Counters by hook name.
    pub fn hooks(&self) -> Vec<NamedStats> {
        lock(&self.hooks).values().cloned().collect()
    }

    /// Violations by code and whether they blocked.
    pub fn violations(&self) -> Vec<((String, bool), u64)> {
        lock(&self.violations).iter().map(|(key, count)| (key.clone(), *count)).collect()
    }

    /// Errors by kind.
    pub fn errors(&self) -> Vec<(&'static str, u64)> {
        lock(&self.errors).iter().map(|(kind, count)| (*kind, *count)).collect()
    }

    /// Where all counters stand.
    pub fn totals(&self) -> Totals {
        Totals::of(self)
    }

    /// What was counted since the statistics were last reset.
    pub fn since_reset(&self) -> Totals {
        let now = self.totals();
        now.since(&lock(&self.baseline))
    }

    /// Begins the statistics anew; counters go on.
    pub fn reset(&self) {
        let mut baseline = lock(&self.baseline);
        *baseline = self.totals();
        for (_, hook) in self.hooks() {
            hook.duration.forget_extremes();
        }
    }
}

/// The counters of all plugins by name.
#[derive(Clone, Debug, Default)]
pub struct Stats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    plugins: Mutex<BTreeMap<Arc<str>, Arc<PluginStats>>>,
    /// When the statistics began, and how many contexts had ended by then.
    began: Mutex<(SystemTime, u64)>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { plugins: Mutex::default(), began: Mutex::new((SystemTime::now(), contexts::ended())) }
    }
}

impl Stats {
    /// The counters of the plugin `name`.
    pub fn of(&self, name: &Arc<str>) -> Arc<PluginStats> {
        lock(&self.0.plugins).entry(name.clone()).or_default().clone()
    }

    /// All counters.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<PluginStats>)> {
        lock(&self.0.plugins).iter().map(|(name, stats)| (name.clone(), stats.clone())).collect()
    }

    /// Begins the statistics of all plugins anew ([`Framework::statistics`](crate::Framework::statistics) counts from
    /// here). Metrics do not go backwards by it.
    pub fn reset(&self) {
        for (_, stats) in self.all() {
            stats.reset();
        }
        *lock(&self.0.began) = (SystemTime::now(), contexts::ended());
    }

    /// When the statistics began: with the program, or with the last reset.
    pub fn began(&self) -> SystemTime {
        lock(&self.0.began).0
    }

    /// Contexts that ended since the statistics began.
    pub(crate) fn contexts_cleaned(&self) -> u64 {
        contexts::ended().saturating_sub(lock(&self.0.began).1)
    }
}

/// Counters stay usable after a panic elsewhere: each update is a single insertion or addition.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
