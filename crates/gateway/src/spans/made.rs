//! Spans made of a call that is over: one for the request, one for the upstream, one for each run of a hook, and one
//! for each plugin that ran there.
//!
//! Names and attributes are those of OpenTelemetry's conventions for MCP where there are some, and for hooks and
//! plugins those that ContextForge's own spans have, so that who watches one can watch the other. No payload, no argument
//! and no secret is among them. When a plugin began is not noted on the path of a call: plugins of a run are laid out one
//! after another, which is how they run but for those that run at the same time.

use std::{
    ops::Range,
    time::{Duration, Instant, SystemTime},
};

use mortise_framework::{Status as Ended, pipeline::trace::HookRun};
use mortise_mcp::envelope::method;
use mortise_plugin_api::HookTable;
use mortise_telemetry::redact;

use super::{
    context::{SpanId, TraceContext, new_span},
    write::{Frame, Span, kind, span},
};
use crate::{
    endpoints,
    trace::{CallOutcome, FinishedCall},
};

/// Longest text of an attribute that comes from outside, in bytes.
const LONGEST: usize = 256;

/// How many spans a call comes to.
pub(super) fn count(call: &FinishedCall) -> u64 {
    let of_hooks: usize = call.happened.runs.iter().map(|run| 1 + run.executions.len()).sum();
    (1 + usize::from(call.upstream_began.is_some()) + of_hooks) as u64
}

/// Writes the spans of a call behind what `out` has.
pub(super) fn write(call: &FinishedCall, hooks: &HookTable, out: &mut Vec<u8>) {
    let Some(context) = &call.context else { return };
    let Some(own) = &context.own else { return };
    let mut spans = Spans {
        context,
        began: call.began,
        started: call.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
        out,
    };
    let ids = (&own.span, context.parent.as_ref());
    spans.add(kind::SERVER, ids, &name(call), (call.began, call.took), |span| about_request(span, call));
    if let Some(began) = call.upstream_began {
        let ids = (&own.upstream, Some(&own.span));
        spans.add(kind::CLIENT, ids, &[&*call.method], (began, call.upstream), |span| {
            if call.method != endpoints::METHOD {
                span.text("mcp.method.name", &call.method);
            }
            if let Some(name) = &call.request.upstream {
                span.text("mortise.upstream", name);
            }
        });
    }
    for run in &call.happened.runs {
        let hook = hooks.spec(run.hook).map_or("", |spec| &*spec.name);
        let chain = new_span();
        let ids = (&chain, Some(&own.span));
        spans.add(kind::INTERNAL, ids, &["plugin.hook.invoke"], (run.began, run.took), |span| {
            about_run(span, run, hook);
        });
        let mut cursor = run.began;
        let mut alike = None;
        for execution in &run.executions {
            let took = Duration::from_nanos(execution.took_ns.into());
            // What ran at the same time as others would end after all of them.
            let latest = (run.began + run.took).checked_sub(took).unwrap_or(run.began).max(run.began);
            let began = cursor.min(latest);
            cursor = began + took;
            let plugin = call.happened.plugin(execution);
            let ids = (&new_span(), Some(&chain));
            spans.add(kind::INTERNAL, ids, &["plugin.execute.", plugin], (began, took), |span| {
                let stopped = run.blocked.as_ref().is_some_and(|blocked| blocked.plugin == *plugin);
                about_plugin(span, plugin, hook, (execution.status, stopped), &mut alike);
            });
        }
    }
}

/// The spans of one call.
struct Spans<'a> {
    context: &'a TraceContext,
    began: Instant,
    /// When the call began, since the beginning of 1970.
    started: Duration,
    out: &'a mut Vec<u8>,
}

impl Spans<'_> {
    fn add(
        &mut self,
        kind: u64,
        (id, parent): (&SpanId, Option<&SpanId>),
        name: &[&str],
        (began, took): (Instant, Duration),
        about: impl FnOnce(&mut Span<'_>),
    ) {
        let frame = Frame {
            trace: &self.context.trace,
            id,
            parent,
            state: self.context.state(),
            flags: self.context.flags(),
            kind,
            name,
            start: self.started.saturating_add(began.saturating_duration_since(self.began)),
            took,
        };
        span(self.out, &frame, about);
    }
}

/// Method and target, where the target is one there is: names that clients make up would be names without number.
fn name(call: &FinishedCall) -> [&str; 3] {
    let named = matches!(&*call.method, method::TOOLS_CALL | method::PROMPTS_GET);
    match &call.subject {
        _ if call.method.is_empty() => ["mcp", "", ""],
        Some(subject) if named && call.request.upstream.is_some() => {
            [short(&call.method), " ", short(subject)]
        }
        _ => [short(&call.method), "", ""],
    }
}

