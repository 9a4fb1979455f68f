//! From instances to chains.

use std::sync::Arc;

use mortise_plugin_api::{HookId, HookTable};

use super::{
    Pipelines, Settings, band,
    chain::{Chain, Step},
    condition::Conditions,
    policy::{Group, Policy},
    row::Row,
    scope::Scope,
};
use crate::{
    background::Background,
    config::{Mode, OnError},
    endpoints::Mounts,
    instance::Instance,
};

/// An instance as it takes part in pipelines: once as configured, and once for each binding.
#[derive(Clone, Debug)]
pub struct Member {
    /// The instance; a binding with a configuration of its own has one of its own.
    pub instance: Arc<Instance>,
    /// Hooks it runs at.
    pub hooks: Vec<HookId>,
    /// Mode.
    pub mode: Mode,
    /// Modes at single hooks that differ from that.
    pub modes: Vec<(HookId, Mode)>,
    /// What its errors do.
    pub on_error: Option<OnError>,
    /// Lower runs first.
    pub priority: i64,
    /// The binding's scope, if it is a binding.
    pub scope: Option<Scope>,
    /// Scopes of more specific bindings of the same plugin.
    pub unless: Vec<Scope>,
}

/// Compiles chains of `members` (in file order). `listed` are all instances, also those that do not run.
pub fn compile(
    hooks: Arc<HookTable>,
    members: &[Member],
    listed: Vec<Arc<Instance>>,
    settings: Settings,
    background: Background,
) -> Pipelines {
    let mut instances = listed;
    let listed = instances.len();
    for member in members {
        if !instances.iter().any(|known| Arc::ptr_eq(known, &member.instance)) {
            instances.push(member.instance.clone());
        }
    }
    let chains = hooks
        .rows()
        .iter()
        .map(|spec| {
            let mut steps: Vec<(Group, i64, Step)> = members
                .iter()
                .enumerate()
                .filter(|(_, member)| member.hooks.contains(&spec.id))
                .filter_map(|(place, _)| step(members, place, spec, &settings, &instances))
                .collect();
            // Stable: equal priorities keep file order.
            steps.sort_by_key(|(group, priority, _)| (*group, *priority));
            (!steps.is_empty()).then(|| {
                let (background, foreground): (Vec<_>, Vec<_>) =
                    steps.into_iter().partition(|(group, ..)| *group == Group::Background);
                Chain {
                    spec: spec.clone(),
                    needs_body: foreground.iter().chain(&background).any(|(.., step)| step.looks_at_body()),
                    stages: band::stages(foreground, spec, settings.parallel_bands),
                    background: Row::new(background.into_iter().map(|(.., step)| step).collect()),
                    limit: settings.limit(spec.limit),
                }
            })
        })
        .collect();
    let names = instances.iter().map(|instance| instance.name.clone()).collect();
    Pipelines {
        hooks,
        chains,
        instances,
        listed,
        names,
        settings,
        background,
        bindings: Vec::new(),
        mounts: Mounts::new(),
    }
}

/// Places of other members that call the same instance.
fn twins(members: &[Member], place: usize) -> Box<[u32]> {
    let calls_it =
        |other: &Member| members.get(place).is_some_and(|one| Arc::ptr_eq(&one.instance, &other.instance));
    let others = members.iter().enumerate().filter(|(at, other)| *at != place && calls_it(other));
    others.filter_map(|(at, _)| u32::try_from(at).ok()).collect()
}

fn step(
    members: &[Member],
    place: usize,
    spec: &mortise_plugin_api::HookSpec,
    settings: &Settings,
    instances: &[Arc<Instance>],
) -> Option<(Group, i64, Step)> {
    let member = members.get(place)?;
    if member.scope.as_ref().is_some_and(|scope| !scope.can_hold(spec.family)) {
        return None;
    }
    let mode = member.modes.iter().find(|(hook, _)| *hook == spec.id).map_or(member.mode, |(_, mode)| *mode);
    let policy = Policy::of(mode, member.on_error, settings.fail_on_plugin_error)?;
    let instance = &member.instance;
    let ix = instances.iter().position(|known| Arc::ptr_eq(known, instance))?;
    let needs = instance.plugin().and_then(|plugin| plugin.needs(spec.id));
    if instance.plugin().is_some() && needs.is_none() {
        // Where the entry leaves its hooks to its code, this one was only a guess.
        if instance.foreign && instance.entry.hooks.is_empty() {
            return None;
        }
        tracing::error!(plugin = &*instance.name, hook = &*spec.name, "plugin does not have this hook");
    }
    let step = Step {
        ix: u32::try_from(ix).ok()?,
        place: u32::try_from(place).ok()?,
        twins: twins(members, place),
        mode,
        policy,
        needs,
        timeout: settings.plugin_timeout,
        left_out: false,
        breaker: instance.entry.circuit_breaker.over(settings.breaker),
        stats: instance.stats.at(spec.id, &spec.name),
        conditions: Conditions::compile(&instance.entry.conditions, spec.family, settings.exact_conditions),
        scope: member.scope.clone(),
        unless: member.unless.iter().filter(|scope| scope.can_hold(spec.family)).cloned().collect(),
        off: instance.off().clone(),
        instance: instance.clone(),
    };
    Some((policy.group, member.priority, step))
}
