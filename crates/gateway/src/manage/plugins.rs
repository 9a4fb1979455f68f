//! Plugins as the surface shows them: the list in the shape of the ContextForge documents with more fields beside, and
//! one in full.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use jiff::Timestamp;
use mortise_framework::{
    Framework, Instance,
    config::{Condition, Mode},
    instance::State,
    pipeline::outcome::Status,
    stats::PluginStats,
};
use serde_json::{Value, json};

use super::{
    Managed,
    answers::{no_such_plugin, ok},
    asked::Asked,
    shapes::{Breaker, Counters, HookCounters, PluginDetail, PluginSummary, ViolationCount},
};
use crate::{
    config::{Kept, is_stored},
    overrides::{Configured, Overrides},
};

/// All plugins, those that wait or are disabled too, by priority and then in file order.
pub(super) fn list(asked: &Asked<'_>) -> Response<Bytes> {
    let pipelines = asked.managed.framework().pipelines();
    let mut instances: Vec<_> = pipelines.instances().iter().collect();
    instances.sort_by_key(|instance| instance.entry.priority);
    let overrides = asked.managed.overrides();
    let kept = kept(asked.managed);
    let shown = |instance: &Arc<Instance>| summary(asked.managed.framework(), &overrides, &kept, instance);
    ok(&instances.into_iter().map(shown).collect::<Vec<_>>())
}

/// One plugin with its configuration, secrets as `***`, and its counters.
pub(super) fn show(asked: &Asked<'_>) -> Response<Bytes> {
    match one(asked.managed, &asked.name) {
        Some(plugin) => ok(&plugin),
        None => no_such_plugin(&asked.name),
    }
}

/// One plugin as the list has it.
pub(super) fn one_of_the_list(managed: &dyn Managed, name: &str) -> Option<PluginSummary> {
    let pipelines = managed.framework().pipelines();
    let instance = pipelines.instances().iter().find(|instance| &*instance.name == name)?;
    Some(summary(managed.framework(), &managed.overrides(), &kept(managed), instance))
}

/// One plugin in full.
pub(super) fn one(managed: &dyn Managed, name: &str) -> Option<PluginDetail> {
    let pipelines = managed.framework().pipelines();
    let instance = pipelines.instances().iter().find(|instance| &*instance.name == name)?;
    let entry = &instance.entry;
    Some(PluginDetail {
        summary: summary(managed.framework(), &managed.overrides(), &kept(managed), instance),
        namespace: entry.namespace.clone(),
        on_error: entry.on_error,
        capabilities: entry.permissions.clone(),
        offers: entry.offers.clone(),
        confinement: instance.plugin().and_then(|plugin| plugin.confinement()),
        source: entry.span.to_string(),
        config: entry.config.to_masked_json(),
        circuit_breaker: breaker(instance),
        stats: counters(&instance.stats),
    })
}

/// Plugins that are kept in storage.
fn kept(managed: &dyn Managed) -> Arc<Kept> {
    managed.storage().map(|storage| storage.kept()).unwrap_or_default()
}

fn summary(framework: &Framework, overrides: &Overrides, kept: &Kept, instance: &Instance) -> PluginSummary {
    let kept = kept
        .plugins
        .iter()
        .find(|plugin| is_stored(&instance.entry) && *plugin.fields.name == *instance.name);
    let entry = &instance.entry;
    let state = instance.state();
    let degraded = if state == State::Ready { instance.degraded(framework.hooks()) } else { None };
    PluginSummary {
        name: entry.name.clone(),
        priority: entry.priority,
        mode: entry.mode,
        hooks: hooks(framework, instance),
        tags: entry.tags.clone(),
        conditions: conditions(&entry.conditions),
        status: if degraded.is_some() { "degraded" } else { state.word() },
        reason: match &state {
            State::Unavailable(reason) | State::Idle(reason) => Some(reason.to_string()),
            _ => degraded,
        },
        kind: entry.kind.clone(),
        runtime: instance.runtime,
        uuid: instance.uuid.to_string(),
        description: entry.description.clone(),
        author: entry.author.clone(),
        version: entry.version.clone(),
        id: kept.map(|plugin| plugin.id),
        sandbox: instance.plugin().and_then(|plugin| plugin.confinement()).map(|held| held.profile),
        over: overrides.of(&instance.name),
        configured: Configured::of(entry),
    }
}

/// The hooks as configured, or where none are, those it runs at.
fn hooks(framework: &Framework, instance: &Instance) -> Vec<String> {
    let entry = &instance.entry;
    if !entry.hooks.is_empty() || entry.mode == Mode::Disabled {
        return entry.hooks.clone();
    }
    let pipelines = framework.pipelines();
    let rows = framework.hooks().rows().iter();
    let runs = rows.filter(|row| {
        pipelines
            .chain(row.id)
            .is_some_and(|chain| chain.instances().any(|member| member.name == instance.name))
    });
    runs.map(|row| row.name.to_string()).collect()
}

/// The fields that narrow; of several conditions, a list of these.
fn conditions(conditions: &[Condition]) -> Value {
    match conditions {
        [] => json!({}),
        [one] => fields(one),
        many => many.iter().map(fields).collect(),
    }
}

fn fields(condition: &Condition) -> Value {
    let mut fields = json!(condition);
    if let Some(map) = fields.as_object_mut() {
        map.retain(|_, values| values.as_array().is_some_and(|values| !values.is_empty()));
    }
    fields
}

fn breaker(instance: &Instance) -> Breaker {
    let reading = instance.circuit_breaker();
    Breaker {
        state: reading.stand.word(),
        failures: reading.failures,
        since: reading.since.and_then(|since| Timestamp::try_from(since).ok()).map(|since| since.to_string()),
        retry_in: reading.remaining.as_secs_f64(),
    }
}

fn counters(stats: &PluginStats) -> Counters {
    let hooks = stats.hooks().into_iter().map(|(hook, counts)| {
        let by_status = Status::ALL.iter().map(|status| (status.word().to_owned(), counts.calls(*status)));
        (hook.to_string(), HookCounters { calls: counts.total(), by_status: by_status.collect() })
    });
    let violations = stats.violations().into_iter();
    Counters {
        hooks: hooks.collect(),
        violations: violations
            .map(|((code, blocked), count)| ViolationCount { code, blocked, count })
            .collect(),
        errors: stats.errors().into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect(),
    }
}
