//! How long to wait before trying again: doubling pauses with jitter.
//!
//! Jitter is full above half the pause, so that many upstreams that went away together do not come back
//! in step, and no pause is next to nothing.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// First and longest pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffConfig {
    /// Pause after the first failure. Default 250 ms.
    pub first: Duration,
    /// No pause is longer. Default 30 s.
    pub longest: Duration,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), longest: Duration::from_secs(30) }
    }
}

/// The pauses of one series of attempts.
#[derive(Debug)]
pub struct Backoff {
    config: BackoffConfig,
    failures: u32,
}

impl Backoff {
    /// A series without failures yet.
    #[must_use]
    pub fn new(config: BackoffConfig) -> Self {
        Self { config, failures: 0 }
    }

    /// Counts a failure and returns how long to wait.
    pub fn next_pause(&mut self) -> Duration {
        let doubled = self.config.first.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let pause = doubled.min(self.config.longest);
        // A fresh `RandomState` is seeded by the system: randomness enough for jitter.
        let share = RandomState::new().hash_one(self.failures) % 1024;
        pause / 2 + (pause / 2 / 1024) * u32::try_from(share).unwrap_or(0)
    }

    /// Forgets the failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_stay_within_the_bound_and_start_over_after_a_reset() {
        let config = BackoffConfig { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
        let mut backoff = Backoff::new(config);
        for bound in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.next_pause();
            assert!(pause <= Duration::from_millis(bound), "{pause:?} over {bound}");
            assert!(pause >= Duration::from_millis(bound / 2), "{pause:?} under half of {bound}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= Duration::from_millis(100));
    }
}
