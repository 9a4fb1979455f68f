//! What apps and LLMs have used: money in a month, calls and tokens in a minute.
//!
//! Counted in memory, and in storage for what comes after: what was spent is added to the sums there every few seconds
//! and at the end, so several gateways at one database see one another's, and a gateway that is killed forgets the last of
//! it. How full the buckets of the minute are is written at the end only. Without any limit nothing is opened.
//!
//! What an app has spent is read when it first calls, and not before: a gateway with many apps knows those that call.
//! Where the database is away, what is known here counts.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use mortise_mcp_transport::chain::Chain;
use mortise_store::{Day, Place, Spent, Usage};

use super::bucket::Bucket;
use crate::storage::Storage;

/// How often what was spent is written down.
const EVERY: Duration = Duration::from_secs(5);

/// How long a call waits for what its app has spent to be read.
const PATIENCE: Duration = Duration::from_secs(2);

/// After how long it is tried again where that failed.
const AGAIN: Duration = Duration::from_secs(10);

/// Sums that are written at once.
const AT_ONCE: usize = 500;

/// What all apps and LLMs with a limit have used.
#[derive(Debug)]
pub(crate) struct Ledger {
    storage: Arc<Storage>,
    apps: Mutex<HashMap<Box<str>, Arc<Tally>>>,
    llms: Mutex<HashMap<Box<str>, Arc<Tally>>>,
    /// What was spent and is not in the database yet.
    pending: Mutex<Pending>,
    /// Held while sums are written or read: what is pending is in neither or in both otherwise.
    exchange: tokio::sync::Mutex<()>,
    /// Buckets of an earlier run, by name.
    known: Mutex<HashMap<String, i64>>,
    failing: AtomicBool,
}

type Pending = HashMap<(Day, Box<str>, Box<str>), Spent>;

/// Whose limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    App,
    Llm,
}

/// What one app or LLM has used.
#[derive(Debug)]
pub(super) struct Tally {
    side: Side,
    name: Box<str>,
    /// Calls of a minute.
    pub(super) calls: Bucket,
    /// Tokens of a minute.
    pub(super) tokens: Bucket,
    sum: Mutex<Option<Sum>>,
}

/// What was spent in a month.
#[derive(Clone, Copy, Debug)]
struct Sum {
    /// The day on which the month began.
    from: Day,
    spent: f64,
    /// Set where the database could not be asked: when it is to be asked again.
    again: Option<Instant>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The month that is now, of those that begin on day `reset`.
pub(super) fn month(reset: u8) -> Day {
    Day::month_of(now(), reset)
}

/// Where that month begins and ends, in seconds since 1970.
pub(super) fn period(reset: u8) -> (i64, i64) {
    let from = month(reset);
    (from.begins() / 1_000, from.next_month(reset).begins() / 1_000)
}

/// Seconds until it ends.
pub(super) fn left(reset: u8) -> u64 {
    let end = month(reset).next_month(reset).begins();
    u64::try_from((end - now()) / 1_000).unwrap_or(0).max(1)
}

impl Tally {
    fn new(side: Side, name: &str) -> Self {
        let (calls, tokens) = (Bucket::default(), Bucket::default());
        Self { side, name: name.into(), calls, tokens, sum: Mutex::default() }
    }

    /// What was spent in the month that began on a day, as far as that is known.
    pub(super) fn spent_since(&self, from: Day) -> Option<f64> {
        let sum = (*lock(&self.sum))?;
        let is_old = sum.again.is_some_and(|again| again <= Instant::now());
        (sum.from == from && !is_old).then_some(sum.spent)
    }

    fn add(&self, cost: f64) {
        if let Some(sum) = &mut *lock(&self.sum) {
            sum.spent += cost;
        }
    }

    /// The names of its buckets.
    fn buckets(&self) -> [(String, &Bucket); 2] {
        let side = match self.side {
            Side::App => "app",
            Side::Llm => "llm",
        };
        [
            (format!("{side}/{}/calls", self.name), &self.calls),
            (format!("{side}/{}/tokens", self.name), &self.tokens),
        ]
    }

