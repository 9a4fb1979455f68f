//! From instances to chains.

use std::sync::Arc;

use mortise_plugin_api::{HookId, HookTable};

use super::{
    Pipelines, Settings,
    chain::{Chain, Step},
    condition::Conditions,
    policy::{Group, Policy},
    scope::Scope,
};
use crate::{
    background::Background,
    config::{Mode, OnError},
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
                .filter(|member| member.hooks.contains(&spec.id))
                .filter_map(|member| step(member, spec, &settings, &instances))
                .collect();
            // Stable: equal priorities keep file order.
            steps.sort_by_key(|(group, priority, _)| (*group, *priority));
            (!steps.is_empty()).then(|| {
                let mut chain = Chain {
                    spec: spec.clone(),
                    serial: Vec::new(),
                    concurrent: Vec::new(),
                    background: Vec::new(),
                    limit: settings.limit(spec.limit),
                };
                for (group, _, step) in steps {
                    match group {
                        Group::Sequential | Group::Transform | Group::Audit => chain.serial.push(step),
                        Group::Concurrent => chain.concurrent.push(step),
                        Group::Background => chain.background.push(step),
                    }
                }
                chain
            })
        })
        .collect();
    Pipelines { hooks, chains, instances, listed, settings, background }
}

fn step(
    member: &Member,
    spec: &mortise_plugin_api::HookSpec,
    settings: &Settings,
    instances: &[Arc<Instance>],
) -> Option<(Group, i64, Step)> {
    let policy = Policy::of(member.mode, member.on_error, settings.fail_on_plugin_error)?;
    let instance = &member.instance;
    let ix = instances.iter().position(|known| Arc::ptr_eq(known, instance))?;
    let needs = instance.plugin().and_then(|plugin| plugin.needs(spec.id));
    if instance.plugin().is_some() && needs.is_none() {
        tracing::error!(plugin = &*instance.name, hook = &*spec.name, "plugin does not have this hook");
    }
    let step = Step {
        ix: u32::try_from(ix).ok()?,
        policy,
        needs,
        timeout: settings.plugin_timeout,
        stats: instance.stats.at(spec.id, &spec.name),
        conditions: Conditions::compile(&instance.entry.conditions, spec.family, settings.exact_conditions),
        scope: member.scope.clone(),
        unless: member.unless.clone(),
        off: instance.off().clone(),
        instance: instance.clone(),
    };
    Some((policy.group, member.priority, step))
}
