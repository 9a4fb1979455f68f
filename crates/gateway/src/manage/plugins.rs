//! Plugins as JSON: the list in the shape of the ContextForge documents with more fields beside, and one in full.

use mortise_framework::{
    Framework, Instance,
    config::{Condition, Mode},
    instance::State,
    pipeline::outcome::Status,
    stats::PluginStats,
};
use serde_json::{Map, Value, json};

/// All plugins, those that wait or are disabled too, by priority and then in file order.
pub(super) fn list(framework: &Framework) -> Value {
    let pipelines = framework.pipelines();
    let mut instances: Vec<_> = pipelines.instances().iter().collect();
    instances.sort_by_key(|instance| instance.entry.priority);
    instances.into_iter().map(|instance| Value::Object(summary(framework, instance))).collect()
}

/// One plugin as the list has it.
pub(super) fn one_of_the_list(framework: &Framework, name: &str) -> Option<Value> {
    let pipelines = framework.pipelines();
    let instance = pipelines.instances().iter().find(|instance| &*instance.name == name)?;
    Some(Value::Object(summary(framework, instance)))
}

/// One plugin with its configuration, secrets as `***`, and its counters.
pub(super) fn one(framework: &Framework, name: &str) -> Option<Value> {
    let pipelines = framework.pipelines();
    let instance = pipelines.instances().iter().find(|instance| &*instance.name == name)?;
    let entry = &instance.entry;
    let mut plugin = summary(framework, instance);
    plugin.insert("namespace".to_owned(), json!(entry.namespace));
    plugin.insert("on_error".to_owned(), json!(entry.on_error));
    plugin.insert("capabilities".to_owned(), json!(entry.permissions));
    plugin.insert("offers".to_owned(), json!(entry.offers));
    plugin.insert("source".to_owned(), json!(entry.span.to_string()));
    plugin.insert("config".to_owned(), entry.config.to_masked_json());
    plugin.insert("stats".to_owned(), stats(&instance.stats));
    Some(plugin.into())
}

fn summary(framework: &Framework, instance: &Instance) -> Map<String, Value> {
    let entry = &instance.entry;
    let state = instance.state();
    let lacks = if state == State::Ready { instance.lacks(framework.hooks()) } else { None };
    let summary = json!({
        "name": entry.name,
        "priority": entry.priority,
        "mode": entry.mode,
        "hooks": hooks(framework, instance),
        "tags": entry.tags,
        "conditions": conditions(&entry.conditions),
        "status": if lacks.is_some() { "degraded" } else { state.word() },
        "reason": match &state {
            State::Unavailable(reason) | State::Idle(reason) => Some(&**reason),
            _ => lacks.as_deref(),
        },
        "kind": entry.kind,
        "runtime": instance.runtime,
        "uuid": &*instance.uuid,
        "description": entry.description,
        "author": entry.author,
        "version": entry.version,
    });
    match summary {
        Value::Object(map) => map,
        _ => Map::new(),
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

fn stats(stats: &PluginStats) -> Value {
    let hooks: Map<String, Value> = stats
        .hooks()
        .into_iter()
        .map(|(hook, counts)| {
            let calls: Map<String, Value> = Status::ALL
                .iter()
                .map(|status| (status.word().to_owned(), counts.calls(*status).into()))
                .collect();
            (hook.to_string(), json!({ "calls": counts.total(), "by_status": calls }))
        })
        .collect();
    let violations: Vec<Value> = stats
        .violations()
        .into_iter()
        .map(|((code, blocked), count)| json!({ "code": code, "blocked": blocked, "count": count }))
        .collect();
    let errors: Map<String, Value> =
        stats.errors().into_iter().map(|(kind, count)| (kind.to_owned(), count.into())).collect();
    json!({ "hooks": hooks, "violations": violations, "errors": errors })
}
