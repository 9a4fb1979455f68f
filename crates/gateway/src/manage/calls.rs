//! `/api/v1/calls` and `/api/v1/recordings`: what became of calls, and inputs of hooks for another configuration.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    answers::{Refused, detail, ok, refused, response},
    asked::Asked,
};
use crate::trace::{
    CallOutcome, Calls, FinishedCall,
    recording::{NotRecorded, Wanted, matches},
    shown::{self, Detail, ShownCall},
};

/// Calls listed without a `limit`, and at most.
const LISTED: (usize, usize) = (100, 10_000);

/// Calls of a recording without a number, and at most.
const RECORDED: (usize, usize) = (1_000, 1_000_000);

/// Seconds of a recording without a time, and at most.
const SECONDS: (usize, usize) = (60, 24 * 3600);

/// Longest wait for something to fetch, in seconds.
const WAIT: usize = 20;

/// Media type of recordings.
pub(super) const LINES: &str = "application/x-ndjson";

/// A recording that began.
#[derive(Serialize, JsonSchema)]
pub(super) struct Begun {
    /// Its number.
    recording: u64,
}

/// A recording that ended.
#[derive(Serialize, JsonSchema)]
pub(super) struct Ended {
    /// `ended`.
    status: &'static str,
}

fn calls<'a>(asked: &Asked<'a>) -> Result<&'a Arc<Calls>, Refused> {
    asked
        .managed
        .calls()
        .ok_or_else(|| refused(StatusCode::NOT_FOUND, "calls of this gateway are not followed"))
}

/// `GET /api/v1/calls`.
pub(super) fn list(asked: &Asked<'_>) -> Response<Bytes> {
    listed(asked).map_or_else(|refused| *refused, |calls| ok(&calls))
}

fn listed(asked: &Asked<'_>) -> Result<Vec<ShownCall>, Refused> {
    let limit = asked.number("limit", LISTED.0, LISTED.1)?;
    let (plugin, subject) = (asked.parameter("plugin"), asked.parameter("tool"));
    let blocked = flag(asked, "blocked")?;
    let since = asked.parameter("since").map(|text| since(&text)).transpose()?;
    let wanted = |call: &FinishedCall| {
        since.is_none_or(|since| call.started >= since)
            && blocked.is_none_or(|blocked| is_blocked(call) == blocked)
            && subject
                .as_deref()
                .is_none_or(|word| call.subject.as_deref().is_some_and(|is| matches(word, is)))
            && plugin.as_deref().is_none_or(|plugin| ran(call, plugin))
    };
    let all = calls(asked)?.last();
    let framework = asked.managed.framework();
    let found = all.iter().filter(|call| wanted(call)).take(limit);
    Ok(found.map(|call| shown::call(call, framework, Detail::Entry)).collect())
}

fn flag(asked: &Asked<'_>, name: &str) -> Result<Option<bool>, Refused> {
    match asked.parameter(name).as_deref() {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => Err(refused(StatusCode::BAD_REQUEST, &format!("`{name}` is `true` or `false`"))),
    }
}

fn is_blocked(call: &FinishedCall) -> bool {
    call.outcome == CallOutcome::Blocked || call.happened.runs.iter().any(|run| run.blocked.is_some())
}

fn ran(call: &FinishedCall, plugin: &str) -> bool {
    let executions = call.happened.runs.iter().flat_map(|run| &run.executions);
    executions.into_iter().any(|execution| &**call.happened.plugin(execution) == plugin)
}

/// A moment: `2026-11-21T08:00:00Z`, or how long ago: `30s`, `5m`, `2h`.
fn since(text: &str) -> Result<SystemTime, Refused> {
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        let ago = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?);
        Some(SystemTime::now().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH))
    };
    ago().or_else(|| text.parse::<Timestamp>().ok().map(SystemTime::from)).ok_or_else(|| {
        refused(
            StatusCode::BAD_REQUEST,
            "`since` is a moment such as 2026-11-21T08:00:00Z, or how long ago: 30s, 5m, 2h",
        )
    })
}

