//! Calls as the management surface shows them.
//!
//! No text of a payload is in it unless `explain.show_text` says so: changes are told as places and lengths, and of a
//! violation its code and reason, as in the log; its description and details may quote what a plugin found.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use mortise_framework::{Framework, HookRun, pipeline::trace::Absence};
use mortise_mcp::envelope::method as known;
use mortise_plugin_api::End;
use mortise_telemetry::redact;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Attempt, FinishedCall,
    difference::{self, Part},
};

/// A call that is over.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownCall {
    /// Id of the request, as in the answer's header `x-request-id`.
    pub request_id: String,
    /// When it began, in UTC.
    pub at: String,
    /// MCP method; empty where it was refused before that was known.
    pub method: String,
    /// Name of the tool or prompt, or URI of the resource without user information and secret values of its query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `ok`, `blocked`, `error`, `cancelled` (the client left) or `refused` (at the edge).
    pub outcome: &'static str,
    /// HTTP status of a call that was refused at the edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Time from the request to its answer, in microseconds.
    pub took_us: f64,
    /// Of that, time of the upstream, all attempts together.
    pub upstream_us: f64,
    /// App that called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// User.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Upstream it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Every attempt, where the first one was not all: sent again, or to an LLM that stands in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<ShownAttempt>,
    /// Number of the configuration it was served by.
    pub snapshot: u64,
    /// Plugin that blocked it; empty where the gateway itself did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
    /// Plugin that served it: the upstream was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_by: Option<String>,
    /// The hooks that ran, in the order in which they began.
    pub hooks: Vec<ShownHook>,
}

/// One attempt to have a call answered.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownAttempt {
    /// Who was asked.
    pub upstream: String,
    /// When, in microseconds from the beginning of the call.
    pub at_us: f64,
    /// How long it took to the head of an answer, in microseconds.
    pub took_us: f64,
    /// The status of the answer, or why there was none: `timeout`, `unreachable`, `blocked`.
    pub came: String,
}

/// One run of the plugins at a hook.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownHook {
    /// The hook.
    pub hook: String,
    /// When it began, in microseconds from the beginning of the call.
    pub at_us: f64,
    /// How long it took, in microseconds.
    pub took_us: f64,
    /// At a hook after an event, how that ended: `ok`, `upstream_failed`, `timed_out`, `cancelled`, `blocked`.
    pub end: &'static str,
    /// Whether it came to its end; else the client left meanwhile, and nothing is known of its plugins.
    pub finished: bool,
    /// Plugins that ran, in order.
    pub plugins: Vec<ShownPlugin>,
    /// Why the call was blocked here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<ShownBlock>,
    /// Plugins of this hook that did not run. Not in lists, and not for calls under an earlier configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did_not_run: Option<Vec<ShownAbsence>>,
}

/// One plugin at a hook.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownPlugin {
    /// Its name.
    pub plugin: String,
    /// `pass`, `change`, `block`, `would_block`, `error` or `serve` (it gave the result, and the upstream was not asked).
    pub status: &'static str,
    /// How long it took, in microseconds.
    pub took_us: f64,
    /// What it changed of the payload. Not in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Part>,
    /// How many more things it changed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_changes: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Why a call was blocked.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownBlock {
    /// Plugin that did; empty where the gateway itself did.
    pub plugin: String,
    /// The violation's code.
    pub code: String,
    /// The reason in a few words.
    pub reason: String,
    /// The reason in a sentence, where text is shown: a plugin may quote the payload in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What else the violation said, where text is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Map<String, Value>>,
}

/// A plugin of a hook that did not run there.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownAbsence {
    /// Its name.
    pub plugin: String,
    /// `not_matched` (its conditions, or the scope of its binding), `over` (the call was, before it had its turn or had
    /// answered), `not_before` (it did not run at the hook before the event), `not_told` (plugins in other processes are
    /// not told of calls that ended so), `background` (it runs there, without influence) or `off` (it failed earlier).
    pub why: &'static str,
}

/// How much is shown of a call.
#[derive(Clone, Copy)]
pub(crate) enum Detail<'a> {
    /// As an entry of a list: who ran, and how long.
    Entry,
    /// Everything that is known.
    Whole {
        /// For what depends on the pipelines.
        framework: &'a Framework,
        /// Whether changed text itself is shown.
        text: bool,
    },
}

