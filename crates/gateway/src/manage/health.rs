//! Whether the gateway is well: `/ready` and the upstreams.

use bytes::Bytes;
use http::{Response, StatusCode};
use mortise_framework::instance::State;
use serde_json::{Value, json};

use super::{Managed, json_response};
use crate::upstreams::{self, Status};

/// 503 until everything had one attempt to start; then what is degraded, with the reasons where the caller may know.
pub(super) fn ready(managed: &dyn Managed, with_reasons: bool) -> Response<Bytes> {
    let enabled = managed.plugins_enabled();
    if !managed.attempted() {
        let starting = json!({ "status": "starting", "plugins_enabled": enabled });
        return json_response(StatusCode::SERVICE_UNAVAILABLE, &starting);
    }
    let pipelines = managed.framework().pipelines();
    let plugins = pipelines.instances().iter().filter_map(|instance| {
        let reason = match instance.state() {
            State::Ready => instance.lacks(managed.framework().hooks())?,
            State::Disabled | State::Idle(_) => return None,
            State::Unavailable(reason) => reason.to_string(),
            other => other.word().to_owned(),
        };
        Some(entry("plugin", &instance.name, reason, with_reasons))
    });
    let upstreams = managed.upstreams();
    let upstreams = upstreams.iter().filter_map(|status| {
        let reason = reason(status)?;
        Some(entry("upstream", &status.name, reason, with_reasons))
    });
    // The one in force serves; the one in the files waits for somebody to put it right.
    let refused = managed.reloader().and_then(|reloader| reloader.refused());
    let configuration = refused.map(|refused| {
        let reason = format!("the last change was refused: {}", refused.reasons().join("; "));
        entry("configuration", "reload", reason, with_reasons)
    });
    let degraded: Vec<Value> = plugins.chain(upstreams).chain(configuration).collect();
    let status = if degraded.is_empty() { "ready" } else { "degraded" };
    let answer = json!({ "status": status, "plugins_enabled": enabled, "degraded": degraded });
    json_response(StatusCode::OK, &answer)
}

fn entry(kind: &str, name: &str, reason: String, with_reasons: bool) -> Value {
    let mut entry = json!({ "kind": kind, "name": name });
    if with_reasons {
        entry["reason"] = reason.into();
    }
    entry
}

/// Why an upstream cannot be used; `None` where it can.
fn reason(status: &Status) -> Option<String> {
    match &status.state {
        upstreams::State::Ready => None,
        upstreams::State::Starting => Some("starting".to_owned()),
        upstreams::State::Failing(reason) => Some(reason.clone()),
    }
}

/// The upstreams and where they stand.
pub(super) fn upstreams(list: &[Status]) -> Value {
    let word = |status: &Status| match status.state {
        upstreams::State::Ready => "ready",
        upstreams::State::Starting => "starting",
        upstreams::State::Failing(_) => "failing",
    };
    list.iter()
        .map(|status| {
            json!({
                "name": &*status.name,
                "status": word(status),
                "reason": reason(status).filter(|_| word(status) == "failing"),
                "tools": status.tools,
                "prompts": status.prompts,
                "resources": status.resources,
            })
        })
        .collect()
}
