//! Plugins that are kept in storage. They stand in one list with those of files, under the same paths by name; what is
//! changed here are those of storage, and one of a file answers 409.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use mortise_framework::{Instance, config::is_secret_key, instance::State};
use mortise_store::{Plugin, Stored};
use mortise_telemetry::redact::HIDDEN;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    configured::{self, named, put},
    crud, refusing, storage,
};
use crate::{
    config::is_stored,
    manage::{
        Managed,
        answers::{Refused, no_such_plugin, nothing, ok, refused},
        asked::Asked,
        plugins::one_of_the_list,
        shapes::ReloadedPlugin,
    },
};

/// Refusals of what changes a plugin of storage.
pub(super) const REFUSALS: &[(u16, &str)] = &[
    (409, "It is in a file, and changed there; or there is another one of this name"),
    (422, "It was refused, with all reasons; what was in force stays"),
    (503, "The database cannot be used"),
];

/// Whether a plugin is well.
#[derive(Serialize, JsonSchema)]
pub(super) struct Health {
    /// Whether it runs and says that it is well.
    healthy: bool,
    /// Where it stands: `ready`, `unavailable`, ….
    status: &'static str,
    /// Why it is not well.
    reason: Option<String>,
}

/// What was removed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Cleared {
    /// How many values there were.
    cleared: u64,
}

/// Whether a plugin gets the services it asks for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    /// Whether they are approved.
    approved: bool,
    /// Which. Not given, all that its manifest asks for.
    #[serde(default)]
    scopes: Option<Vec<String>>,
}

/// The name of a plugin that is asked for by name or, if it is kept in storage, by number.
pub(in crate::manage) fn name_of(managed: &dyn Managed, asked: String) -> String {
    let number = asked.parse::<i64>().ok();
    let kept = number.and_then(|id| {
        let kept = managed.storage()?.kept();
        kept.plugins.iter().find(|plugin| plugin.id == id).map(|plugin| plugin.fields.name.clone())
    });
    kept.unwrap_or(asked)
}

/// One as it is kept.
pub(super) async fn show(asked: &Asked<'_>) -> Response<Bytes> {
    crud::answer(stored(asked).map(|plugin| ok(&masked(plugin))))
}

/// Puts other fields in the place of one's.
pub(super) async fn replace(asked: &Asked<'_>) -> Response<Bytes> {
    let replaced = async {
        let now = stored(asked)?;
        let mut next: Plugin = asked.json()?;
        let mut config = Value::Object(std::mem::take(&mut next.config));
        keep_secrets(&mut config, &Value::Object(now.fields.config));
        next.config = config.as_object().cloned().unwrap_or_default();
        let mut entry = Value::Object(std::mem::take(&mut next.entry));
        keep_secrets(&mut entry, &Value::Object(now.fields.entry));
        next.entry = entry.as_object().cloned().unwrap_or_default();
        // Approved is what somebody looked at: not what takes its place.
        if next.command != now.fields.command || next.checksum != now.fields.checksum {
            (next.scopes_approved, next.scopes) = (None, Vec::new());
        }
        put(asked, now.id, next).await
    };
    crud::answer(replaced.await.map(|(plugin, _)| ok(&masked(plugin))))
}

/// Ends and removes one.
pub(super) async fn delete(asked: &Asked<'_>) -> Response<Bytes> {
    let deleted = async { configured::remove::<Plugin>(asked, stored(asked)?.id).await };
    crud::answer(deleted.await.map(|()| nothing()))
}

/// Removes the values that one keeps.
pub(super) async fn clear(asked: &Asked<'_>) -> Response<Bytes> {
    let cleared = async {
        instance(asked)?;
        let name = asked.name.clone();
        let clear = move |store: mortise_store::Store| async move { store.values_of(&name).clear().await };
        storage(asked)?.read(clear).await.map_err(refusing)
    };
    crud::answer(cleared.await.map(|cleared| ok(&Cleared { cleared: cleared.unwrap_or(0) })))
}

/// Whether one is well, asked now.
pub(super) async fn health(asked: &Asked<'_>) -> Response<Bytes> {
    let instance = match instance(asked) {
        Ok(instance) => instance,
        Err(refused) => return *refused,
    };
    let state = instance.state();
    let reason = match &state {
        State::Ready => {
            asked.managed.framework().check_health_of(&instance).await.map(|reason| reason.to_string())
        }
        State::Unavailable(reason) | State::Idle(reason) => Some(reason.to_string()),
        other => Some(other.word().to_owned()),
    };
    ok(&Health { healthy: reason.is_none(), status: state.word(), reason })
}

