//! The compiled chain of one hook.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use mortise_plugin_api::{Body, HookId, HookSpec, Needs, Payload, Request};

use super::{
    condition::Conditions,
    context::InstanceIx,
    policy::Policy,
    row::{Key, Row},
    scope::Scope,
};
use crate::{breaker::Limits, config::Mode, instance::Instance, stats::HookStats};

/// The plugins of one hook, in the order they run.
#[derive(Debug)]
pub struct Chain {
    pub(crate) spec: HookSpec,
    /// The groups that are waited for, in order.
    pub(crate) stages: Vec<Stage>,
    /// The group that runs in the background.
    pub(crate) background: Row,
    /// Whether one of the steps looks at the body.
    pub(crate) needs_body: bool,
    /// Largest payload in bytes.
    pub(crate) limit: usize,
}

/// A stretch of a chain: some steps one after another, then some at the same time.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    pub(crate) in_turn: Row,
    pub(crate) at_once: Row,
}

/// One plugin in one chain.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) instance: Arc<Instance>,
    pub(crate) ix: InstanceIx,
    /// Which member it is, at whatever hook: the hook after an event is run by the one that ran the hook before.
    pub(crate) place: u32,
    /// Places of other members that call the same instance.
    pub(crate) twins: Box<[u32]>,
    pub(crate) mode: Mode,
    pub(crate) policy: Policy,
    /// Set where its changes are left out only since it runs beside others and never declared any.
    pub(crate) left_out: bool,
    /// `None` where the plugin turned out not to have this hook.
    pub(crate) needs: Option<Needs>,
    pub(crate) timeout: Duration,
    /// What its breaker goes by.
    pub(crate) breaker: Limits,
    pub(crate) stats: Arc<HookStats>,
    pub(crate) conditions: Conditions,
    /// The binding's scope, for a step made by a binding.
    pub(crate) scope: Option<Scope>,
    /// Scopes of more specific bindings of the same plugin, whose steps run instead.
    pub(crate) unless: Vec<Scope>,
    /// Set by an error under `on_error: disable`, for all hooks of the plugin.
    pub(crate) off: Arc<AtomicBool>,
}

impl Step {
    /// Whether it runs for a call.
    #[inline]
    pub(crate) fn applies(&self, request: &Request, payload: &dyn Payload) -> bool {
        !self.off.load(Relaxed)
            && self.scope.as_ref().is_none_or(|scope| scope.holds(request, payload))
            && !self.unless.iter().any(|scope| scope.holds(request, payload))
            && self.conditions.match_call(request, payload)
    }

    /// Words of which a call it wants has one; `None` where it has to be asked.
    pub(crate) fn keys(&self) -> Option<Vec<Key>> {
        self.scope.as_ref().and_then(Scope::key).map(|key| vec![key]).or_else(|| self.conditions.keys())
    }

    /// Whether it looks at the body of a payload. One that is not running may.
    pub(crate) fn looks_at_body(&self) -> bool {
        self.needs.is_none_or(|needs| needs.body == Body::Whole)
    }
}

impl Chain {
    /// The hook.
    pub fn hook(&self) -> HookId {
        self.spec.id
    }

    /// The hook's row.
    pub fn spec(&self) -> &HookSpec {
        &self.spec
    }

    /// Whether a plugin here looks at the body. Where none does, nobody need parse it.
    pub fn needs_body(&self) -> bool {
        self.needs_body
    }

    /// The instances in it, in the order they run.
    pub fn instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.steps().map(|step| &step.instance)
    }

    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.foreground().chain(&self.background)
    }

    /// Those that are waited for, in the order they run.
    pub(crate) fn foreground(&self) -> impl Iterator<Item = &Step> {
        self.stages.iter().flat_map(|stage| stage.in_turn.iter().chain(&stage.at_once))
    }
}
