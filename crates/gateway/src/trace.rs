//! What became of calls, for whoever wants to know: the explanations that are kept, recordings, spans.
//!
//! A `Call` follows one request from the edge to its end and gathers what is known of it; what happens at hooks is
//! gathered beside it by the framework's [`Trace`]. When the request is over, whichever way, and its last post hook has
//! run, both come together as a [`FinishedCall`], which is shown to every [`CallObserver`] and then kept for explanations.
//!
//! On a call's path this costs an allocation or two, a few readings of the clock and no formatting; with
//! `explain.keep: 0` and no observer it costs a comparison.

mod difference;
mod kept;
pub mod recording;
pub mod shown;

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use http::StatusCode;
use mortise_framework::{Contexts, Happened, Trace, pipeline::trace::Observer};
use mortise_plugin_api::Request;

use crate::{
    config::ExplainConfig,
    mcp::Verdict,
    snapshot::Snapshot,
    spans::{Spans, TraceContext},
};
use kept::Kept;
use recording::Recordings;

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// It was answered.
    Ok,
    /// A plugin blocked it.
    Blocked,
    /// It was answered with an error.
    Error,
    /// The client left before there was an answer.
    Cancelled,
    /// It was refused at the edge: by a plugin, or since it is not known who calls.
    Refused,
}

impl CallOutcome {
    /// A stable word: `ok`, `blocked`, `error`, `cancelled`, `refused`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Blocked => "blocked",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
        }
    }
}

/// One attempt to have a call answered.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Who was asked.
    pub upstream: Arc<str>,
    /// When, from the beginning of the call.
    pub at: Duration,
    /// How long it took to the head of an answer.
    pub took: Duration,
    /// The status of the answer, or why there was none: `timeout`, `unreachable`, `blocked`.
    pub came: Cow<'static, str>,
}

/// A call that is over.
#[derive(Clone)]
pub struct FinishedCall {
    /// The request as plugins knew it at its end: id, caller, upstream.
    pub request: Arc<Request>,
    /// The MCP method; empty where it was refused before that was known.
    pub method: Cow<'static, str>,
    /// Name of the tool or prompt, or URI of the resource, as the client gave it.
    pub subject: Option<Arc<str>>,
    /// What it came to.
    pub outcome: CallOutcome,
    /// The HTTP status of a call that was refused at the edge.
    pub status: Option<StatusCode>,
    /// When it began, for differences to what happened at hooks.
    pub began: Instant,
    /// When it began, for people.
    pub started: SystemTime,
    /// Time to its end.
    pub took: Duration,
    /// Time that upstreams took, all attempts together.
    pub upstream: Duration,
    /// When an upstream was first asked; `None` where none was.
    pub upstream_began: Option<Instant>,
    /// Every attempt, where the first one was not all.
    pub attempts: Option<Box<[Attempt]>>,
    /// The trace it belongs to, where it belongs to one.
    pub context: Option<Arc<TraceContext>>,
    /// Number of the configuration it was served by.
    pub snapshot: u64,
    /// What happened at hooks.
    pub happened: Happened,
}

impl FinishedCall {
    /// The plugin that served it at last, in the upstream's place.
    #[must_use]
    pub fn served_by(&self) -> Option<&Arc<str>> {
        let runs = &self.happened.runs;
        let at = runs.iter().rposition(|run| run.served().is_some())?;
        // A call that is tried again is served, or not, anew: what counts is the attempt whose answer went out.
        let is_last = runs[at + 1..].iter().all(|later| later.hook != runs[at].hook);
        runs[at].served().filter(|_| is_last).map(|execution| self.happened.plugin(execution))
    }
}

/// Whoever is shown every call that is over.
pub trait CallObserver: Send + Sync {
    /// Looks at a call. Runs where calls are answered: it takes what it needs and works on that elsewhere.
    fn finished(&self, call: &FinishedCall);
}

