//! The memory of one request: what each plugin keeps for itself and what all share.

use std::sync::LazyLock;

use mortise_plugin_api::{Context, Shared, State};

/// Number of an instance within its pipelines.
pub(crate) type InstanceIx = u32;

/// The contexts of one request, carried from hook to hook and dropped with it.
///
/// Keyed by instance, so plugins never see each other's; owned by the request, so requests never mix. Holds
/// nothing until a plugin writes something.
#[derive(Debug, Default)]
pub struct Contexts {
    /// Made when somebody writes to it: a request whose plugins share nothing carries a pointer.
    shared: Option<Box<Shared>>,
    own: Vec<(InstanceIx, Box<State>)>,
}

impl Contexts {
    /// No memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What all plugins of the request share.
    pub fn shared(&self) -> &Shared {
        static NOTHING: LazyLock<Shared> = LazyLock::new(Shared::default);
        self.shared.as_deref().unwrap_or_else(|| &NOTHING)
    }

    /// What all plugins of the request share, for the surface to say something (`metadata.gateway`, …).
    pub fn shared_mut(&mut self) -> &mut Shared {
        self.shared.get_or_insert_default()
    }

    /// Plugins' own memory, by instance number.
    pub fn own(&self) -> impl Iterator<Item = (u32, &State)> {
        self.own.iter().map(|(ix, state)| (*ix, &**state))
    }

    /// A copy of all that can be copied: shared state, and plugins' own values without native ones.
    pub fn copied(&self) -> Self {
        let copy = |state: &State| State {
            values: state.values.clone(),
            metadata: state.metadata.clone(),
            native: None,
        };
        Self {
            shared: self.shared.clone(),
            own: self.own.iter().map(|(ix, state)| (*ix, Box::new(copy(state)))).collect(),
        }
    }

    /// Takes an instance's own memory out for a call.
    #[inline]
    pub(crate) fn take(&mut self, ix: InstanceIx) -> Option<Box<State>> {
        let at = self.own.iter().position(|(owner, _)| *owner == ix)?;
        Some(self.own.swap_remove(at).1)
    }

    /// Puts it back.
    #[inline]
    pub(crate) fn put(&mut self, ix: InstanceIx, state: Option<Box<State>>) {
        if let Some(state) = state.filter(|state| !state.is_empty()) {
            self.own.push((ix, state));
        }
    }

    /// Merges what a plugin wrote to shared state.
    pub(crate) fn merge(&mut self, patch: Option<Box<Shared>>) {
        if let Some(patch) = patch {
            self.shared_mut().merge(*patch);
        }
    }
}

/// The slots one call works on.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    pub(crate) own: Option<Box<State>>,
    pub(crate) patch: Option<Box<Shared>>,
}

impl Slots {
    pub(crate) fn context<'a>(&'a mut self, base: &'a Shared) -> Context<'a> {
        Context::new(&mut self.own, base, &mut self.patch)
    }
}
