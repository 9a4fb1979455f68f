//! What plugins remember during one request.
//!
//! A plugin has **own** state, kept from its pre hook to its post hook and seen by nobody else, and a view of
//! **shared** state that all plugins of the request see. Both belong to the request and die with it.
//!
//! Writing to shared state goes into a patch beside the base: the pipeline merges the patch back by key after the
//! call, or drops it where the plugin's mode may not influence anything, and plugins that run at the same time
//! never see half of each other's writes. Keys are never deleted, only overwritten: a foreign plugin returns a
//! whole map, in which a missing key means "not mine", not "gone". Nothing is allocated until something is
//! written.

use std::any::Any;

use serde_json::{Map, Value};

/// A plugin's own memory of one request.
#[derive(Debug, Default)]
pub struct State {
    /// Values that any runtime can hold and that survive a trip to another process.
    pub values: Map<String, Value>,
    /// Data about the executions, kept beside the values. Runtimes carry it to foreign plugins and back; nothing else
    /// looks at it.
    pub metadata: Map<String, Value>,
    /// A native plugin's own type; never leaves the process.
    pub native: Option<Box<dyn Any + Send + Sync>>,
}

impl State {
    /// Whether nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.metadata.is_empty() && self.native.is_none()
    }
}

/// State and metadata that all plugins of a request share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shared {
    /// Values plugins leave for one another.
    pub state: Map<String, Value>,
    /// What the gateway and plugins say about the request (`tool`, `gateway`, …).
    pub metadata: Map<String, Value>,
}

impl Shared {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.state.is_empty() && self.metadata.is_empty()
    }

    /// Sets every key of `patch` over these.
    pub fn merge(&mut self, patch: Shared) {
        self.state.extend(patch.state);
        self.metadata.extend(patch.metadata);
    }
}

/// One plugin's view of a request's memory during one call.
#[derive(Debug)]
pub struct Context<'a> {
    own: &'a mut Option<Box<State>>,
    base: &'a Shared,
    patch: &'a mut Option<Box<Shared>>,
}

impl<'a> Context<'a> {
    /// A view over a plugin's own state, the request's shared state, and where writes to the latter go.
    pub fn new(
        own: &'a mut Option<Box<State>>,
        base: &'a Shared,
        patch: &'a mut Option<Box<Shared>>,
    ) -> Self {
        Self { own, base, patch }
    }

    /// The plugin's own state, made on first use.
    pub fn own(&mut self) -> &mut State {
        self.own.get_or_insert_default()
    }

    /// The plugin's own state if anything was ever written.
    pub fn own_ref(&self) -> Option<&State> {
        self.own.as_deref()
    }

    /// An own value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.own.as_deref()?.values.get(key)
    }

    /// Sets an own value; the same plugin finds it in the later hooks of this request.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.own().values.insert(key.into(), value.into());
    }

    /// The native value of type `T` that the plugin keeps for this request, made on first use.
    pub fn native<T: Any + Send + Sync + Default>(&mut self) -> &mut T {
        let slot = &mut self.own().native;
        if !slot.as_deref().is_some_and(<dyn Any + Send + Sync>::is::<T>) {
            *slot = Some(Box::new(T::default()));
        }
        match slot.as_mut().and_then(|held| held.downcast_mut()) {
            Some(value) => value,
            None => unreachable!("the slot was filled with this type just above"),
        }
    }

    /// A shared value, this plugin's own unmerged writes first.
    pub fn shared(&self, key: &str) -> Option<&Value> {
        self.patch.as_deref().and_then(|p| p.state.get(key)).or_else(|| self.base.state.get(key))
    }

    /// Sets a shared value.
    pub fn set_shared(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.patch.get_or_insert_default().state.insert(key.into(), value.into());
    }

    /// A shared metadata value, this plugin's own unmerged writes first.
    pub fn shared_metadata(&self, key: &str) -> Option<&Value> {
        self.patch.as_deref().and_then(|p| p.metadata.get(key)).or_else(|| self.base.metadata.get(key))
    }

    /// Sets a shared metadata value.
    pub fn set_shared_metadata(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.patch.get_or_insert_default().metadata.insert(key.into(), value.into());
    }

    /// The shared state without this plugin's unmerged writes.
    pub fn shared_base(&self) -> &Shared {
        self.base
    }

    /// The unmerged writes to shared state.
    pub fn shared_patch(&self) -> Option<&Shared> {
        self.patch.as_deref()
    }

    /// The same view for a shorter time, to hand it on while keeping it.
    pub fn reborrow(&mut self) -> Context<'_> {
        Context { own: self.own, base: self.base, patch: self.patch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_go_to_the_patch_and_reads_see_them() {
        let mut base = Shared::default();
        base.state.insert("a".into(), 1.into());
        let (mut own, mut patch) = (None, None);
        let mut context = Context::new(&mut own, &base, &mut patch);
        assert_eq!(context.shared("a"), Some(&1.into()));
        context.set_shared("a", 2);
        assert_eq!(context.shared("a"), Some(&2.into()));
        *context.native::<u32>() += 5;
        assert_eq!(*context.native::<u32>(), 5);
        assert_eq!(base.state["a"], 1, "the base is untouched until the pipeline merges");
        base.merge(*patch.unwrap());
        assert_eq!(base.state["a"], 2);
    }

    #[test]
    fn reading_allocates_nothing() {
        let base = Shared::default();
        let (mut own, mut patch) = (None, None);
        let context = Context::new(&mut own, &base, &mut patch);
        assert_eq!(context.get("x"), None);
        assert_eq!(context.shared("x"), None);
        assert!(own.is_none() && patch.is_none());
    }
}