/// All calls: who observes them, and what is kept of the last.
#[derive(Default)]
pub struct Calls {
    observers: ArcSwap<Vec<Arc<dyn CallObserver>>>,
    kept: Kept,
    recordings: Recordings,
    spans: OnceLock<Arc<Spans>>,
}

impl Calls {
    /// Has requests that begin from now on traced.
    pub(crate) fn trace_with(&self, spans: Arc<Spans>) {
        let _ = self.spans.set(spans);
    }

    /// What requests are traced with, where they are.
    #[inline]
    pub(crate) fn spans(&self) -> Option<&Arc<Spans>> {
        self.spans.get()
    }

    /// Shows every call that ends from now on to `observer` too.
    pub fn observe(&self, observer: &Arc<dyn CallObserver>) {
        self.observers.rcu(|now| {
            let mut next = Vec::clone(now);
            next.push(observer.clone());
            next
        });
    }

    /// Shows it no more calls.
    pub fn forget(&self, observer: &Arc<dyn CallObserver>) {
        let other = |known: &&Arc<dyn CallObserver>| !Arc::ptr_eq(known, observer);
        self.observers.rcu(|now| now.iter().filter(other).cloned().collect::<Vec<_>>());
    }

    /// The last calls, the newest first.
    #[must_use]
    pub fn last(&self) -> Vec<Arc<FinishedCall>> {
        self.kept.all()
    }

    /// Recordings that are under way.
    #[must_use]
    pub fn recordings(&self) -> &Recordings {
        &self.recordings
    }

    /// Follows a request from here on, where anybody wants to know; what happens at hooks under `contexts` is part of it.
    #[inline]
    pub(crate) fn follow(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        contexts: &mut Contexts,
        context: Option<&Arc<TraceContext>>,
    ) -> Option<Following> {
        let explain = snapshot.access.explain;
        let traced = context.is_some_and(|context| context.own.is_some());
        if explain.keep == 0 && !traced && self.observers.load().is_empty() {
            return None;
        }
        let call = Arc::new(Call {
            calls: self.clone(),
            explain,
            began: Instant::now(),
            snapshot: snapshot.number,
            context: context.cloned(),
            facts: Mutex::default(),
        });
        let trace = Trace::new(&snapshot.pipelines, call.clone());
        contexts.set_trace(trace.clone());
        Some(Following { call, trace })
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("kept", &self.kept).finish_non_exhaustive()
    }
}

/// A request that is followed. Whoever holds it has yet to say what the request came to: nothing is over before it is
/// dropped.
pub(crate) struct Following {
    call: Arc<Call>,
    #[expect(dead_code, reason = "held for its end")]
    trace: Arc<Trace>,
}

impl Following {
    /// Says that the request was refused at the edge.
    pub(crate) fn refused(&self, request: Request, status: StatusCode) {
        self.call.refused(request, status);
    }
}

/// What is known of a request that is under way.
struct Call {
    calls: Arc<Calls>,
    explain: ExplainConfig,
    began: Instant,
    snapshot: u64,
    context: Option<Arc<TraceContext>>,
    /// Said once, at the request's end.
    facts: Mutex<Option<Facts>>,
}

struct Facts {
    request: Arc<Request>,
    method: Cow<'static, str>,
    subject: Option<Arc<str>>,
    outcome: CallOutcome,
    status: Option<StatusCode>,
    ended: SystemTime,
    took: Duration,
    upstream: Duration,
    upstream_began: Option<Instant>,
    attempts: Option<Box<[Attempt]>>,
}

impl Call {
    fn refused(&self, request: Request, status: StatusCode) {
        self.say(Facts {
            request: Arc::new(request),
            method: "".into(),
            subject: None,
            outcome: CallOutcome::Refused,
            status: Some(status),
            ended: SystemTime::now(),
            took: self.began.elapsed(),
            upstream: Duration::ZERO,
            upstream_began: None,
            attempts: None,
        });
    }

    fn say(&self, facts: Facts) {
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = Some(facts);
    }
}

