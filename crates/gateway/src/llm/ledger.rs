//! What apps have used: money in a month, calls in a minute.
//!
//! Counted in memory, without locks; money is written to the state folder every few seconds and at the end, so that it
//! survives a restart. A gateway that is killed forgets what was spent in the last of them.
//!
//! Calls a minute are a bucket that fills evenly: as many at once as a minute allows, then one whenever its share of the
//! minute has passed.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::{Timestamp, Zoned, tz::TimeZone};
use mortise_llm::price::Cost;
use serde::{Deserialize, Serialize};

use crate::state_dir::Aside;

/// How often what was spent is written down.
const EVERY: Duration = Duration::from_secs(5);

/// Where.
const FILE: &str = "llm-spending.json";

/// What all apps with a limit have used.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: PathBuf,
    tallies: Mutex<HashMap<Box<str>, Arc<Tally>>>,
    /// What was there at the start, of apps that have not called yet.
    known: Mutex<Written>,
    written: AtomicU64,
}

/// What one app has used.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Months since the year 0.
    month: AtomicU64,
    spent: AtomicU64,
    /// When the bucket of calls will be empty again, in nanoseconds since 1970.
    empty_at: AtomicU64,
}

/// The file: a month, and what apps have spent in it, in millionths of millionths.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    month: String,
    #[serde(default)]
    spent: BTreeMap<String, u64>,
}

impl Ledger {
    /// What is written in a state folder. A file that cannot be read is left behind with an error in the log.
    pub(crate) fn open(state_dir: &Path) -> Arc<Self> {
        let file = state_dir.join(FILE);
        let known = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::error!(file = %file.display(), %error, "what apps have spent cannot be read: it counts from 0");
                Written::default()
            }),
            Err(_) => Written::default(),
        };
        let (tallies, written) = (Mutex::default(), AtomicU64::new(0));
        Arc::new(Self { file, tallies, known: Mutex::new(known), written })
    }

    /// What an app has used.
    pub(super) fn of(&self, app: &str) -> Arc<Tally> {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tally) = tallies.get(app) {
            return tally.clone();
        }
        let month = Month::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = known.spent.remove(app).filter(|_| known.month == month.word());
        let tally = Arc::new(Tally::default());
        tally.month.store(month.0, Relaxed);
        tally.spent.store(spent.unwrap_or(0), Relaxed);
        tallies.insert(app.into(), tally.clone());
        tally
    }

    /// Writes down what was spent, now and then, for ever.
    pub(super) async fn keep(&self) {
        let mut tick = tokio::time::interval(EVERY);
        tick.tick().await;
        loop {
            tick.tick().await;
            self.write().await;
        }
    }

    /// Writes down what was spent, if that is more than last time.
    pub(super) async fn write(&self) {
        let (month, mut spent, mut sum) = (Month::now(), BTreeMap::new(), 0_u64);
        for (app, tally) in &*self.tallies.lock().unwrap_or_else(PoisonError::into_inner) {
            let amount = tally.spent_in(month).0;
            if amount > 0 {
                sum = sum.wrapping_add(amount);
                spent.insert(app.to_string(), amount);
            }
        }
        if sum == self.written.load(Relaxed) {
            return;
        }
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.month == month.word() {
                // Apps that are not in the configuration at the moment keep what they spent.
                known.spent.iter().for_each(|(app, amount)| {
                    spent.entry(app.clone()).or_insert(*amount);
                });
            }
        }
        let (file, written) = (self.file.clone(), Written { month: month.word(), spent });
        let done = tokio::task::spawn_blocking(move || {
            Aside::write(file, &written).and_then(Aside::put_in_place).map_err(|error| error.to_string())
        });
        match done.await {
            Ok(Ok(())) => self.written.store(sum, Relaxed),
            Ok(Err(error)) => tracing::error!(error, "what apps have spent cannot be written down"),
            Err(error) => tracing::error!(%error, "what apps have spent cannot be written down"),
        }
    }
}

/// A month of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Month(u64);

