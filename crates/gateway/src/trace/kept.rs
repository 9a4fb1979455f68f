//! The last calls, in rings bounded by their number and by the bytes of payloads they hold.
//!
//! Calls at which something happened are few, and what is asked for: all workers share a ring of them. Calls that passed
//! untouched are many. They have shorter rings, one for each worker, for two reasons: they do not push the others out,
//! and what falls out of such a ring was put there shortly before by the same thread, so that freeing it touches no
//! memory that has long left the caches.
//!
//! A ring's lock is held for the time it takes to move two pointers; what falls out is freed outside of it. Of payloads
//! only those are kept that a plugin changed, as they would otherwise keep the buffers of whole requests alive for
//! nothing.

use std::{
    cmp::Reverse,
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use mortise_framework::pipeline::{outcome::Status, trace::payload_bytes};
use mortise_mcp_transport::workers::PerWorker;

use super::{CallOutcome, FinishedCall};
use crate::config::ExplainConfig;

/// What a payload that came over the network may hold on to beside itself: the buffer it was read into.
const BUFFER: usize = 8 << 10;

/// Calls that are looked at under one lock.
const PIECE: usize = 256;

/// Untouched calls each worker keeps at least, where so many are to be kept at all.
const UNTOUCHED: usize = 64;

/// The last calls.
#[derive(Default)]
pub(super) struct Kept {
    notable: Ring,
    untouched: PerWorker<Ring>,
    /// How many are to be kept, as the last call knew it.
    keep: AtomicUsize,
}

#[derive(Default)]
struct Ring(Mutex<Calls>);

#[derive(Default)]
struct Calls {
    calls: VecDeque<(Arc<FinishedCall>, usize)>,
    bytes: usize,
    /// How many have been kept so far: the number of the one that comes next.
    next: u64,
}

impl Kept {
    /// Keeps a call, and lets go of the oldest past the bounds.
    pub(super) fn keep(&self, mut call: FinishedCall, bounds: ExplainConfig) {
        // Read first, as nearly always there is nothing to write and all workers look here.
        if self.keep.load(Relaxed) != bounds.keep {
            self.keep.store(bounds.keep, Relaxed);
        }
        let bytes = without_the_unneeded(&mut call, bounds.show_text);
        if is_notable(&call) {
            self.notable.push(call, bytes, bounds.keep, bounds.max_bytes);
        } else {
            let most = (bounds.keep / 8).max(UNTOUCHED).min(bounds.keep);
            self.untouched.own().push(call, bytes, most, bounds.max_bytes);
        }
    }

    /// All of them, the newest first.
    pub(super) fn all(&self) -> Vec<Arc<FinishedCall>> {
        let rings = std::iter::once(&self.notable).chain(self.untouched.all());
        let mut all: Vec<_> = rings.flat_map(Ring::all).collect();
        all.sort_by_key(|call| Reverse(call.began + call.took));
        all.truncate(self.keep.load(Relaxed));
        all
    }
}

impl Ring {
    fn push(&self, call: FinishedCall, bytes: usize, most: usize, most_bytes: usize) {
        let call = Arc::new(call);
        let mut gone: Option<Arc<FinishedCall>> = None;
        let mut more: Vec<Arc<FinishedCall>> = Vec::new();
        {
            let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            ring.bytes += bytes;
            ring.next += 1;
            ring.calls.push_back((call, bytes));
            // A single call over the bound is kept nevertheless: it is the one that is asked for.
            while ring.calls.len() > most || (ring.bytes > most_bytes && ring.calls.len() > 1) {
                let Some((oldest, bytes)) = ring.calls.pop_front() else { break };
                ring.bytes -= bytes;
                if let Some(one_more) = gone.replace(oldest) {
                    more.push(one_more);
                }
            }
        }
        drop((gone, more));
    }

    /// All of them, the newest first. Taken piece by piece: whoever looks holds up no call.
    fn all(&self) -> Vec<Arc<FinishedCall>> {
        let (mut all, mut before) = (Vec::new(), u64::MAX);
        loop {
            let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let first = ring.next - ring.calls.len() as u64;
            before = before.min(ring.next);
            let end = usize::try_from(before.saturating_sub(first)).unwrap_or(0);
            let start = end.saturating_sub(PIECE);
            all.extend(ring.calls.range(start..end).rev().map(|(call, _)| call.clone()));
            before = first + start as u64;
            if start == 0 {
                return all;
            }
        }
    }
}

/// Whether something happened that somebody may ask about: anything but an answer that no plugin had a part in.
fn is_notable(call: &FinishedCall) -> bool {
    call.outcome != CallOutcome::Ok
        || call.happened.runs.iter().any(|run| {
            !run.finished
                || !run.changes.is_empty()
                || run.blocked.is_some()
                || run.executions.iter().any(|execution| execution.status != Status::Pass)
        })
}

/// Lets go of payloads that nobody changed and of words that nobody will be shown; gives the bytes of the others.
fn without_the_unneeded(call: &mut FinishedCall, show_text: bool) -> usize {
    let mut bytes = 0;
    for run in &mut call.happened.runs {
        if let Some(blocked) = run.blocked.as_mut().filter(|_| !show_text) {
            blocked.violation.details.clear();
            blocked.violation.description = String::new();
        }
        if run.changes.is_empty() {
            run.payload = None;
        } else {
            bytes += payload_bytes(run) + BUFFER;
        }
    }
    bytes
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} calls", self.all().len())
    }
}
