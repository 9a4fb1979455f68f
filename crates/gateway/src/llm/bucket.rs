//! What a minute has room for, in calls or in tokens: a bucket that empties evenly.
//!
//! As much at once as a minute allows, then as fast as it empties. One number without a lock: when the bucket will be
//! empty again. So it means the same after a restart, and a limit that changes needs no conversion.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Nanoseconds of a minute.
const MINUTE: u64 = 60_000_000_000;

/// A bucket.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// When it will be empty again, in nanoseconds since 1970.
    empty_at: AtomicU64,
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    u64::try_from(now).unwrap_or(u64::MAX)
}

/// How long an amount takes to run out, of a limit that is not 0.
fn worth(limit: u64, amount: u64) -> u64 {
    let time = u128::from(amount) * u128::from(MINUTE) / u128::from(limit.max(1));
    u64::try_from(time).unwrap_or(u64::MAX)
}

impl Bucket {
    /// Takes one of `limit` a minute; the time to wait where there is none left.
    pub(super) fn take(&self, limit: u64) -> Result<(), Duration> {
        self.take_at(limit, now())
    }

    fn take_at(&self, limit: u64, now: u64) -> Result<(), Duration> {
        let Some(share) = MINUTE.checked_div(limit) else { return Err(Duration::from_secs(60)) };
        let taken = self.empty_at.fetch_update(Relaxed, Relaxed, |empty_at| {
            let next = empty_at.max(now) + share;
            (next <= now + MINUTE).then_some(next)
        });
        taken
            .map(|_| ())
            .map_err(|empty_at| Duration::from_nanos(empty_at.saturating_add(share) - now - MINUTE))
    }

    /// Whether there is room for anything; the time to wait where there is none.
    pub(super) fn room(&self, limit: u64) -> Result<(), Duration> {
        self.room_at(limit, now())
    }

    fn room_at(&self, limit: u64, now: u64) -> Result<(), Duration> {
        if limit == 0 {
            return Err(Duration::from_secs(60));
        }
        let full = now.saturating_add(MINUTE);
        match self.empty_at.load(Relaxed) {
            empty_at if empty_at < full => Ok(()),
            empty_at => Err(Duration::from_nanos(empty_at - full)),
        }
    }

    /// Puts an amount in, whether there is room for it or not: what is too much has to run out first.
    pub(super) fn fill(&self, limit: u64, amount: u64) {
        self.fill_at(limit, amount, now());
    }

    fn fill_at(&self, limit: u64, amount: u64, now: u64) {
        let time = worth(limit, amount);
        let put = |empty_at: u64| Some(empty_at.max(now).saturating_add(time));
        let _before = self.empty_at.fetch_update(Relaxed, Relaxed, put);
    }

    /// Takes an amount out again.
    pub(super) fn drain(&self, limit: u64, amount: u64) {
        let time = worth(limit, amount);
        let _before =
            self.empty_at.fetch_update(Relaxed, Relaxed, |empty_at| Some(empty_at.saturating_sub(time)));
    }

    /// When it will be empty again, in milliseconds since 1970.
    pub(super) fn ends(&self) -> i64 {
        i64::try_from(self.empty_at.load(Relaxed) / 1_000_000).unwrap_or(i64::MAX)
    }

    /// Has it empty no sooner than that.
    pub(super) fn restore(&self, ends: i64) {
        let ends = u64::try_from(ends).unwrap_or(0).saturating_mul(1_000_000);
        self.empty_at.fetch_max(ends, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000_000_000;
    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn calls_of_a_minute_can_come_at_once_and_then_evenly() {
        let bucket = Bucket::default();
        for _ in 0..60 {
            bucket.take_at(60, START).unwrap();
        }
        assert_eq!(bucket.take_at(60, START), Err(Duration::from_secs(1)));
        bucket.take_at(60, START + SECOND).unwrap();
        assert!(bucket.take_at(60, START + SECOND).is_err());
        assert!(bucket.take_at(0, START + SECOND).is_err(), "none a minute is none");
    }

    #[test]
    fn what_was_too_much_runs_out_before_there_is_room_again() {
        let bucket = Bucket::default();
        assert!(bucket.room_at(0, START).is_err());
        bucket.room_at(600, START).unwrap();
        bucket.fill_at(600, 1_200, START);
        assert_eq!(bucket.room_at(600, START), Err(Duration::from_secs(60)));
        bucket.room_at(600, START + 61 * SECOND).unwrap();
        bucket.drain(600, 700);
        bucket.room_at(600, START).unwrap();
        bucket.fill_at(600, u64::MAX, START);
        bucket.fill_at(600, u64::MAX, START);
        assert!(bucket.room_at(600, START).is_err(), "absurd amounts do not wrap around");
    }

    #[test]
    fn bucket_of_an_earlier_run_is_as_full_as_it_was() {
        let (before, after) = (Bucket::default(), Bucket::default());
        before.fill_at(60, 90, START);
        after.restore(before.ends());
        assert_eq!(after.room_at(60, START), Err(Duration::from_secs(30)));
        after.restore(0);
        assert!(after.room_at(60, START).is_err());
    }
}
