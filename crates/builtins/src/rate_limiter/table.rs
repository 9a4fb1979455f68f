//! Counters by name, bounded in number, and the one step that looks at several and takes from all or none.
//!
//! Names are spread over shards with a lock each. A call that several limits hold for locks one shard of each table, in
//! the order of the tables, looks at all counters and takes only if all let it pass: so a refused call uses up nothing,
//! and two calls can never both take the last place. When a shard is full, counters that are as good as new are dropped.
//! If none are, further names share one counter: forgetting a counter that still counts would give its name a second
//! allowance.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    config::Algorithm,
    counter::{Counter, Level},
    rate::Rate,
};

/// Shards of a table of usual size.
const SHARDS: usize = 16;
/// Tables smaller than this have one shard, so that their bound is exact.
const ONE_SHARD: usize = 1024;
/// Counters in a shard before it is first looked through for old ones.
const FIRST_SWEEP: usize = 64;
/// Longer names are kept as their digest.
const MAX_NAME: usize = 256;
/// Limits that can hold for one call.
const MAX_WANTS: usize = 5;

/// Times and numbers of calls of one name.
pub(crate) type Calls = Vec<(u64, u32)>;

/// Whose calls are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    tenant: Option<Arc<str>>,
    pub(crate) name: Arc<str>,
    server: Option<Arc<str>>,
}

impl Key {
    /// A key of these names; each is shortened where it is very long.
    pub(crate) fn new(tenant: Option<&Arc<str>>, name: &Arc<str>, server: Option<&Arc<str>>) -> Self {
        Self { tenant: tenant.map(short), name: short(name), server: server.map(short) }
    }
}

fn short(name: &Arc<str>) -> Arc<str> {
    if name.len() <= MAX_NAME {
        return name.clone();
    }
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

#[derive(Debug)]
struct Slot {
    counter: Counter,
    idle_at: u64,
}

#[derive(Debug)]
struct Shard {
    slots: HashMap<Key, Slot>,
    /// Shared by names for which there was no room, one for each rate.
    overflow: Vec<(Rate, Slot)>,
    /// Number of counters at which to look for old ones.
    sweep_at: usize,
    /// Until when looking is in vain.
    in_vain_until: u64,
}

/// The counters of one dimension.
#[derive(Debug)]
pub(crate) struct Table {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    algorithm: Algorithm,
    /// Counters per shard.
    room: usize,
}

impl Table {
    /// A table for about `max_keys` names.
    pub(crate) fn new(algorithm: Algorithm, max_keys: usize) -> Self {
        let count = if max_keys < ONE_SHARD { 1 } else { SHARDS };
        let room = max_keys.div_ceil(count).max(1);
        let shard = || Shard {
            slots: HashMap::new(),
            overflow: Vec::new(),
            sweep_at: FIRST_SWEEP.min(room),
            in_vain_until: 0,
        };
        let shards = std::iter::repeat_with(|| Mutex::new(shard())).take(count).collect();
        Self { shards, hasher: RandomState::new(), algorithm, room }
    }

    fn lock(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(key) as usize % self.shards.len();
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names counted at present.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().slots.len()).sum()
    }

    /// What is still counted at `now`; `rate` says which rate holds for a key.
    pub(crate) fn calls(&self, now: u64, rate: impl Fn(&Key) -> Option<Rate>) -> Vec<(Key, Calls)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let live = shard.slots.iter().filter(|(_, slot)| slot.idle_at > now);
            all.extend(live.filter_map(|(key, slot)| Some((key.clone(), slot.counter.calls(rate(key)?)))));
        }
        all
    }

    /// Counts `calls` of a predecessor.
    pub(crate) fn restore(&self, key: Key, rate: Rate, calls: &[(u64, u32)], now: u64) {
        let counter = Counter::restored(self.algorithm, rate, calls, now);
        let idle_at = counter.idle_at(rate);
        let mut shard = self.lock(&key);
        if idle_at > now && shard.slots.len() < self.room {
            shard.slots.insert(key, Slot { counter, idle_at });
        }
    }
}

