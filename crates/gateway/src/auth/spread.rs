//! A map that is changed by copying a small part of it.
//!
//! Who may call is part of a snapshot, and snapshots are never written to. With 100,000 apps a copy of the whole for each
//! change would make a token cost a tenth of a second; here a change copies one of 1,024 parts, and all others are
//! shared. Empty, it holds nothing.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::config::TokenDigest;

/// Parts of a map that holds something.
const PARTS: usize = 1_024;

/// What tells the part of a key.
pub(super) trait Part {
    /// Any number, the same for equal keys.
    fn part(&self) -> usize;
}

impl Part for TokenDigest {
    fn part(&self) -> usize {
        usize::from(u16::from_le_bytes([self.0[0], self.0[1]]))
    }
}

impl Part for i64 {
    fn part(&self) -> usize {
        usize::try_from(self.rem_euclid(1 << 16)).unwrap_or(0)
    }
}

impl Part for str {
    fn part(&self) -> usize {
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        self.hash(&mut hasher);
        usize::try_from(hasher.finish() & 0xffff).unwrap_or(0)
    }
}

impl Part for Arc<str> {
    fn part(&self) -> usize {
        (**self).part()
    }
}

/// The map.
pub(super) struct Spread<K, V> {
    /// None, or all.
    parts: Arc<[Arc<HashMap<K, V>>]>,
    length: usize,
}

impl<K, V> Clone for Spread<K, V> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone(), length: self.length }
    }
}

impl<K, V> Default for Spread<K, V> {
    fn default() -> Self {
        Self { parts: Arc::default(), length: 0 }
    }
}

impl<K: Part + Eq + Hash + Clone, V: Clone> Spread<K, V> {
    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Part + Eq + Hash + ?Sized,
    {
        self.entry(key).map(|(_, value)| value)
    }

    /// A value with its key as it stands here.
    pub(super) fn entry<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
        Q: Part + Eq + Hash + ?Sized,
    {
        self.parts.get(key.part() % PARTS)?.get_key_value(key)
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// All at once.
    pub(super) fn of(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut parts: Vec<HashMap<K, V>> = Vec::new();
        for (key, value) in entries {
            if parts.is_empty() {
                parts.resize_with(PARTS, HashMap::new);
            }
            let at = key.part() % PARTS;
            if let Some(part) = parts.get_mut(at) {
                part.insert(key, value);
            }
        }
        let length = parts.iter().map(HashMap::len).sum();
        Self { parts: parts.into_iter().map(Arc::new).collect(), length }
    }

    /// Puts a value in, over one that was there.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.parts.is_empty() {
            *self = Self::of([(key, value)]);
            return;
        }
        let at = key.part() % PARTS;
        let added = self.change(at, |part| part.insert(key, value).is_none());
        self.length += usize::from(added == Some(true));
    }

    /// Takes a value out.
    pub(super) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Part + Eq + Hash + ?Sized,
    {
        self.get(key)?;
        let removed = self.change(key.part() % PARTS, |part| part.remove(key)).flatten();
        self.length -= usize::from(removed.is_some());
        removed
    }

    fn change<T>(&mut self, at: usize, change: impl FnOnce(&mut HashMap<K, V>) -> T) -> Option<T> {
        let mut part = HashMap::clone(self.parts.get(at)?);
        let done = change(&mut part);
        let mut parts: Vec<_> = self.parts.to_vec();
        *parts.get_mut(at)? = Arc::new(part);
        self.parts = parts.into();
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_changed_is_as_in_a_plain_map_and_copies_stay_as_they_were(
            steps in prop::collection::vec((0_i64..40, prop::option::of(0_u8..9)), 0..200)
        ) {
            let (mut spread, mut plain) = (Spread::<i64, u8>::default(), BTreeMap::new());
            let mut earlier = Vec::new();
            for (key, value) in steps {
                earlier.push((spread.clone(), plain.clone()));
                match value {
                    Some(value) => { spread.insert(key, value); plain.insert(key, value); }
                    None => prop_assert_eq!(spread.remove(&key), plain.remove(&key)),
                }
            }
            earlier.push((spread, plain));
            for (spread, plain) in earlier {
                prop_assert_eq!(spread.len(), plain.len());
                let held: BTreeMap<i64, u8> = spread.iter().map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(held, plain);
            }
        }
    }
}
