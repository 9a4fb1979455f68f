//! What plugins counted, since the start or the last reset.

use bytes::Bytes;
use http::Response;
use mortise_framework::stats::Report;
use schemars::JsonSchema;
use serde::Serialize;

use super::{answers::ok, asked::Asked};

/// Statistics that were begun anew.
#[derive(Serialize, JsonSchema)]
pub(super) struct StatsReset {
    /// `success`.
    status: &'static str,
    /// A word for a person.
    message: &'static str,
    /// What was counted until then.
    before: Report,
}

/// The statistics.
pub(super) fn show(asked: &Asked<'_>) -> Response<Bytes> {
    ok(&asked.managed.framework().statistics())
}

/// Begins them anew. Metrics go on as they were.
pub(super) fn reset(asked: &Asked<'_>) -> Response<Bytes> {
    let framework = asked.managed.framework();
    let before = framework.statistics();
    framework.stats().reset();
    tracing::info!(who = asked.who, "plugin statistics begun anew");
    ok(&StatsReset { status: "success", message: "Plugin statistics reset", before })
}
