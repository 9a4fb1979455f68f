//! Verdicts that were given, by digest of everything that was asked.
//!
//! The key holds all that a verdict can depend on, the caller included where the service is told of it, and nothing
//! else; so nobody is given a verdict on another. Bounded in number; who came first goes first.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

/// What was asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// Of these parts, in this order; where one ends is part of it.
    pub(crate) fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}

/// Verdicts, each for a time.
pub(crate) struct Cache<V> {
    held: Mutex<Held<V>>,
    time: Duration,
    most: usize,
}

struct Held<V> {
    verdicts: HashMap<Key, (V, Instant)>,
    /// The same keys, in the order in which they came.
    order: VecDeque<Key>,
}

impl<V: Clone> Cache<V> {
    pub(super) fn new(time: Duration, most: usize) -> Self {
        let held = Held { verdicts: HashMap::new(), order: VecDeque::new() };
        Self { held: Mutex::new(held), time, most }
    }

    /// The verdict on this, if one was given and its time is not over.
    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<V> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.verdicts.get(key).filter(|(_, until)| now < *until).map(|(verdict, _)| verdict.clone())
    }

    /// Keeps a verdict, for at most `limit` where there is one.
    pub(crate) fn put(&self, key: Key, verdict: V, now: Instant, limit: Option<Duration>) {
        let time = limit.map_or(self.time, |limit| limit.min(self.time));
        if time.is_zero() {
            return;
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.verdicts.insert(key, (verdict, now + time)).is_none() {
            held.order.push_back(key);
        }
        while held.order.len() > self.most {
            if let Some(oldest) = held.order.pop_front() {
                held.verdicts.remove(&oldest);
            }
        }
    }
}