fn about_request(span: &mut Span<'_>, call: &FinishedCall) {
    let request = &call.request;
    span.text("mortise.request.id", &request.id);
    span.text("mortise.outcome", call.outcome.word());
    if let Some(operation) = call.method.strip_prefix("llm/") {
        about_model(span, operation, call.subject.as_deref());
    } else if !call.method.is_empty() && call.method != endpoints::METHOD {
        span.text("mcp.method.name", short(&call.method));
    }
    if let Some(subject) = call.subject.as_ref().filter(|_| !call.method.starts_with("llm/")) {
        match &*call.method {
            method::TOOLS_CALL => span.text("gen_ai.tool.name", short(subject)),
            method::PROMPTS_GET => span.text("gen_ai.prompt.name", short(subject)),
            endpoints::METHOD => {
                let (verb, path) = subject.split_once(' ').unwrap_or(("", subject));
                span.text("http.request.method", verb);
                span.text("url.path", short(path));
            }
            _ => span.text("mcp.resource.uri", short(&redact::url(subject))),
        }
    }
    if let Some(server) = &request.server_id {
        span.text("mortise.server", short(server));
    }
    if let Some(upstream) = &request.upstream {
        span.text("mortise.upstream", upstream);
    }
    if let Some(app) = &request.caller.app {
        span.text("mortise.app", short(app));
    }
    if let Some(status) = call.status {
        span.count("http.response.status_code", status.as_u16().into());
    }
    let blocked = call.happened.runs.iter().find_map(|run| run.blocked.as_ref());
    if let Some(blocked) = blocked {
        span.text("mortise.blocked_by", &blocked.plugin);
        span.text("mortise.violation_code", short(&blocked.violation.code));
    }
    if let Some(plugin) = call.served_by() {
        span.text("mortise.served_by", plugin);
    }
    if let Some(failure) = failure(call) {
        span.text("error.type", call.outcome.word());
        span.error(failure);
    }
}

/// What was asked of which model, in OpenTelemetry's words for it.
fn about_model(span: &mut Span<'_>, operation: &str, subject: Option<&str>) {
    span.text(
        "gen_ai.operation.name",
        match operation {
            "messages" | "responses" | "converse" => "chat",
            "completions" => "text_completion",
            "generate" => "generate_content",
            other => other,
        },
    );
    let (llm, model) = subject.map_or((None, None), |subject| match subject.split_once('/') {
        Some((llm, model)) => (Some(llm), Some(model)),
        None => (Some(subject), None),
    });
    for (name, value) in [("mortise.llm", llm), ("gen_ai.request.model", model)] {
        if let Some(value) = value {
            span.text(name, short(value));
        }
    }
}

/// A call that a plugin blocked did what it was meant to.
fn failure(call: &FinishedCall) -> Option<&'static str> {
    match call.outcome {
        CallOutcome::Error => Some("answered with an error"),
        CallOutcome::Cancelled => Some("the client left"),
        CallOutcome::Ok | CallOutcome::Blocked | CallOutcome::Refused => None,
    }
}

fn about_run(span: &mut Span<'_>, run: &HookRun, hook: &str) {
    span.text("plugin.hook.type", hook);
    span.count("plugin.executed_count", run.executions.len());
    span.truth("plugin.chain.stopped", run.blocked.is_some());
    if let Some(blocked) = &run.blocked {
        span.text("plugin.chain.stopped_by", &blocked.plugin);
    }
    if !run.finished {
        span.truth("mortise.cancelled", true);
    }
}

/// What a plugin came to: its status, and whether it stopped the chain.
type Ending = (Ended, bool);

/// `alike` is where the attributes stand that follow from how a plugin of the same run ended: most end alike, and what
/// is written already is copied.
fn about_plugin(
    span: &mut Span<'_>,
    plugin: &str,
    hook: &str,
    ending: Ending,
    alike: &mut Option<(Ending, Range<usize>)>,
) {
    span.text("plugin.name", plugin);
    match alike {
        Some((other, written)) if *other == ending => span.again(written.clone()),
        _ => {
            let from = span.written();
            about_ending(span, hook, ending);
            *alike = Some((ending, from..span.written()));
        }
    }
}

fn about_ending(span: &mut Span<'_>, hook: &str, (status, stopped): Ending) {
    let violation = matches!(status, Ended::Block | Ended::WouldBlock);
    span.text("plugin.hook.type", hook);
    span.truth("plugin.had_violation", violation);
    span.truth("plugin.modified_payload", status == Ended::Change);
    span.truth("plugin.continue_processing", !stopped);
    span.truth("plugin.stopped_chain", stopped);
    span.text("mortise.status", status.word());
    if status == Ended::Error {
        span.text("error.type", "plugin_error");
        span.error("the plugin gave no answer");
    }
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}
