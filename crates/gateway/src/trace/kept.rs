//! The last calls: a ring, bounded by their number and by the bytes of payloads they hold.
//!
//! One short lock for all workers: it is held for the time it takes to move two pointers, which calls pay once. What
//! falls out is freed outside of it. Of payloads only those are kept that a plugin changed, as they would otherwise
//! keep the buffers of whole requests alive for nothing.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use mortise_framework::pipeline::trace::payload_bytes;

use super::FinishedCall;
use crate::config::ExplainConfig;

/// What a payload that came over the network may hold on to beside itself: the buffer it was read into.
const BUFFER: usize = 8 << 10;

/// Calls that are looked at under one lock.
const PIECE: usize = 256;

/// The ring.
#[derive(Default)]
pub(super) struct Kept(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    calls: VecDeque<(Arc<FinishedCall>, usize)>,
    bytes: usize,
    /// How many have been kept so far: the number of the one that comes next.
    next: u64,
}

impl Kept {
    /// Keeps a call, and lets go of the oldest past the bounds.
    pub(super) fn keep(&self, mut call: FinishedCall, bounds: ExplainConfig) {
        let bytes = without_the_unneeded(&mut call, bounds.show_text);
        let call = Arc::new(call);
        let mut gone: Option<Arc<FinishedCall>> = None;
        let mut more: Vec<Arc<FinishedCall>> = Vec::new();
        {
            let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            ring.bytes += bytes;
            ring.next += 1;
            ring.calls.push_back((call, bytes));
            // A single call over the bound is kept nevertheless: it is the one that is asked for.
            while ring.calls.len() > bounds.keep || (ring.bytes > bounds.max_bytes && ring.calls.len() > 1) {
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
    pub(super) fn all(&self) -> Vec<Arc<FinishedCall>> {
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
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "{} calls with {} bytes", ring.calls.len(), ring.bytes)
    }
}