impl Month {
    pub(super) fn now() -> Self {
        Self::of(&Timestamp::now().to_zoned(TimeZone::UTC))
    }

    fn of(now: &Zoned) -> Self {
        Self(u64::try_from(i64::from(now.year()) * 12 + i64::from(now.month()) - 1).unwrap_or(0))
    }

    fn word(self) -> String {
        format!("{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }

    /// Seconds to its end.
    pub(super) fn left() -> u64 {
        let now = Timestamp::now().to_zoned(TimeZone::UTC);
        let next =
            now.date().last_of_month().tomorrow().ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok());
        let left = next.map_or(3600, |next| next.timestamp().as_second() - now.timestamp().as_second());
        u64::try_from(left).unwrap_or(0).max(1)
    }
}

impl Tally {
    /// What was spent in a month.
    pub(super) fn spent_in(&self, month: Month) -> Cost {
        let known = self.month.load(Relaxed);
        if known == month.0 { Cost(self.spent.load(Relaxed)) } else { Cost(0) }
    }

    /// Adds what a call cost.
    pub(super) fn spend(&self, cost: Cost) {
        let month = Month::now();
        let known = self.month.load(Relaxed);
        if known != month.0 && self.month.compare_exchange(known, month.0, Relaxed, Relaxed).is_ok() {
            self.spent.store(0, Relaxed);
        }
        self.spent.fetch_add(cost.0, Relaxed);
    }

    /// Takes one of `rate` calls a minute; the time to wait where there is none left.
    pub(super) fn take(&self, rate: u64) -> Result<(), Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        self.take_at(rate, u64::try_from(now).unwrap_or(u64::MAX))
    }

    fn take_at(&self, rate: u64, now: u64) -> Result<(), Duration> {
        const MINUTE: u64 = 60_000_000_000;
        let Some(share) = MINUTE.checked_div(rate) else { return Err(Duration::from_secs(60)) };
        let taken = self.empty_at.fetch_update(Relaxed, Relaxed, |empty_at| {
            let next = empty_at.max(now) + share;
            (next <= now + MINUTE).then_some(next)
        });
        taken
            .map(|_| ())
            .map_err(|empty_at| Duration::from_nanos(empty_at.saturating_add(share) - now - MINUTE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_minute_can_come_at_once_and_then_evenly() {
        let (tally, start) = (Tally::default(), 1_000_000_000_000);
        for _ in 0..60 {
            tally.take_at(60, start).unwrap();
        }
        assert_eq!(tally.take_at(60, start), Err(Duration::from_secs(1)));
        let later = start + 1_000_000_000;
        tally.take_at(60, later).unwrap();
        assert!(tally.take_at(60, later).is_err());
        assert!(tally.take_at(0, later).is_err(), "none a minute is none");
    }

    #[test]
    fn month_before_counts_for_nothing() {
        let tally = Tally::default();
        tally.spend(Cost(5));
        assert_eq!(tally.spent_in(Month::now()), Cost(5));
        assert_eq!(tally.spent_in(Month(Month::now().0 + 1)), Cost(0));
        tally.month.store(Month::now().0 - 1, Relaxed);
        tally.spend(Cost(3));
        assert_eq!(tally.spent_in(Month::now()), Cost(3));
        assert!((1..=31 * 86_400).contains(&Month::left()));
        assert_eq!(Month(2026 * 12 + 10).word(), "2026-11");
    }

    #[tokio::test]
    async fn what_was_spent_is_known_to_the_next_gateway() {
        let folder = tempfile::tempdir().unwrap();
        let first = Ledger::open(folder.path());
        first.of("a").spend(Cost(7));
        first.write().await;
        let second = Ledger::open(folder.path());
        second.of("b").spend(Cost(1));
        second.write().await;
        let third = Ledger::open(folder.path());
        assert_eq!(third.of("a").spent_in(Month::now()), Cost(7), "one that was away for a while");
        assert_eq!(third.of("b").spent_in(Month::now()), Cost(1));
    }
}
