//! Keys and values of plugins, where the host keeps none: in memory, for as long as the gateway runs.
//!
//! One namespace per plugin, by its name, so that a restart or a reload of the plugin finds what it has written. Bounded
//! per plugin, since what is written here nobody else will clean up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

/// Longest key, in bytes.
pub(crate) const MAX_KEY: usize = 255;

/// Keys of one plugin.
const MAX_KEYS: usize = 10_000;

/// All of a plugin's keys and values, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// The values of all plugins, by name.
#[derive(Debug, Default)]
pub(crate) struct Stores(Mutex<HashMap<Arc<str>, Arc<Store>>>);

impl Stores {
    pub(crate) fn of(&self, plugin: &Arc<str>) -> Arc<Store> {
        let mut stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stores.entry(plugin.clone()).or_default().clone()
    }
}

/// The values of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Store(Mutex<Values>);

#[derive(Debug, Default)]
struct Values {
    entries: HashMap<String, Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    value: Bytes,
    ends: Option<Instant>,
}

/// A plugin that has written as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plugin's store is full: at most {MAX_KEYS} keys and {MAX_BYTES} bytes")]
pub(crate) struct Full;

impl Store {
    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        let values = self.values();
        let entry = values.entries.get(key)?;
        entry.is_valid(Instant::now()).then(|| entry.value.clone())
    }

    /// Sets a key, for ever or for `ttl`; says whether it is new.
    pub(crate) fn set(&self, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<bool, Full> {
        let now = Instant::now();
        let mut values = self.values();
        if !values.has_room(key, value.len()) {
            values.drop_ended(now);
            if !values.has_room(key, value.len()) {
                return Err(Full);
            }
        }
        let was = values.remove(key).is_some_and(|entry| entry.is_valid(now));
        values.bytes += key.len() + value.len();
        // A copy: the value came as a part of a message that need not be kept for it.
        let value = Bytes::copy_from_slice(value);
        let ends = ttl.and_then(|ttl| now.checked_add(ttl));
        values.entries.insert(key.to_owned(), Entry { value, ends });
        Ok(!was)
    }

    /// Removes a key; says whether it was there.
    pub(crate) fn delete(&self, key: &str) -> bool {
        self.values().remove(key).is_some_and(|entry| entry.is_valid(Instant::now()))
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Values {
    /// Whether this value may take its place, and that of an old one of its key.
    fn has_room(&self, key: &str, length: usize) -> bool {
        let size = |length: usize| key.len() + length;
        let old = self.entries.get(key).map(|entry| size(entry.value.len()));
        self.entries.len() + usize::from(old.is_none()) <= MAX_KEYS
            && self.bytes - old.unwrap_or(0) + size(length) <= MAX_BYTES
    }

    fn remove(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.bytes -= key.len() + entry.value.len();
        Some(entry)
    }

    fn drop_ended(&mut self, now: Instant) {
        self.entries.retain(|_, entry| entry.is_valid(now));
        self.bytes = self.entries.iter().map(|(key, entry)| key.len() + entry.value.len()).sum();
    }
}

impl Entry {
    fn is_valid(&self, now: Instant) -> bool {
        self.ends.is_none_or(|end| end > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_by_plugin_and_end_in_time() {
        let stores = Stores::default();
        let (a, b) = (stores.of(&"a".into()), stores.of(&"b".into()));
        assert_eq!(a.set("k", b"1", None), Ok(true));
        assert_eq!(a.set("k", b"2", None), Ok(false));
        assert_eq!(stores.of(&"a".into()).get("k").unwrap(), "2");
        assert_eq!(b.get("k"), None);
        assert_eq!(a.set("gone", b"1", Some(Duration::ZERO)), Ok(true));
        assert_eq!(a.get("gone"), None);
        assert!(!a.delete("gone"));
        assert!(a.delete("k"));
    }

    #[test]
    fn store_that_is_full_takes_no_more_until_something_goes() {
        let store = Store::default();
        for key in 0..MAX_KEYS {
            store.set(&key.to_string(), b"", None).unwrap();
        }
        assert_eq!(store.set("more", b"", None), Err(Full));
        assert_eq!(store.set("0", b"changed", None), Ok(false));
        assert!(store.delete("1"));
        assert_eq!(store.set("more", b"", None), Ok(true));
    }

    #[test]
    fn refused_value_leaves_the_old_one() {
        let store = Store::default();
        store.set("k", b"old", None).unwrap();
        assert_eq!(store.set("k", &vec![0; MAX_BYTES + 1], None), Err(Full));
        assert_eq!(store.get("k"), Some(Bytes::from_static(b"old")));
    }
}