/// Shows a call.
pub(crate) fn call(call: &FinishedCall, framework: &Framework, detail: Detail<'_>) -> ShownCall {
    let mut runs: Vec<&HookRun> = call.happened.runs.iter().collect();
    runs.sort_by_key(|run| run.began);
    let hooks: Vec<ShownHook> = runs.into_iter().map(|run| hook(call, run, framework, detail)).collect();
    let caller = &call.request.caller;
    let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
    ShownCall {
        request_id: call.request.id.to_string(),
        at: timestamp(call.started),
        method: call.method.to_string(),
        subject: call.subject.as_deref().map(|subject| about(&call.method, subject)),
        outcome: call.outcome.word(),
        status: call.status.map(|status| status.as_u16()),
        took_us: micros(call.took),
        upstream_us: micros(call.upstream),
        app: text(&caller.app),
        user: text(&caller.user),
        tenant: text(&caller.tenant),
        upstream: text(&call.request.upstream),
        attempts: call.attempts.iter().flatten().map(attempt).collect(),
        snapshot: call.snapshot,
        served_by: call.served_by().map(ToString::to_string),
        blocked_by: hooks.iter().find_map(|hook| hook.blocked.as_ref()).map(|block| block.plugin.clone()),
        hooks,
    }
}

fn attempt(attempt: &Attempt) -> ShownAttempt {
    ShownAttempt {
        upstream: attempt.upstream.to_string(),
        at_us: micros(attempt.at),
        took_us: micros(attempt.took),
        came: attempt.came.to_string(),
    }
}

/// What a call was about: names as they are, URIs without their secrets.
fn about(method: &str, subject: &str) -> String {
    match method {
        known::TOOLS_CALL | known::PROMPTS_GET => subject.to_owned(),
        _ => redact::url(subject),
    }
}

fn hook(call: &FinishedCall, run: &HookRun, framework: &Framework, detail: Detail<'_>) -> ShownHook {
    let name = framework.hooks().spec(run.hook).map(|row| row.name.to_string()).unwrap_or_default();
    let plugins = run.executions.iter().enumerate().map(|(index, execution)| {
        let difference = match (detail, run.change(index)) {
            (Detail::Whole { text, .. }, Some((before, after))) => difference::between(before, after, text),
            _ => difference::Difference::default(),
        };
        ShownPlugin {
            plugin: call.happened.plugin(execution).to_string(),
            status: execution.status.word(),
            took_us: micros(Duration::from_nanos(execution.took_ns.into())),
            changes: difference.parts,
            more_changes: difference.more,
        }
    });
    let text = matches!(detail, Detail::Whole { text: true, .. });
    let absent = match detail {
        Detail::Entry => None,
        Detail::Whole { framework, .. } => framework.pipelines().absent(&call.happened, run),
    };
    ShownHook {
        hook: name,
        at_us: micros(since(run.began, call.began)),
        took_us: micros(run.took),
        end: end(run.end),
        finished: run.finished,
        plugins: plugins.collect(),
        blocked: run.blocked.as_ref().map(|blocked| ShownBlock {
            plugin: blocked.plugin.to_string(),
            code: blocked.violation.code.clone(),
            reason: blocked.violation.reason.clone(),
            description: text.then(|| blocked.violation.description.clone()),
            details: text.then(|| blocked.violation.details.clone()),
        }),
        did_not_run: absent.filter(|_| run.finished).map(|absent| {
            let shown = |(plugin, why): (std::sync::Arc<str>, Absence)| ShownAbsence {
                plugin: plugin.to_string(),
                why: why.word(),
            };
            absent.into_iter().map(shown).collect()
        }),
    }
}

fn since(at: Instant, began: Instant) -> Duration {
    at.saturating_duration_since(began)
}

/// Microseconds with three digits.
fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e9).round() / 1e3
}

/// As JSON has it: `2026-11-21T08:00:00.123Z`.
pub(crate) fn timestamp(at: SystemTime) -> String {
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

/// How an event ended.
pub(crate) fn end(end: End) -> &'static str {
    match end {
        End::Ok => "ok",
        End::UpstreamFailed => "upstream_failed",
        End::TimedOut => "timed_out",
        End::Cancelled => "cancelled",
        End::Blocked => "blocked",
    }
}
