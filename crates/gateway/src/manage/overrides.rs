//! What is overridden, shown and changed.

use bytes::Bytes;
use http::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{
    answers::{Refused, ok},
    asked::Asked,
    changes::change,
    plugins,
    shapes::{ChangedPlugin, OverrideList, OverrideOf, Reloaded, SwitchState, Switched},
};
use crate::{
    history::Source,
    overrides::{Patch, PluginPatch},
    reload::{Report, Trigger},
};

/// The switch for all plugins.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SwitchPatch {
    /// `false` switches all plugins off, `true` on; null leaves it to the configuration.
    #[serde(deserialize_with = "must_be_there")]
    enabled: Option<bool>,
}

/// Null has to be written: who forgets the field wants something else.
fn must_be_there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    Option::deserialize(from)
}

/// Everything that is overridden.
pub(super) fn list(asked: &Asked<'_>) -> Response<Bytes> {
    let overrides = match asked.reloader() {
        Ok(reloader) => reloader.overrides(),
        Err(refused) => return *refused,
    };
    let pipelines = asked.managed.framework().pipelines();
    let is_configured = |name: &str| pipelines.instances().iter().any(|instance| &*instance.name == name);
    ok(&OverrideList {
        plugins_enabled: overrides.plugins_enabled.as_ref().map(|switch| SwitchState {
            enabled: switch.enabled,
            by: switch.by.clone(),
            at: switch.at.clone(),
        }),
        plugins: overrides
            .plugins
            .keys()
            .filter_map(|name| {
                let over = overrides.of(name)?;
                Some(OverrideOf { name: name.clone(), configured: is_configured(name), over })
            })
            .collect(),
    })
}

/// Leaves everything to the configuration.
pub(super) async fn reset_all(asked: &Asked<'_>) -> Response<Bytes> {
    match patch(asked, Patch::ResetAll).await {
        Ok(report) => ok(&Reloaded::from(report)),
        Err(refused) => *refused,
    }
}

/// Switches all plugins off or on.
pub(super) async fn switch(asked: &Asked<'_>) -> Response<Bytes> {
    let wanted: SwitchPatch = match asked.json() {
        Ok(wanted) => wanted,
        Err(refused) => return *refused,
    };
    match patch(asked, Patch::Switch(wanted.enabled)).await {
        Ok(report) => {
            ok(&Switched { reloaded: report.into(), plugins_enabled: asked.managed.plugins_enabled() })
        }
        Err(refused) => *refused,
    }
}

/// Changes a plugin.
pub(super) async fn change_plugin(asked: &Asked<'_>) -> Response<Bytes> {
    match asked.json::<PluginPatch>() {
        Ok(wanted) => changed(asked, Patch::Plugin(asked.name.clone(), wanted)).await,
        Err(refused) => *refused,
    }
}

/// Leaves a plugin to the configuration.
pub(super) async fn reset_plugin(asked: &Asked<'_>) -> Response<Bytes> {
    changed(asked, Patch::Reset(asked.name.clone())).await
}

async fn changed(asked: &Asked<'_>, wanted: Patch) -> Response<Bytes> {
    match patch(asked, wanted).await {
        Ok(report) => {
            ok(&ChangedPlugin { reloaded: report.into(), plugin: plugins::one(asked.managed, &asked.name) })
        }
        Err(refused) => *refused,
    }
}

async fn patch(asked: &Asked<'_>, patch: Patch) -> Result<Report, Refused> {
    change(asked, Trigger::patch(Source::Api, asked.who.clone(), patch)).await
}
