//! Results by key: bounded in number and bytes, each for a time; what was not used for longest goes first.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::key::Key;

/// What keeping an entry costs beside its bytes.
const OVERHEAD: usize = 256;

struct Entry {
    result: Bytes,
    until: Instant,
    /// When it was used last, in uses of the store.
    used: u64,
}

/// The store.
pub(super) struct Store {
    entries: HashMap<Key, Entry>,
    /// Keys by last use.
    order: BTreeMap<u64, Key>,
    bytes: usize,
    uses: u64,
    max_entries: usize,
    max_bytes: usize,
}

impl Store {
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        let (entries, order) = (HashMap::new(), BTreeMap::new());
        Self { entries, order, bytes: 0, uses: 0, max_entries, max_bytes }
    }

    /// The result under `key`, unless its time is over.
    pub(super) fn get(&mut self, key: &Key, now: Instant) -> Option<Bytes> {
        if self.entries.get(key)?.until <= now {
            self.remove(key);
            return None;
        }
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.used);
        entry.used = self.uses;
        self.order.insert(self.uses, *key);
        Some(entry.result.clone())
    }

    /// Keeps a result; says whether there is room for it.
    pub(super) fn put(&mut self, key: Key, result: &[u8], ttl: Duration, now: Instant) -> bool {
        self.remove(&key);
        let cost = result.len().saturating_add(OVERHEAD);
        // A time too far off to be told is as good as for ever, which nothing should be kept for.
        let Some(until) = now.checked_add(ttl).filter(|until| *until > now) else { return false };
        if cost > self.max_bytes {
            return false;
        }
        while self.entries.len() >= self.max_entries || self.bytes + cost > self.max_bytes {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            let oldest = *oldest;
            self.remove(&oldest);
        }
        self.uses += 1;
        self.bytes += cost;
        self.order.insert(self.uses, key);
        // A copy: the slice may be a small part of a large buffer, which it would keep.
        let result = Bytes::copy_from_slice(result);
        self.entries.insert(key, Entry { result, until, used: self.uses });
        true
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.used);
            self.bytes -= entry.result.len() + OVERHEAD;
        }
    }

    /// Entries and bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        assert_eq!(self.entries.len(), self.order.len());
        (self.entries.len(), self.bytes)
    }
}
