//! Answers that are kept for a while, for plugins whose operator says that equal questions have equal answers.
//!
//! A question is everything that the plugin was shown but the id of the request: hook, payload, who calls, and both
//! states. So nobody gets an answer that was given for somebody else, and a plugin that counts something per request
//! is asked again as soon as its own state differs. Failures are not kept.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mortise_plugin_api::{HookId, Request, wire::WireContext, wire::WireResult};
use sha2::{Digest, Sha256};

/// Most bytes of all answers that are kept.
const MOST_BYTES: usize = 64 << 20;

/// What a cache goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// How long an answer is good.
    pub keep: Duration,
    /// Most answers; the one that was not asked for the longest goes first.
    pub entries: usize,
}

/// A question.
pub(crate) type Key = [u8; 32];

/// An answer as it was given.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) context: Option<WireContext>,
    pub(crate) result: WireResult,
    pub(crate) wire: mortise_plugin_api::Wire,
}

/// Kept answers.
pub(crate) struct Cache {
    limits: Limits,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    answers: HashMap<Key, Slot>,
    /// By when they were last asked for.
    order: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
}

struct Slot {
    kept: Kept,
    until: Instant,
    turn: u64,
    bytes: usize,
}

impl Cache {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, shelf: Mutex::default() }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The question that a call is.
    pub(crate) fn key(hook: HookId, payload: &[u8], request: &Request, context: &WireContext) -> Option<Key> {
        let caller = &request.caller;
        let mut shown = context.clone();
        shown.global_context.request_id.clear();
        let who = (&caller.app, &caller.user, &caller.tenant, &caller.teams, &caller.scopes, caller.is_admin);
        let mut hash = Sha256::new();
        for part in [
            &hook.0.to_be_bytes()[..],
            payload,
            &serde_json::to_vec(&who).ok()?,
            &serde_json::to_vec(&shown).ok()?,
        ] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        Some(hash.finalize().into())
    }

    /// The answer to it, if one is kept and still good.
    pub(crate) fn get(&self, key: &Key) -> Option<Kept> {
        let mut shelf = self.shelf();
        let shelf = &mut *shelf;
        shelf.clock += 1;
        let slot = shelf.answers.get_mut(key)?;
        if slot.until <= Instant::now() {
            shelf.remove(key);
            return None;
        }
        shelf.order.remove(&slot.turn);
        slot.turn = shelf.clock;
        shelf.order.insert(slot.turn, *key);
        Some(slot.kept.clone())
    }

    /// Keeps an answer that took about `bytes`.
    pub(crate) fn put(&self, key: Key, kept: Kept, bytes: usize) {
        if bytes > MOST_BYTES / 16 {
            return;
        }
        let mut shelf = self.shelf();
        shelf.remove(&key);
        shelf.clock += 1;
        let (turn, until) = (shelf.clock, Instant::now() + self.limits.keep);
        shelf.answers.insert(key, Slot { kept, until, turn, bytes });
        shelf.order.insert(turn, key);
        shelf.bytes += bytes;
        while shelf.answers.len() > self.limits.entries || shelf.bytes > MOST_BYTES {
            let Some((_, oldest)) = shelf.order.first_key_value().map(|(turn, key)| (*turn, *key)) else {
                break;
            };
            shelf.remove(&oldest);
        }
    }
}

impl Shelf {
    fn remove(&mut self, key: &Key) {
        if let Some(slot) = self.answers.remove(key) {
            self.order.remove(&slot.turn);
            self.bytes -= slot.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mortise_plugin_api::{Caller, Wire};

    use super::*;

    fn key(user: &str, tenant: &str, id: &str, payload: &str) -> Key {
        let mut request = Request::new(id);
        request.caller =
            Arc::new(Caller { user: Some(user.into()), tenant: Some(tenant.into()), ..Caller::default() });
        let mut context = WireContext::default();
        context.global_context.request_id = id.to_owned();
        Cache::key(HookId(3), payload.as_bytes(), &request, &context).unwrap()
    }

    fn kept() -> Kept {
        Kept { context: None, result: WireResult::default(), wire: Wire::Json }
    }

    #[test]
    fn an_answer_is_for_the_same_caller_tenant_and_payload_of_any_request() {
        let one = key("ann", "acme", "r1", "{}");
        assert_eq!(one, key("ann", "acme", "r2", "{}"));
        assert_ne!(one, key("bob", "acme", "r1", "{}"));
        assert_ne!(one, key("ann", "other", "r1", "{}"));
        assert_ne!(one, key("ann", "acme", "r1", "{\"a\":1}"));
    }

    #[test]
    fn the_answer_nobody_asked_for_the_longest_goes_first() {
        let cache = Cache::new(Limits { keep: Duration::from_secs(60), entries: 2 });
        let [a, b, c] = ["a", "b", "c"].map(|user| key(user, "t", "r", ""));
        cache.put(a, kept(), 10);
        cache.put(b, kept(), 10);
        assert!(cache.get(&a).is_some());
        cache.put(c, kept(), 10);
        assert!(cache.get(&b).is_none() && cache.get(&a).is_some() && cache.get(&c).is_some());
        assert_eq!(cache.shelf().bytes, 20);
    }

    #[test]
    fn an_answer_that_is_too_old_is_none() {
        let cache = Cache::new(Limits { keep: Duration::ZERO, entries: 2 });
        let a = key("a", "t", "r", "");
        cache.put(a, kept(), 10);
        assert!(cache.get(&a).is_none());
        assert_eq!(cache.shelf().bytes, 0);
    }
}
