//! Leaving a service alone that does not answer, where calls pass without its verdict.
//!
//! Where they do not pass, failures are errors of the plugin and the framework's breaker counts them; it does not see
//! those that are swallowed.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Failures in a row after which it is left alone.
const FAILURES: u32 = 5;
/// For how long; then one call tries.
const PAUSE: Duration = Duration::from_secs(30);

/// Whether a service is left alone.
#[derive(Default)]
pub(super) struct Rest {
    /// In a row.
    failures: AtomicU32,
    /// When the next call may try.
    until: Mutex<Option<Instant>>,
}

impl Rest {
    /// Whether a call may ask now. After a pause, only the first may.
    pub(super) fn admits(&self, now: Instant) -> bool {
        if self.failures.load(Relaxed) < FAILURES {
            return true;
        }
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let due = until.is_none_or(|until| now >= until);
        if due {
            *until = Some(now + PAUSE);
        }
        due
    }

    pub(super) fn succeeded(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    pub(super) fn failed(&self, now: Instant) {
        let counted = self.failures.fetch_update(Relaxed, Relaxed, |count| Some(count.saturating_add(1)));
        if counted.is_ok_and(|before| before + 1 >= FAILURES) {
            *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + PAUSE);
        }
    }
}
