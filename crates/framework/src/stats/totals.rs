//! Where the counters of a plugin stand at one moment, as plain numbers that can be subtracted.

use std::collections::BTreeMap;

use mortise_telemetry::histogram::Reading;

use super::{PluginStats, Relaxed, Status};

/// Counters of one plugin at one moment, or between two.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// By hook.
    pub hooks: BTreeMap<std::sync::Arc<str>, HookTotals>,
    /// Violations by code and whether they blocked.
    pub violations: BTreeMap<(String, bool), u64>,
    /// Errors by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// Calls that answered after their deadline and could not be interrupted.
    pub overruns: u64,
    /// Background calls that were not made because too many were under way.
    pub dropped: u64,
    /// Times the circuit breaker opened.
    pub breaker_openings: u64,
}

/// Calls at one hook.
#[derive(Clone, Debug, Default)]
pub struct HookTotals {
    /// In the order of [`Status::ALL`].
    pub by_status: [u64; Status::COUNT],
    /// Time taken.
    pub duration: Reading,
    /// The shortest and the longest call since the statistics began; readings do not have it subtracted.
    pub extremes: Option<(std::time::Duration, std::time::Duration)>,
}

impl HookTotals {
    /// All calls.
    pub fn executions(&self) -> u64 {
        self.by_status.iter().sum()
    }

    /// Both together, of two hooks.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let extremes = match (self.extremes, other.extremes) {
            (Some(one), Some(two)) => Some((one.0.min(two.0), one.1.max(two.1))),
            (one, two) => one.or(two),
        };
        Self {
            by_status: std::array::from_fn(|at| self.by_status[at] + other.by_status[at]),
            duration: self.duration.and(&other.duration),
            extremes,
        }
    }
}

impl Totals {
    pub(super) fn of(stats: &PluginStats) -> Self {
        let hooks = stats.hooks().into_iter().map(|(name, hook)| {
            let duration = hook.duration.read();
            (name, HookTotals { by_status: hook.by_status(), duration, extremes: hook.duration.extremes() })
        });
        Self {
            hooks: hooks.collect(),
            violations: stats.violations().into_iter().collect(),
            errors: stats.errors().into_iter().collect(),
            overruns: stats.overruns.load(Relaxed),
            dropped: stats.dropped.load(Relaxed),
            breaker_openings: stats.breaker_openings(),
        }
    }

    /// What came since `earlier`. Codes and errors of which there were none are left out.
    pub(super) fn since(mut self, earlier: &Self) -> Self {
        for (name, hook) in &mut self.hooks {
            let Some(before) = earlier.hooks.get(name) else { continue };
            hook.by_status =
                std::array::from_fn(|at| hook.by_status[at].saturating_sub(before.by_status[at]));
            hook.duration = hook.duration.since(&before.duration);
        }
        subtract(&mut self.violations, &earlier.violations);
        subtract(&mut self.errors, &earlier.errors);
        self.overruns = self.overruns.saturating_sub(earlier.overruns);
        self.dropped = self.dropped.saturating_sub(earlier.dropped);
        self.breaker_openings = self.breaker_openings.saturating_sub(earlier.breaker_openings);
        self
    }

    /// All hooks together.
    pub fn all_hooks(&self) -> HookTotals {
        self.hooks.values().fold(HookTotals::default(), |sum, hook| sum.and(hook))
    }
}

fn subtract<K: Ord>(counts: &mut BTreeMap<K, u64>, earlier: &BTreeMap<K, u64>) {
    for (key, count) in counts.iter_mut() {
        *count = count.saturating_sub(earlier.get(key).copied().unwrap_or(0));
    }
    counts.retain(|_, count| *count > 0);
}