impl Observer for Call {
    fn ended(&self, happened: Happened) {
        // Of what was no request, nothing is said.
        let Some(facts) = self.facts.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let Facts { request, method, subject, outcome, status, ended, took, .. } = facts;
        let Facts { upstream, upstream_began, attempts, .. } = facts;
        // What strangers are refused for want of a token would only push others' calls out.
        if outcome == CallOutcome::Refused && happened.runs.is_empty() {
            return;
        }
        let call = FinishedCall {
            request,
            method,
            subject,
            outcome,
            status,
            began: self.began,
            started: ended.checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH),
            took,
            upstream,
            upstream_began,
            attempts,
            context: self.context.clone(),
            snapshot: self.snapshot,
            happened,
        };
        if let Some(own) = call.context.as_ref().and_then(|context| context.own.as_ref()) {
            own.take(&call);
        }
        for observer in &**self.calls.observers.load() {
            observer.finished(&call);
        }
        if self.explain.keep > 0 {
            self.calls.kept.keep(call, self.explain);
        }
    }
}

/// Longest name of a method or thing that is kept, in bytes: a client chooses it.
const LONGEST: usize = 512;

fn bounded(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST)]
}

/// What a request of the MCP surface says of itself while it is answered; on its end, dropped or not, it is said to the
/// [`Call`].
pub(crate) struct Followed {
    following: Following,
    method: Cow<'static, str>,
    subject: Option<Arc<str>>,
    verdict: Option<Verdict>,
    upstream: std::sync::atomic::AtomicU64,
    upstream_began: OnceLock<Instant>,
    attempts: Vec<Attempt>,
}

impl Followed {
    pub(crate) fn new(following: Following, method: &str) -> Self {
        use mortise_mcp::envelope::method as known;
        let method = match method {
            known::TOOLS_CALL => Cow::Borrowed(known::TOOLS_CALL),
            other => Cow::Owned(bounded(other).to_owned()),
        };
        let upstream_began = OnceLock::new();
        let attempts = Vec::new();
        Self { following, method, subject: None, verdict: None, upstream: 0.into(), upstream_began, attempts }
    }

    /// Says what it is about.
    pub(crate) fn about(&mut self, subject: &str) {
        self.subject = Some(bounded(subject).into());
    }

    /// Says what it came to.
    pub(crate) fn came_to(&mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }

    /// Adds the time of an upstream that was asked then and has answered now.
    pub(crate) fn upstream_took(&self, began: Instant) {
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.upstream.fetch_add(nanos, std::sync::atomic::Ordering::Relaxed);
        let _earlier_attempt = self.upstream_began.set(began);
    }

    /// Adds an attempt that began then and has come to this; of a first one that was answered nothing need be said.
    pub(crate) fn attempted(&mut self, upstream: &Arc<str>, began: Instant, came: Cow<'static, str>) {
        let at = began.saturating_duration_since(self.following.call.began);
        self.attempts.push(Attempt { upstream: upstream.clone(), at, took: began.elapsed(), came });
    }

    /// Whether an attempt was told of.
    pub(crate) fn has_attempts(&self) -> bool {
        !self.attempts.is_empty()
    }

    /// Says all that is known.
    pub(crate) fn end(self, request: &Arc<Request>) {
        let call = &self.following.call;
        call.say(Facts {
            request: request.clone(),
            method: self.method,
            subject: self.subject,
            outcome: match self.verdict {
                Some(Verdict::Ok) => CallOutcome::Ok,
                Some(Verdict::Blocked) => CallOutcome::Blocked,
                Some(Verdict::Error) => CallOutcome::Error,
                None => CallOutcome::Cancelled,
            },
            status: None,
            ended: SystemTime::now(),
            took: call.began.elapsed(),
            upstream: Duration::from_nanos(self.upstream.into_inner()),
            upstream_began: self.upstream_began.into_inner(),
            attempts: (!self.attempts.is_empty()).then(|| self.attempts.into()),
        });
    }
}
