//! What changes the configuration: reloads, and how refusals are told.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{
    answers::{Refused, json_response, no_such_plugin, ok},
    asked::Asked,
    plugins,
    shapes::{Problem, Reloaded, ReloadedPlugin},
};
use crate::{
    history::Source,
    reload::{self, Report, Trigger},
};

/// Settles the configuration anew.
pub(super) async fn reload(asked: &Asked<'_>) -> Response<Bytes> {
    match change(asked, Trigger::new(Source::Api, asked.who.clone())).await {
        Ok(report) => ok(&Reloaded::from(report)),
        Err(refused) => *refused,
    }
}

/// Reads the entry of one plugin anew and starts it so.
pub(super) async fn reload_plugin(asked: &Asked<'_>) -> Response<Bytes> {
    let name = asked.name.clone();
    let trigger = Trigger { plugin: Some(name.clone()), ..Trigger::new(Source::Api, asked.who.clone()) };
    match change(asked, trigger).await {
        Ok(report) => ok(&ReloadedPlugin {
            reloaded: report.into(),
            message: format!("Plugin '{name}' reloaded"),
            plugin: plugins::one_of_the_list(asked.managed, &name),
        }),
        Err(refused) => *refused,
    }
}

/// Changes the configuration; a refusal is the answer.
pub(super) async fn change(asked: &Asked<'_>, trigger: Trigger) -> Result<Report, Refused> {
    let reloader = asked.reloader()?;
    reloader.reload(trigger).await.map_err(|refused| Box::new(refusal(&refused)))
}

fn refusal(refused: &reload::Refused) -> Response<Bytes> {
    let status = match refused {
        reload::Refused::NoSuchPlugin(name) => return no_such_plugin(name),
        reload::Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
        reload::Refused::Broken(_) | reload::Refused::NotKept(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let errors = match refused {
        reload::Refused::Configuration(errors) => serde_json::to_value(errors).ok(),
        _ => None,
    };
    let problem = Problem {
        detail: "the change was refused; what was in force stays".to_owned(),
        outcome: Some("refused".to_owned()),
        reasons: Some(refused.reasons()),
        errors,
    };
    json_response(status, &problem)
}
