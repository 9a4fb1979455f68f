//! The bounded queue between calls and the thread that writes.
//!
//! Pushing takes a lock for the time of an append and never waits for the writer. What does not fit is counted; the
//! count goes to the writer, so that the trail shows where records are missing.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::record::Record;

/// Bounds of a queue.
pub(super) struct Limits {
    /// Most records.
    pub(super) records: usize,
    /// Most bytes of payloads.
    pub(super) bytes: usize,
    /// How often somebody is told of losses.
    pub(super) complaint_every: Duration,
}

/// Records on their way to one destination.
pub(super) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Record>>,
    bytes: usize,
    /// Dropped since the writer last asked.
    lost: u64,
    /// Dropped in all.
    lost_ever: u64,
    complained: Option<Instant>,
    /// When what waits is given up; set once the plugin stops.
    closed: Option<Instant>,
}

/// What the writer gets.
pub(super) struct Taken {
    /// Records in order; empty only once the queue is closed and empty, or where only losses are to be told.
    pub(super) records: Vec<Arc<Record>>,
    /// Records dropped since it last asked.
    pub(super) lost: u64,
    /// Whether nothing will follow.
    pub(super) last: bool,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a record, or drops it. `Some` number of all that were dropped where it is time to complain.
    pub(super) fn push(&self, record: Arc<Record>, now: Instant) -> Option<u64> {
        let weight = record.weight();
        let mut state = self.state();
        let room = state.waiting.len() < self.limits.records
            && state.bytes.saturating_add(weight) <= self.limits.bytes
            && state.closed.is_none();
        if !room {
            return state.lose(1, now, self.limits.complaint_every);
        }
        state.bytes += weight;
        state.waiting.push_back(record);
        drop(state);
        self.changed.notify_one();
        None
    }

    /// Counts what was taken and could not be written: records, and losses that could not be told. `Some` as
    /// [`push`](Self::push).
    pub(super) fn lose(&self, taken: &Taken, now: Instant) -> Option<u64> {
        let mut state = self.state();
        state.lost += taken.lost;
        state.lose(taken.records.len() as u64, now, self.limits.complaint_every)
    }

    /// Waits for records, then up to `linger` for `most` of them.
    pub(super) fn take(&self, most: usize, linger: Duration) -> Taken {
        let mut state = self.state();
        while state.waiting.is_empty() && state.closed.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let full = Instant::now() + linger;
        while state.waiting.len() < most && state.closed.is_none() {
            let Some(left) = full.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                break;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = state.waiting.len().min(most);
        let records: Vec<Arc<Record>> = state.waiting.drain(..count).collect();
        state.bytes -= records.iter().map(|record| record.weight()).sum::<usize>();
        let last = state.closed.is_some() && state.waiting.is_empty();
        Taken { records, lost: std::mem::take(&mut state.lost), last }
    }

    /// Takes no more records; what waits may be written until `deadline`.
    pub(super) fn close(&self, deadline: Instant) {
        self.state().closed.get_or_insert(deadline);
        self.changed.notify_all();
    }

    /// Gives up what still waits, and says how much that was.
    pub(super) fn abandon(&self) -> u64 {
        let mut state = self.state();
        let left = state.waiting.len() as u64;
        state.waiting.clear();
        state.bytes = 0;
        left
    }

    /// When what waits is given up, once the plugin stops.
    pub(super) fn closed(&self) -> Option<Instant> {
        self.state().closed
    }

    /// Waits, but not beyond the closing of the queue.
    pub(super) fn pause(&self, duration: Duration) {
        let until = Instant::now() + duration;
        let mut state = self.state();
        while state.closed.is_none() {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn lose(&mut self, records: u64, now: Instant, every: Duration) -> Option<u64> {
        self.lost += records;
        self.lost_ever += records;
        let due = self.complained.is_none_or(|last| now.saturating_duration_since(last) >= every);
        due.then(|| {
            self.complained = Some(now);
            self.lost_ever
        })
    }
}