impl Shard {
    fn slot(&mut self, want: &Want<'_>, now: u64) -> &mut Slot {
        let (table, key) = (want.table, &want.key);
        if !self.slots.contains_key(key) {
            if self.slots.len() >= self.sweep_at {
                self.sweep(table.room, now);
            }
            // Who shared a counter goes on doing so until it is over, for else they would begin anew.
            let shared = self.overflow.iter().position(|(rate, _)| *rate == want.rate);
            let shares = shared.is_some_and(|at| self.overflow[at].1.idle_at > now);
            if shares || self.slots.len() >= table.room {
                let at = shared.unwrap_or_else(|| {
                    self.overflow.push((want.rate, Slot::new(table.algorithm)));
                    self.overflow.len() - 1
                });
                return &mut self.overflow[at].1;
            }
        }
        self.slots.entry(key.clone()).or_insert_with(|| Slot::new(table.algorithm))
    }

    fn sweep(&mut self, room: usize, now: u64) {
        if now < self.in_vain_until {
            return;
        }
        let mut next = u64::MAX;
        self.slots.retain(|_, slot| {
            let stays = slot.idle_at > now;
            if stays {
                next = next.min(slot.idle_at);
            }
            stays
        });
        self.in_vain_until = if self.slots.len() >= room { next } else { 0 };
        self.sweep_at = (self.slots.len() * 2).max(FIRST_SWEEP).min(room);
    }
}

impl Slot {
    fn new(algorithm: Algorithm) -> Self {
        Self { counter: Counter::new(algorithm), idle_at: 0 }
    }
}

/// One limit that holds for a call.
pub(crate) struct Want<'a> {
    /// The dimension: the configuration's key.
    pub(crate) dimension: &'static str,
    pub(crate) table: &'a Table,
    pub(crate) key: Key,
    pub(crate) rate: Rate,
}

/// What becomes of a call, and how the limit that is closest stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision {
    /// The dimension it is about.
    pub(crate) dimension: &'static str,
    pub(crate) allowed: bool,
    pub(crate) limit: u32,
    /// Calls left after this one.
    pub(crate) remaining: u32,
    pub(crate) level: Level,
}

/// Decides about one call: takes from all of `wants` or from none. No two may be of one table; at most five count.
/// `None` where there are none.
pub(crate) fn admit(wants: &[Want<'_>], now: u64) -> Option<Decision> {
    debug_assert!(wants.len() <= MAX_WANTS, "more limits than there are dimensions");
    let mut locked: [Option<MutexGuard<'_, Shard>>; MAX_WANTS] =
        std::array::from_fn(|at| wants.get(at).map(|want| want.table.lock(&want.key)));
    let mut closest: Option<Decision> = None;
    for (want, shard) in wants.iter().zip(locked.iter_mut().flatten()) {
        let level = shard.slot(want, now).counter.level(want.rate, now);
        let (dimension, limit) = (want.dimension, want.rate.limit);
        let remaining = level.remaining.saturating_sub(1);
        let this = Decision { dimension, allowed: level.remaining > 0, limit, remaining, level };
        let closer = closest.as_ref().is_none_or(|closest| this.is_closer_than(closest));
        if closer {
            closest = Some(this);
        }
    }
    if closest.is_some_and(|decision| decision.allowed) {
        for (want, shard) in wants.iter().zip(locked.iter_mut().flatten()) {
            let slot = shard.slot(want, now);
            slot.counter.take(want.rate, now, 1);
            slot.idle_at = slot.counter.idle_at(want.rate);
        }
    }
    closest
}

impl Decision {
    /// Refusals first, the longest of them; then what leaves least, and that longest.
    fn is_closer_than(&self, other: &Self) -> bool {
        let rank = |d: &Self| {
            let waits = if d.allowed { d.level.reset_at } else { d.level.free_at };
            (std::cmp::Reverse(d.level.remaining), waits)
        };
        rank(self) > rank(other)
    }
}
