//! What native plugins keep of a request between its hooks in types of their own.
//!
//! In a gateway that lives in the request's contexts. Here the gateway is elsewhere, and such a value cannot travel; so
//! it waits for the hook after, under the id of the request. Bounded in number and in time: a hook after that never
//! comes must not cost memory for ever.

use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Values that wait at a time; the oldest go first.
const MOST: usize = 4096;

/// How long a value waits for the hook after.
const LONGEST: Duration = Duration::from_secs(600);

type Value = Box<dyn Any + Send + Sync>;
type Key = (Arc<str>, Arc<str>);

/// Values by request and plugin.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    values: HashMap<Key, (u64, Value)>,
    /// Oldest first. Holds keys that are gone too; a number that differs says so.
    order: VecDeque<(u64, Instant, Key)>,
    next: u64,
}

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a plugin left for a request.
    pub(crate) fn take(&self, request: &Arc<str>, plugin: &Arc<str>) -> Option<Value> {
        let mut kept = self.kept();
        if kept.values.is_empty() {
            return None;
        }
        kept.values.remove(&(request.clone(), plugin.clone())).map(|(_, value)| value)
    }

    /// Keeps what a plugin leaves for a request.
    pub(crate) fn keep(&self, request: &Arc<str>, plugin: &Arc<str>, value: Value, now: Instant) {
        let key = (request.clone(), plugin.clone());
        let mut kept = self.kept();
        kept.next += 1;
        let number = kept.next;
        kept.values.insert(key.clone(), (number, value));
        kept.order.push_back((number, now, key));
        while let Some((number, at, key)) = kept.order.front() {
            let gone = kept.values.get(key).is_none_or(|(current, _)| current != number);
            let expired = now.saturating_duration_since(*at) > LONGEST;
            if !gone && !expired && kept.order.len() <= MOST {
                break;
            }
            if !gone {
                let key = key.clone();
                kept.values.remove(&key);
            }
            kept.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_wait_for_their_own_request_and_plugin_and_not_for_ever() {
        let (memory, now) = (Memory::default(), Instant::now());
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        memory.keep(&a, &a, Box::new(1_u32), now);
        memory.keep(&a, &b, Box::new(2_u32), now);
        assert_eq!(memory.take(&a, &b).and_then(|value| value.downcast::<u32>().ok()), Some(Box::new(2)));
        assert!(memory.take(&a, &b).is_none() && memory.take(&b, &a).is_none());
        memory.keep(&b, &b, Box::new(3_u32), now + LONGEST + Duration::from_secs(1));
        assert!(memory.take(&a, &a).is_none(), "it waited too long");
        for at in 0..2 * MOST {
            memory.keep(&at.to_string().into(), &a, Box::new(at), now + LONGEST);
        }
        assert_eq!(memory.kept().order.len(), MOST);
        assert!(memory.kept().values.len() <= MOST);
    }
}