/// The schema of one's own configuration.
pub(super) async fn config_schema(asked: &Asked<'_>) -> Response<Bytes> {
    let instance = match instance(asked) {
        Ok(instance) => instance,
        Err(refused) => return *refused,
    };
    let known = asked.managed.framework().config_schema(&instance.entry.kind);
    let own = match (&known, instance.plugin()) {
        (None, Some(plugin)) => plugin.config_schema().await,
        (None, None) if instance.entry.is_available() => {
            asked.managed.framework().own_schema(&instance.entry).await
        }
        _ => None,
    };
    ok(&known.map(Value::from).or(own))
}

/// Approves or denies the services that one asks for.
pub(super) async fn approve(asked: &Asked<'_>) -> Response<Bytes> {
    let approved = async {
        let now = stored(asked)?;
        let wanted: Approval = asked.json()?;
        let all = || vec!["*".to_owned()];
        let next = Plugin {
            scopes_approved: Some(wanted.approved),
            scopes: if wanted.approved { wanted.scopes.unwrap_or_else(all) } else { Vec::new() },
            ..now.fields
        };
        let said = if wanted.approved { "approved" } else { "denied" };
        put(asked, now.id, next).await.map(|(_, report)| (report, said))
    };
    crud::answer(approved.await.map(|(report, said)| {
        ok(&ReloadedPlugin {
            reloaded: report.into(),
            message: format!("Services of plugin '{}' {said}", asked.name),
            plugin: one_of_the_list(asked.managed, &asked.name),
        })
    }))
}

/// What the gateway has against a plugin: a file has one of its name.
pub(super) fn admit(plugin: &Plugin, asked: &Asked<'_>) -> Result<(), Refused> {
    let pipelines = asked.managed.framework().pipelines();
    let known = pipelines.instances().iter().find(|instance| *instance.name == *plugin.name);
    match known.filter(|known| !is_stored(&known.entry)) {
        Some(known) => Err(in_a_file(known)),
        None => Ok(()),
    }
}

fn in_a_file(known: &Instance) -> Refused {
    let why = format!(
        "the plugin `{}` is configured in {}: it is changed there, or over it by PATCH",
        known.name, known.entry.span
    );
    refused(StatusCode::CONFLICT, &why)
}

fn instance(asked: &Asked<'_>) -> Result<Arc<Instance>, Refused> {
    let pipelines = asked.managed.framework().pipelines();
    let found = pipelines.instances().iter().find(|instance| *instance.name == *asked.name);
    found.cloned().ok_or_else(|| Box::new(no_such_plugin(&asked.name)))
}

/// The one of the path; 409 for one of a file.
fn stored(asked: &Asked<'_>) -> Result<Stored<Plugin>, Refused> {
    if let Some(plugin) = named::<Plugin>(asked, &asked.name)? {
        return Ok(plugin);
    }
    Err(in_a_file(&*instance(asked)?))
}

/// One without its secrets.
pub(super) fn masked(mut stored: Stored<Plugin>) -> Stored<Plugin> {
    for map in [&mut stored.fields.config, &mut stored.fields.entry] {
        let mut value = Value::Object(std::mem::take(map));
        mask(&mut value, false);
        *map = value.as_object().cloned().unwrap_or_default();
    }
    stored
}

fn mask(value: &mut Value, secret: bool) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                mask(value, secret || is_secret_key(key) || key == "env");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, secret)),
        Value::Null => {}
        other if secret => *other = HIDDEN.into(),
        _ => {}
    }
}

/// Puts back what was masked when it was shown.
fn keep_secrets(next: &mut Value, now: &Value) {
    match (next, now) {
        (Value::Object(next), Value::Object(now)) => {
            for (key, value) in next {
                if let Some(now) = now.get(key) {
                    keep_secrets(value, now);
                }
            }
        }
        (Value::Array(next), Value::Array(now)) => {
            next.iter_mut().zip(now).for_each(|(next, now)| keep_secrets(next, now));
        }
        (next, now) if next.as_str() == Some(HIDDEN) => next.clone_from(now),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_masked_comes_back_and_what_was_not_is_taken() {
        let now =
            json!({ "api_key": "hunter2", "deep": [{ "password": "x", "depth": 1 }], "env": { "A": "b" } });
        let mut shown = now.clone();
        mask(&mut shown, false);
        assert_eq!(
            shown,
            json!({ "api_key": "***", "deep": [{ "password": "***", "depth": 1 }], "env": { "A": "***" } })
        );
        shown["deep"][0]["depth"] = json!(2);
        shown["env"]["A"] = json!("c");
        keep_secrets(&mut shown, &now);
        assert_eq!(
            shown,
            json!({ "api_key": "hunter2", "deep": [{ "password": "x", "depth": 2 }], "env": { "A": "c" } })
        );
    }
}