/// `GET /api/v1/calls/{request_id}`: the last call of that id; `last` stands for the last of all.
pub(super) fn show(asked: &Asked<'_>) -> Response<Bytes> {
    let calls = match calls(asked) {
        Ok(calls) => calls,
        Err(refused) => return *refused,
    };
    let all = calls.last();
    let found = all.iter().find(|call| *call.request.id == *asked.name);
    let last = || all.first().filter(|_| asked.name == "last");
    let Some(call) = found.or_else(last) else {
        let what = match &*asked.name {
            "last" => "no call is kept".to_owned(),
            id => format!("no call with the request id '{id}' is kept"),
        };
        let kept = "only the last calls are, as many as `explain.keep` says, and fewer of those that passed untouched";
        return detail(StatusCode::NOT_FOUND, &format!("{what}: {kept}"));
    };
    let whole = Detail::Whole { framework: asked.managed.framework(), text: asked.managed.shows_text() };
    ok(&shown::call(call, asked.managed.framework(), whole))
}

/// `POST /api/v1/recordings`.
pub(super) fn record(asked: &Asked<'_>) -> Response<Bytes> {
    begun(asked).map_or_else(|refused| *refused, |begun| ok(&begun))
}

fn begun(asked: &Asked<'_>) -> Result<Begun, Refused> {
    let wanted = Wanted {
        calls: asked.number("calls", RECORDED.0, RECORDED.1)?,
        time: Duration::from_secs(asked.number("seconds", SECONDS.0, SECONDS.1)? as u64),
        subject: asked.parameter("tool"),
        raw: flag(asked, "raw")?.unwrap_or(false),
    };
    let calls = calls(asked)?;
    if wanted.raw {
        tracing::warn!(who = asked.who, "calls are recorded with personal data and secrets");
    }
    match calls.recordings().begin(calls, wanted) {
        Ok(recording) => Ok(Begun { recording }),
        Err(error @ NotRecorded::TooMany) => Err(refused(StatusCode::CONFLICT, &error.to_string())),
        Err(error) => Err(refused(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string())),
    }
}

fn no_such_recording() -> Response<Bytes> {
    detail(StatusCode::NOT_FOUND, "there is no such recording, or nobody asked for what it had in time")
}

/// `GET /api/v1/recordings/{recording}`: one call a line; headers say how many found no room, and whether that is all.
pub(super) async fn fetch(asked: &Asked<'_>) -> Response<Bytes> {
    let (calls, wait) = match (calls(asked), asked.number("wait", 0, WAIT)) {
        (Ok(calls), Ok(wait)) => (calls, wait),
        (Err(refused), _) | (_, Err(refused)) => return *refused,
    };
    let Ok(number) = asked.name.parse() else { return no_such_recording() };
    let hooks = asked.managed.framework().hooks();
    let patience = Duration::from_secs(wait as u64);
    let Some(fetched) = calls.recordings().fetch(calls, number, hooks, patience).await else {
        return no_such_recording();
    };
    let mut answer = response(StatusCode::OK, HeaderValue::from_static(LINES), fetched.lines.into());
    let headers = answer.headers_mut();
    headers.insert(HeaderName::from_static("x-mortise-dropped"), fetched.dropped.into());
    let over = if fetched.over { "true" } else { "false" };
    headers.insert(HeaderName::from_static("x-mortise-over"), HeaderValue::from_static(over));
    answer
}

/// `DELETE /api/v1/recordings/{recording}`.
pub(super) fn end(asked: &Asked<'_>) -> Response<Bytes> {
    let ended = calls(asked)
        .map(|calls| asked.name.parse().is_ok_and(|number| calls.recordings().end(calls, number)));
    match ended {
        Ok(true) => ok(&Ended { status: "ended" }),
        Ok(false) => no_such_recording(),
        Err(refused) => *refused,
    }
}
