//! Whether the gateway is well: `/health`, `/ready`, the upstreams, and what is counted.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use mortise_framework::instance::State;

use super::{
    answers::{detail, json_response, ok, response},
    asked::Asked,
    shapes::{Degraded, Healthy, Ready, UpstreamStatus},
};
use crate::upstreams::{self, Status};

/// Media type of the metrics.
pub(super) const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process answers.
pub(super) fn health(_: &Asked<'_>) -> Response<Bytes> {
    ok(&Healthy { status: "healthy" })
}

/// 503 until everything had one attempt to start; then what is degraded, with the reasons where the caller may know.
pub(super) fn ready(asked: &Asked<'_>) -> Response<Bytes> {
    let managed = asked.managed;
    let plugins_enabled = managed.plugins_enabled();
    let switched_off: Vec<String> = managed.overrides().switched_off().map(str::to_owned).collect();
    if !managed.attempted() {
        let starting = Ready { status: "starting", plugins_enabled, switched_off, degraded: None };
        return json_response(StatusCode::SERVICE_UNAVAILABLE, &starting);
    }
    let entry = |kind, name: &str, reason: String| Degraded {
        kind,
        name: name.to_owned(),
        reason: asked.may_read.then_some(reason),
    };
    let pipelines = managed.framework().pipelines();
    let plugins = pipelines.instances().iter().filter_map(|instance| {
        let reason = match instance.state() {
            State::Ready => instance.degraded(managed.framework().hooks())?,
            State::Disabled | State::Idle(_) => return None,
            State::Unavailable(reason) => reason.to_string(),
            other => other.word().to_owned(),
        };
        Some(entry("plugin", &instance.name, reason))
    });
    let upstreams = managed.upstreams();
    let upstreams =
        upstreams.iter().filter_map(|status| Some(entry("upstream", &status.name, reason(status)?)));
    // The one in force serves; the one in the files waits for somebody to put it right.
    let refused = managed.reloader().and_then(|reloader| reloader.refused());
    let configuration = refused.map(|refused| {
        let reason = format!("the last change was refused: {}", refused.reasons().join("; "));
        entry("configuration", "reload", reason)
    });
    let trouble =
        managed.storage().and_then(|storage| Some((storage.place().to_string(), storage.trouble()?)));
    let storage = trouble.map(|(place, trouble)| entry("storage", &place, trouble));
    let degraded: Vec<Degraded> = plugins.chain(upstreams).chain(configuration).chain(storage).collect();
    let status = if degraded.is_empty() { "ready" } else { "degraded" };
    ok(&Ready { status, plugins_enabled, switched_off, degraded: Some(degraded) })
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
pub(super) fn upstreams(asked: &Asked<'_>) -> Response<Bytes> {
    let shown = |status: &Status| UpstreamStatus {
        name: status.name.to_string(),
        status: match status.state {
            upstreams::State::Ready => "ready",
            upstreams::State::Starting => "starting",
            upstreams::State::Failing(_) => "failing",
        },
        reason: reason(status).filter(|_| matches!(status.state, upstreams::State::Failing(_))),
        tools: status.tools,
        prompts: status.prompts,
        resources: status.resources,
    };
    ok(&asked.managed.upstreams().iter().map(shown).collect::<Vec<_>>())
}

/// Everything that is counted.
pub(super) fn metrics(asked: &Asked<'_>) -> Response<Bytes> {
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, asked.managed.metrics()).is_err() {
        return detail(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written");
    }
    response(StatusCode::OK, HeaderValue::from_static(METRICS_TYPE), text.into())
}
