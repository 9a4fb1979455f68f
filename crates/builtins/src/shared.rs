//! Compiled things that plugins of equal patterns share.
//!
//! Bindings with a configuration of their own, and entries that differ in what they do with a match, mostly look for
//! the same. What they look for, compiled, is the costly part of them: patterns, automata, schemas. It is kept here by
//! what it was compiled of, for as long as some plugin has it: the cache itself holds nothing alive, so a reload leaves
//! nothing behind.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Things of one sort, by what they were made of.
pub(crate) struct Shared<K, V>(Mutex<Option<HashMap<K, Weak<V>>>>);

impl<K: Hash + Eq, V> Shared<K, V> {
    /// A cache without anything in it.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What was made of `key`, by whomever; made now where nobody has it.
    ///
    /// # Errors
    /// Those of `make`; they are not kept.
    pub(crate) fn get<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        // Not under the lock: compiling can take long. Two that make the same at once each have their own then.
        let made = Arc::new(make()?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = all.get_or_insert_default();
        all.retain(|_, held| held.strong_count() > 0);
        all.insert(key, Arc::downgrade(&made));
        Ok(made)
    }

    fn known(&self, key: &K) -> Option<Arc<V>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.as_ref()?.get(key)?.upgrade()
    }

    /// How many are kept, those that nobody has any more and nothing has swept away yet included.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().unwrap().as_ref().map_or(0, HashMap::len)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn made(cache: &Shared<String, String>, key: &str) -> Arc<String> {
        cache.get(key.to_owned(), || Ok::<_, Infallible>(key.to_uppercase())).unwrap()
    }

    #[test]
    fn equal_keys_share_one_thing_while_somebody_has_it() {
        let cache = Shared::new();
        let first = made(&cache, "a");
        assert!(Arc::ptr_eq(&first, &made(&cache, "a")));
        assert!(!Arc::ptr_eq(&first, &made(&cache, "b")));
        let held = Arc::downgrade(&first);
        drop(first);
        assert!(held.upgrade().is_none(), "the cache holds nothing alive");
        made(&cache, "c");
        assert_eq!(cache.len(), 1, "what nobody has is swept away");
    }

    #[test]
    fn errors_are_not_kept() {
        let cache: Shared<u8, u8> = Shared::new();
        assert!(cache.get(1, || Err("no")).is_err());
        assert_eq!(*cache.get(1, || Ok::<_, ()>(2)).unwrap(), 2);
    }
}