    /// App and LLM to ask the database for.
    fn whose(&self) -> (Option<String>, Option<String>) {
        let name = Some(self.name.to_string());
        match self.side {
            Side::App => (name, None),
            Side::Llm => (None, name),
        }
    }

    fn is_of(&self, app: &str, llm: &str) -> bool {
        match self.side {
            Side::App => *self.name == *app,
            Side::Llm => *self.name == *llm,
        }
    }
}

impl Ledger {
    /// Counts that are kept in this storage.
    pub(super) fn new(storage: Arc<Storage>) -> Arc<Self> {
        Arc::new(Self {
            storage,
            apps: Mutex::default(),
            llms: Mutex::default(),
            pending: Mutex::default(),
            exchange: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            failing: AtomicBool::new(false),
        })
    }

    /// Reads how full buckets were when an earlier run ended.
    pub(super) async fn begin(&self) {
        if self.storage.trouble().is_some() {
            return;
        }
        match self.storage.read(|store| async move { store.limits(now()).await }).await {
            Ok(known) => lock(&self.known).extend(known.into_iter().flatten()),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "which limits were used up cannot be read");
            }
        }
    }

    /// What an app or an LLM has used.
    pub(super) fn of(&self, side: Side, name: &str) -> Arc<Tally> {
        let mut tallies = lock(match side {
            Side::App => &self.apps,
            Side::Llm => &self.llms,
        });
        if let Some(tally) = tallies.get(name) {
            return tally.clone();
        }
        let tally = Arc::new(Tally::new(side, name));
        let mut known = lock(&self.known);
        for (name, bucket) in tally.buckets() {
            if let Some(ends) = known.remove(&name) {
                bucket.restore(ends);
            }
        }
        tallies.insert(name.into(), tally.clone());
        tally
    }

    /// What was spent this month, of months that begin on day `reset`. Reads it where it is not known yet.
    pub(super) async fn spent(&self, tally: &Tally, reset: u8) -> f64 {
        let from = month(reset);
        if let Some(spent) = tally.spent_since(from) {
            return spent;
        }
        if self.storage.trouble().is_some() {
            return self.put(tally, from, None);
        }
        let read = async {
            let _exchange = self.exchange.lock().await;
            match tally.spent_since(from) {
                Some(spent) => spent,
                None => self.put(tally, from, self.stored(tally, from).await),
            }
        };
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(spent) => spent,
            Err(_) => self.put(tally, from, None),
        }
    }

    /// What stands in the database; `None` where it cannot be asked.
    async fn stored(&self, tally: &Tally, from: Day) -> Option<f64> {
        let (app, llm) = tally.whose();
        let ask = self.storage.read(move |store| async move {
            store.spent(app.as_deref(), llm.as_deref(), from, Day(i64::MAX)).await
        });
        match ask.await {
            Ok(spent) => Some(spent.unwrap_or_default().cost),
            Err(error) => {
                let name = &*tally.name;
                tracing::warn!(name, error = %Chain(&error), "what was spent cannot be read: it counts from here");
                None
            }
        }
    }

    /// What an app has used since a day, at all LLMs or at one: for whoever asks, not to hold anybody to it. Where the
    /// database is away, what is known here.
    pub(super) async fn used(&self, app: &str, llm: Option<&str>, from: Day) -> Spent {
        let (whose, at) = (app.to_owned(), llm.map(str::to_owned));
        let read = async {
            let _exchange = self.exchange.lock().await;
            let ask = self.storage.read(move |store| async move {
                store.spent(Some(&whose), at.as_deref(), from, Day(i64::MAX)).await
            });
            let mut used = ask.await.ok().flatten().unwrap_or_default();
            for ((day, of, by), spent) in &*lock(&self.pending) {
                if *day >= from && **of == *app && llm.is_none_or(|llm| **by == *llm) {
                    used += *spent;
                }
            }
            used
        };
        tokio::time::timeout(PATIENCE, read).await.unwrap_or_default()
    }

    /// Takes over what stands in the database; what is pending comes on top.
    fn put(&self, tally: &Tally, from: Day, stored: Option<f64>) -> f64 {
        // Held, so that what is spent meanwhile is added to the new sum.
        let pending = lock(&self.pending);
        let of_it = pending.iter().filter(|((day, app, llm), _)| *day >= from && tally.is_of(app, llm));
        let own: f64 = of_it.map(|(_, spent)| spent.cost).sum();
        let spent = stored.unwrap_or(0.0) + own;
        let again = stored.is_none().then(|| Instant::now() + AGAIN);
        *lock(&tally.sum) = Some(Sum { from, spent, again });
        spent
    }

    /// Adds what a call of an app to an LLM took; empty names for none.
    pub(super) fn spend(&self, (app, llm): (&str, &str), spent: Spent, tallies: [Option<&Tally>; 2]) {
        let mut pending = lock(&self.pending);
        *pending.entry((Day::of(now()), app.into(), llm.into())).or_default() += spent;
        tallies.into_iter().flatten().for_each(|tally| tally.add(spent.cost));
    }

    /// Writes down what was spent, now and then, for ever.
    pub(super) async fn keep(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.write().await;
        }
    }

    /// Writes down what was spent, if there is anything.
    pub(super) async fn write(&self) {
        let _exchange = self.exchange.lock().await;
        let batch = std::mem::take(&mut *lock(&self.pending));
        if batch.is_empty() {
            return;
        }
        let usage = batch.into_iter().map(|((day, app, llm), spent)| Usage {
            day,
            app: app.into(),
            llm: llm.into(),
            spent,
        });
        let usage: Vec<Usage> = usage.collect();
        let mut written = 0;
        for part in usage.chunks(AT_ONCE) {
            let all = part.to_vec();
            match self.storage.write(move |store| async move { store.append(&[], &all).await }).await {
                Ok(()) => written += part.len(),
                Err(error) => {
                    if !self.failing.swap(true, Relaxed) {
                        tracing::error!(error = %Chain(&error), "what was spent cannot be written down yet");
                    }
                    break;
                }
            }
        }
        let (done, rest) = usage.split_at(written);
        if rest.is_empty() {
            self.failing.store(false, Relaxed);
        }
        {
            let mut pending = lock(&self.pending);
            for used in rest {
                let key = (used.day, used.app.as_str().into(), used.llm.as_str().into());
                *pending.entry(key).or_default() += used.spent;
            }
        }
        if matches!(self.storage.place(), Place::Postgres(_)) {
            self.look_again(done).await;
        }
    }

    /// Reads the sums of those who have spent something: other gateways may have added to them.
    async fn look_again(&self, done: &[Usage]) {
        let mut tallies: Vec<Arc<Tally>> = Vec::new();
        for used in done {
            tallies.extend(lock(&self.apps).get(used.app.as_str()).cloned());
            tallies.extend(lock(&self.llms).get(used.llm.as_str()).cloned());
        }
        tallies.sort_by_key(Arc::as_ptr);
        tallies.dedup_by_key(|tally| Arc::as_ptr(tally));
        for tally in tallies {
            let Some(from) = lock(&tally.sum).map(|sum| sum.from) else { continue };
            let Some(stored) = self.stored(&tally, from).await else { return };
            self.put(&tally, from, Some(stored));
        }
    }

    /// Writes down what was spent, and how full buckets are.
    pub(super) async fn stop(&self) {
        self.write().await;
        let soon = now() + 1_000;
        let mut limits: Vec<(String, i64)> = Vec::new();
        for tallies in [&self.apps, &self.llms] {
            for tally in lock(tallies).values() {
                let buckets = tally.buckets().into_iter().map(|(name, bucket)| (name, bucket.ends()));
                limits.extend(buckets.filter(|(_, ends)| *ends > soon));
            }
        }
        if limits.is_empty() {
            return;
        }
        let kept = self.storage.write(move |store| async move { store.keep_limits(&limits, now()).await });
        if let Err(error) = kept.await {
            tracing::warn!(error = %Chain(&error), "which limits are used up cannot be written down");
        }
    }
}

#[cfg(test)]
mod tests;
