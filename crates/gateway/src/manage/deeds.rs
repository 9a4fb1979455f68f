//! What is asked of the management surface and takes a while: reloads, and reading the history.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use serde_json::json;

use super::{Admins, Managed, detail, json_response, ok, percent_decoded, plugins, wrong_method};
use crate::{
    auth::Authenticator,
    history::Source,
    reload::{Refused, Reloader, Report, Trigger},
};

/// Entries of the history that are shown where nobody asks for another number, and the most there are.
const ENTRIES: (usize, usize) = (100, 1_000);

/// Something to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Deed {
    /// Settle the configuration anew.
    Reload,
    /// Read the entry of one plugin anew and start it so.
    ReloadPlugin(String),
    /// Show what was tried so far.
    History,
}

impl Deed {
    /// What a path stands for.
    pub fn of(path: &str) -> Option<Self> {
        let name = |text: &str| percent_decoded(text).filter(|_| !text.contains('/'));
        match path {
            "/api/v1/reload" => Some(Self::Reload),
            "/api/v1/history" => Some(Self::History),
            _ => {
                let documents = path.strip_prefix("/plugins/reload/");
                let own = || path.strip_prefix("/api/v1/plugins/")?.strip_suffix("/reload");
                documents.or_else(own).and_then(name).map(Self::ReloadPlugin)
            }
        }
    }
}

/// Does it, for whoever may.
pub async fn perform(
    deed: Deed,
    managed: &dyn Managed,
    admins: &Admins,
    callers: &Authenticator,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Response<Bytes> {
    let reads = deed == Deed::History;
    if matches!(deed, Deed::ReloadPlugin(_)) && !managed.serves_plugins() {
        let off = "the plugin endpoints are switched off by `enable_plugin_api: false`";
        return detail(StatusCode::NOT_FOUND, off);
    }
    if reads && !matches!(*method, Method::GET | Method::HEAD) {
        return wrong_method("GET, HEAD");
    }
    if !reads && *method != Method::POST {
        return wrong_method("POST");
    }
    let who = match reads {
        true => admins.check(headers, callers).map(|()| String::new()),
        false => admins.who(headers, callers),
    };
    let who = match who {
        Ok(who) => who,
        Err(refused) => return refused.response(),
    };
    let Some(reloader) = managed.reloader() else {
        return detail(StatusCode::NOT_FOUND, "the configuration of this gateway cannot be changed");
    };
    match deed {
        Deed::History => history(reloader, uri.query().unwrap_or_default()).await,
        Deed::Reload => match reloader.reload(Trigger::new(Source::Api, who)).await {
            Ok(report) => ok(&told(&report)),
            Err(refused) => refusal(&refused),
        },
        Deed::ReloadPlugin(name) => {
            let trigger = Trigger { plugin: Some(name.clone()), ..Trigger::new(Source::Api, who) };
            match reloader.reload(trigger).await {
                Ok(report) => {
                    let mut answer = told(&report);
                    answer["message"] = format!("Plugin '{name}' reloaded").into();
                    answer["plugin"] = plugins::one_of_the_list(managed.framework(), &name).into();
                    ok(&answer)
                }
                Err(refused) => refusal(&refused),
            }
        }
    }
}

fn told(report: &Report) -> serde_json::Value {
    json!({
        "status": "success",
        "outcome": report.outcome,
        "snapshot": report.snapshot,
        "changes": report.changes,
        "waiting_for_restart": report.waiting,
    })
}

fn refusal(refused: &Refused) -> Response<Bytes> {
    let status = match refused {
        Refused::NoSuchPlugin(name) => {
            return detail(StatusCode::NOT_FOUND, &format!("Plugin '{name}' not found"));
        }
        Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let errors = match refused {
        Refused::Configuration(errors) => Some(errors),
        _ => None,
    };
    let answer = json!({
        "detail": "the configuration was refused; what was in force stays",
        "outcome": "refused",
        "reasons": refused.reasons(),
        "errors": errors,
    });
    json_response(status, &answer)
}

async fn history(reloader: &Reloader, query: &str) -> Response<Bytes> {
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| percent_decoded(value))
    };
    let limit = match value("limit").map(|limit| limit.parse::<usize>()) {
        None => ENTRIES.0,
        Some(Ok(limit)) => limit.min(ENTRIES.1),
        Some(Err(_)) => return detail(StatusCode::BAD_REQUEST, "`limit` is a number of entries"),
    };
    let plugin = value("plugin");
    let all = reloader.history(if plugin.is_some() { ENTRIES.1 } else { limit }).await;
    let entries: Vec<_> = all
        .into_iter()
        .filter(|entry| plugin.as_deref().is_none_or(|name| entry.is_about(name)))
        .take(limit)
        .collect();
    ok(&json!(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stand_for_deeds() {
        let plugin = |name: &str| Some(Deed::ReloadPlugin(name.to_owned()));
        for (path, deed) in [
            ("/api/v1/reload", Some(Deed::Reload)),
            ("/api/v1/history", Some(Deed::History)),
            ("/plugins/reload/pii", plugin("pii")),
            ("/plugins/reload/odd%20name%2F1", plugin("odd name/1")),
            ("/api/v1/plugins/pii/reload", plugin("pii")),
            ("/plugins/reload/", None),
            ("/plugins/reload/a/b", None),
            ("/api/v1/plugins/reload", None),
            ("/plugins", None),
        ] {
            assert_eq!(Deed::of(path), deed, "{path}");
        }
    }
}
