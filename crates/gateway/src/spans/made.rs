//! Spans made of a call that is over: one for the request, one for the upstream, one for each run of a hook, and one
//! for each plugin that ran there.
//!
//! Names and attributes are those of OpenTelemetry's conventions for MCP where there are some, and for hooks and
//! plugins those that ContextForge's own spans have, so that who watches one can watch the other. No payload, no argument
//! and no secret is among them. When a plugin began is not noted on the path of a call: plugins of a run are laid out one
//! after another, which is how they run but for those that run at the same time.

use std::time::{Duration, Instant, SystemTime};

use mortise_framework::{Status as Ended, pipeline::trace::HookRun};
use mortise_mcp::envelope::method;
use mortise_plugin_api::HookTable;
use mortise_telemetry::redact;

use super::{
    context::new_span,
    wire::{KeyValue, Span, Status, kind},
};
use crate::trace::{CallOutcome, FinishedCall};

/// Longest text of an attribute that comes from outside, in bytes.
const LONGEST: usize = 256;

/// How many spans a call comes to.
pub(super) fn count(call: &FinishedCall) -> u64 {
    let of_hooks: usize = call.happened.runs.iter().map(|run| 1 + run.executions.len()).sum();
    (1 + usize::from(call.upstream_began.is_some()) + of_hooks) as u64
}

/// The spans of a call.
pub(super) fn of(call: &FinishedCall, hooks: &HookTable) -> Vec<Span> {
    let Some(context) = &call.context else { return Vec::new() };
    let Some(own) = &context.own else { return Vec::new() };
    let clock = Clock { began: call.began, started: call.started };
    let blank = |name: String, kind: i32, parent: &[u8]| Span {
        trace_id: context.trace.to_vec(),
        span_id: new_span().to_vec(),
        trace_state: context.state().to_owned(),
        parent_span_id: parent.to_vec(),
        name,
        kind,
        flags: u32::from(context.flags()),
        ..Span::default()
    };
    let mut spans = Vec::with_capacity(usize::try_from(count(call)).unwrap_or(1));
    let parent = context.parent.as_ref().map_or(&[][..], |parent| parent);
    let mut request = clock.during(blank(name(call), kind::SERVER, parent), call.began, call.took);
    request.span_id = own.span.to_vec();
    request.attributes = about_request(call);
    request.status = failure(call);
    spans.push(request);
    if let Some(began) = call.upstream_began {
        let mut upstream =
            clock.during(blank(call.method.to_string(), kind::CLIENT, &own.span), began, call.upstream);
        upstream.span_id = own.upstream.to_vec();
        upstream.attributes.push(KeyValue::new("mcp.method.name", &*call.method));
        if let Some(name) = &call.request.upstream {
            upstream.attributes.push(KeyValue::new("mortise.upstream", &**name));
        }
        spans.push(upstream);
    }
    for run in &call.happened.runs {
        let hook = hooks.spec(run.hook).map_or("", |spec| &*spec.name);
        let mut chain = clock.during(
            blank("plugin.hook.invoke".to_owned(), kind::INTERNAL, &own.span),
            run.began,
            run.took,
        );
        chain.attributes = about_run(run, hook);
        let within = chain.span_id.clone();
        spans.push(chain);
        let mut cursor = run.began;
        for execution in &run.executions {
            let took = Duration::from_nanos(execution.took_ns.into());
            // What ran at the same time as others would end after all of them.
            let latest = (run.began + run.took).checked_sub(took).unwrap_or(run.began).max(run.began);
            let began = cursor.min(latest);
            cursor = began + took;
            let plugin = call.happened.plugin(execution);
            let name = format!("plugin.execute.{plugin}");
            let mut span = clock.during(blank(name, kind::INTERNAL, &within), began, took);
            span.attributes = about_plugin(execution.status, plugin, hook, run);
            if execution.status == Ended::Error {
                span.status = Status::error("the plugin gave no answer");
            }
            spans.push(span);
        }
    }
    spans
}

/// Turns the clock of calls into that of the world.
struct Clock {
    began: Instant,
    started: SystemTime,
}

