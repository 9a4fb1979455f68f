//! The memory of one request: what each plugin keeps for itself and what all share.

use std::sync::{Arc, LazyLock};

use mortise_plugin_api::{Context, End, HookId, Revision, Shared, State};

use super::{
    Pipelines,
    budget::Waited,
    trace::{Running, Trace},
};
use crate::stats::contexts::Held;

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
    /// Counts this memory once something was written to it.
    held: Option<Held>,
    /// What happens to the request at hooks, where somebody observes it.
    trace: Option<Arc<Trace>>,
    /// How long the request has waited for plugins; kept only where that is limited.
    pub(super) waited: Option<Arc<Waited>>,
}

impl Contexts {
    /// No memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// No memory yet, for a request that these pipelines serve: where they limit what a request may wait for plugins,
    /// all [companions](Self::companion) of it draw on one budget.
    pub fn of(pipelines: &Pipelines) -> Self {
        let waited = pipelines.settings.request_budget.map(|_| Arc::default());
        Self { waited, ..Self::default() }
    }

    /// What all plugins of the request share.
    pub fn shared(&self) -> &Shared {
        static NOTHING: LazyLock<Shared> = LazyLock::new(Shared::default);
        self.shared.as_deref().unwrap_or_else(|| &NOTHING)
    }

    /// What all plugins of the request share, for the surface to say something (`metadata.gateway`, …).
    pub fn shared_mut(&mut self) -> &mut Shared {
        self.held.get_or_insert_with(Held::begin);
        self.shared.get_or_insert_default()
    }

    /// Plugins' own memory, by instance number.
    pub fn own(&self) -> impl Iterator<Item = (u32, &State)> {
        self.own.iter().map(|(ix, state)| (*ix, &**state))
    }

    /// Has the request observed from now on, by this trace in place of an earlier one.
    pub fn set_trace(&mut self, trace: Arc<Trace>) {
        self.trace = Some(trace);
    }

    /// Whether the request is observed.
    pub(crate) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Notes the beginning of a run of a chain.
    #[inline]
    pub(crate) fn running(&self, hook: HookId, end: End, payload: &Arc<Revision>) -> Running {
        Running::begin(self.trace.as_ref(), hook, end, payload)
    }

    /// A copy of all that can be copied: shared state, and plugins' own values without native ones. What happens under
    /// it belongs to the same trace.
    pub fn copied(&self) -> Self {
        let copy = |state: &State| State {
            values: state.values.clone(),
            metadata: state.metadata.clone(),
            native: None,
        };
        Self {
            shared: self.shared.clone(),
            own: self.own.iter().map(|(ix, state)| (*ix, Box::new(copy(state)))).collect(),
            held: self.held.clone(),
            trace: self.trace.clone(),
            waited: self.waited.as_deref().map(|waited| Arc::new(waited.clone())),
        }
    }

    /// A [copy](Self::copied) for another hook of the same request: what is waited under it counts for both.
    pub fn companion(&self) -> Self {
        Self { waited: self.waited.clone(), ..self.copied() }
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
            self.held.get_or_insert_with(Held::begin);
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