impl Clock {
    fn during(&self, mut span: Span, began: Instant, took: Duration) -> Span {
        let start = self.started + began.saturating_duration_since(self.began);
        let since = start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        span.start_time_unix_nano = nanos(since);
        span.end_time_unix_nano = nanos(since.saturating_add(took));
        span
    }
}

/// Method and target, where the target is one there is: names that clients make up would be names without number.
fn name(call: &FinishedCall) -> String {
    let named = matches!(&*call.method, method::TOOLS_CALL | method::PROMPTS_GET);
    match &call.subject {
        _ if call.method.is_empty() => "mcp".to_owned(),
        Some(subject) if named && call.request.upstream.is_some() => {
            format!("{} {}", short(&call.method), short(subject))
        }
        _ => short(&call.method).to_owned(),
    }
}

fn about_request(call: &FinishedCall) -> Vec<KeyValue> {
    let request = &call.request;
    let mut about = vec![
        KeyValue::new("mortise.request.id", &*request.id),
        KeyValue::new("mortise.outcome", call.outcome.word()),
    ];
    if !call.method.is_empty() {
        about.push(KeyValue::new("mcp.method.name", short(&call.method)));
    }
    if let Some(subject) = &call.subject {
        match &*call.method {
            method::TOOLS_CALL => about.push(KeyValue::new("gen_ai.tool.name", short(subject))),
            method::PROMPTS_GET => about.push(KeyValue::new("gen_ai.prompt.name", short(subject))),
            _ => about.push(KeyValue::new("mcp.resource.uri", short(&redact::url(subject)))),
        }
    }
    if let Some(server) = &request.server_id {
        about.push(KeyValue::new("mortise.server", short(server)));
    }
    if let Some(upstream) = &request.upstream {
        about.push(KeyValue::new("mortise.upstream", &**upstream));
    }
    if let Some(app) = &request.caller.app {
        about.push(KeyValue::new("mortise.app", short(app)));
    }
    if let Some(status) = call.status {
        about.push(KeyValue::new("http.response.status_code", usize::from(status.as_u16())));
    }
    let blocked = call.happened.runs.iter().find_map(|run| run.blocked.as_ref());
    if let Some(blocked) = blocked {
        about.push(KeyValue::new("mortise.blocked_by", &*blocked.plugin));
        about.push(KeyValue::new("mortise.violation_code", short(&blocked.violation.code)));
    }
    if failure(call).is_some() {
        about.push(KeyValue::new("error.type", call.outcome.word()));
    }
    about
}

/// A call that a plugin blocked did what it was meant to.
fn failure(call: &FinishedCall) -> Option<Status> {
    match call.outcome {
        CallOutcome::Error => Status::error("answered with an error"),
        CallOutcome::Cancelled => Status::error("the client left"),
        CallOutcome::Ok | CallOutcome::Blocked | CallOutcome::Refused => None,
    }
}

fn about_run(run: &HookRun, hook: &str) -> Vec<KeyValue> {
    let mut about = vec![
        KeyValue::new("plugin.hook.type", hook),
        KeyValue::new("plugin.executed_count", run.executions.len()),
        KeyValue::new("plugin.chain.stopped", run.blocked.is_some()),
    ];
    if let Some(blocked) = &run.blocked {
        about.push(KeyValue::new("plugin.chain.stopped_by", &*blocked.plugin));
    }
    if !run.finished {
        about.push(KeyValue::new("mortise.cancelled", true));
    }
    about
}

fn about_plugin(status: Ended, plugin: &str, hook: &str, run: &HookRun) -> Vec<KeyValue> {
    let violation = matches!(status, Ended::Block | Ended::WouldBlock);
    let stopped = run.blocked.as_ref().is_some_and(|blocked| &*blocked.plugin == plugin);
    let mut about = vec![
        KeyValue::new("plugin.name", plugin),
        KeyValue::new("plugin.hook.type", hook),
        KeyValue::new("plugin.had_violation", violation),
        KeyValue::new("plugin.modified_payload", status == Ended::Change),
        KeyValue::new("plugin.continue_processing", !stopped),
        KeyValue::new("plugin.stopped_chain", stopped),
        KeyValue::new("mortise.status", status.word()),
    ];
    if status == Ended::Error {
        about.push(KeyValue::new("error.type", "plugin_error"));
    }
    about
}

fn short(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
