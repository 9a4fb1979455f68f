//! What is to be said of a request when it is over: to metrics, budgets, records and explanations.
//!
//! Goes with the request from its start into the body of its answer, and says everything when it is dropped, wherever
//! that is: at the end, or where the client left.
//!
//! Usage is read from the answer in passing. Of a stream that nobody takes apart, the beginning and the end are kept and
//! read when it is over: that is where vendors say it.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use mortise_llm::{
    meter::{Meter, Usage, estimate_body},
    shape::Shape,
    stream::{Decoder, Frame, Framing},
};
use mortise_plugin_api::{
    Hook, HookId, Request,
    hooks::{RecordAnalytics, RecordBudgetUsage, RecordProxyLog},
};
use serde_json::{Value, json};

use super::{
    LlmSurface,
    held::Held,
    ledger,
    metrics::Came,
    record::{Job, Wanted},
    table::{Llm, Terms},
};
use crate::{auth::Grant, mcp::Verdict, snapshot::Snapshot, trace::Followed};

/// What is kept of the beginning of a stream, and of its end.
const EDGE: usize = 16 << 10;

/// Largest event of a stream that is read in passing.
const LARGEST_EVENT: usize = 8 << 20;

/// What is said of a request when it is over.
pub(super) struct Account {
    pub(super) surface: Arc<LlmSurface>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) request: Arc<Request>,
    pub(super) followed: Option<Followed>,
    pub(super) llm: Option<Arc<Llm>>,
    pub(super) terms: Option<Arc<Terms>>,
    /// What app and LLM are held to.
    pub(super) held: Held,
    pub(super) model: Option<Arc<str>>,
    pub(super) shape: Shape,
    method: Method,
    path: String,
    began: Instant,
    first: Option<Duration>,
    status: Option<StatusCode>,
    came: Option<Came>,
    wanted: Wanted,
    /// The request's body as it went to the vendor.
    pub(super) asked: Bytes,
    answer: Answer,
    /// Set where somebody else takes the answer apart.
    meter: Option<Meter>,
}

/// What is kept of an answer.
enum Answer {
    Nothing,
    /// All of it, to a limit.
    Whole {
        pieces: Vec<Bytes>,
        bytes: usize,
        limit: usize,
    },
    /// The beginning and the end of a stream of events.
    Edges {
        head: BytesMut,
        tail: BytesMut,
        lines: u64,
    },
    /// A stream of another framing, which can only be read from its start.
    Frames(Box<(Decoder, Meter)>),
}

impl Account {
    pub(super) fn new(
        surface: &Arc<LlmSurface>,
        snapshot: &Arc<Snapshot>,
        request: Arc<Request>,
        grant: Option<&Grant>,
        followed: Option<Followed>,
        (method, path): (Method, &str),
    ) -> Box<Self> {
        let terms = snapshot.llms.terms(grant, &request.caller, snapshot.access.authenticator.stored());
        let app = grant.and_then(|grant| grant.app.as_ref()).map(|app| app.name.as_str());
        let app = app.or(request.caller.app.as_deref());
        Box::new(Self {
            surface: surface.clone(),
            held: Held::new(&surface.ledger, app.zip(terms.as_ref().map(|terms| terms.limits))),
            terms,
            wanted: Wanted::by(snapshot, surface.kept()),
            snapshot: snapshot.clone(),
            request,
            followed,
            llm: None,
            model: None,
            shape: Shape::Other,
            method,
            path: path.to_owned(),
            began: Instant::now(),
            first: None,
            status: None,
            came: None,
            asked: Bytes::new(),
            answer: Answer::Nothing,
            meter: None,
        })
    }

    /// Whether the caller may use an LLM.
    pub(super) fn may_use(&self, llm: &str) -> bool {
        let listed = self.terms.as_ref().and_then(|terms| terms.llms.as_ref());
        listed.is_none_or(|listed| listed.contains(llm))
    }

    /// Says what the request came to.
    pub(super) fn came(&mut self, came: Came) {
        self.came = Some(came);
    }

    /// Says that the answer has begun.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Keeps what comes of the answer as far as it is needed; `whole` says that all of it is.
    pub(super) fn keep(&mut self, framing: Option<Framing>, whole: bool) {
        let limit = self.snapshot.llms.max_bytes;
        self.answer = match framing {
            _ if whole || self.wanted.log => Answer::Whole { pieces: Vec::new(), bytes: 0, limit },
            None => Answer::Whole { pieces: Vec::new(), bytes: 0, limit },
            Some(Framing::Sse) => Answer::Edges { head: BytesMut::new(), tail: BytesMut::new(), lines: 0 },
            Some(framing) => {
                Answer::Frames(Box::new((Decoder::new(framing, LARGEST_EVENT), Meter::new(self.shape))))
            }
        };
    }

    /// Says that somebody else reads the answer, and has this of it.
    pub(super) fn metered(&mut self, meter: Meter) {
        self.meter = Some(meter);
    }

    /// Takes a piece of the answer's body.
    pub(super) fn chunk(&mut self, data: &Bytes) {
        self.first_byte();
        match &mut self.answer {
            Answer::Nothing => {}
            Answer::Whole { pieces, bytes, limit } => {
                *bytes += data.len();
                if *bytes <= *limit {
                    pieces.push(data.clone());
                }
            }
            Answer::Edges { head, tail, lines } => {
                *lines += data.iter().filter(|byte| **byte == b'\n').count() as u64;
                let room = EDGE - head.len().min(EDGE);
                let (first, rest) = data.split_at(room.min(data.len()));
                head.extend_from_slice(first);
                let rest = &rest[rest.len().saturating_sub(EDGE)..];
                if tail.len() + rest.len() > 2 * EDGE {
                    let surplus = tail.len().saturating_sub(EDGE);
                    let _older = tail.split_to(surplus);
                }
                tail.extend_from_slice(rest);
            }
            Answer::Frames(reader) => {
                let (decoder, meter) = &mut **reader;
                let mut frames = Vec::new();
                // What cannot be read is the client's matter; here it only is not counted.
                let _ = decoder.feed(data, &mut frames);
                frames.iter().for_each(|frame| meter.frame(frame));
            }
        }
    }

    /// Notes that the first byte of the answer's body is there.
    pub(super) fn first_byte(&mut self) {
        if self.first.is_none() {
            let took = self.began.elapsed();
            self.first = Some(took);
            if let Some(llm) = &self.llm {
                llm.metrics.began(took);
            }
        }
    }

    /// All that was kept of the answer.
    pub(super) fn whole(&self) -> Bytes {
        match &self.answer {
            Answer::Whole { pieces, .. } => match &pieces[..] {
                [one] => one.clone(),
                pieces => pieces.concat().into(),
            },
            Answer::Edges { head, tail, .. } => [&head[..], &tail[..]].concat().into(),
            _ => Bytes::new(),
        }
    }

    /// What the answer says of itself; and how many events it had, where that is all that is known.
    fn read(&mut self) -> (Meter, u64) {
        if let Some(meter) = self.meter.take() {
            return (meter, 0);
        }
        let mut meter = Meter::new(self.shape);
        match std::mem::replace(&mut self.answer, Answer::Nothing) {
            Answer::Nothing => {}
            Answer::Frames(reader) => return (reader.1, 0),
            Answer::Edges { head, tail, lines } => {
                events(&head, &mut meter);
                // The tail goes on where the head ended, or begins within an event.
                let from = tail.windows(2).position(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
                events(tail.get(from..).unwrap_or_default(), &mut meter);
                return (meter, lines / 2);
            }
            Answer::Whole { pieces, .. } => {
                let whole: Bytes = match &pieces[..] {
                    [one] => one.clone(),
                    pieces => pieces.concat().into(),
                };
                let is_stream =
                    whole.starts_with(b"data:") || whole.starts_with(b"event:") || whole.starts_with(b":");
                if is_stream {
                    events(&whole, &mut meter);
                } else {
                    meter.body(&whole);
                }
                self.answer = Answer::Whole { bytes: whole.len(), limit: 0, pieces: vec![whole] };
            }
        }
        (meter, 0)
    }

    fn usage(&self, meter: &Meter, events: u64) -> Usage {
        if let Some(usage) = meter.usage() {
            return usage;
        }
        if !self.status.is_some_and(|status| status.is_success()) || !self.shape.generates() {
            return Usage::default();
        }
        Usage {
            input: estimate_body(&self.asked),
            output: meter.text_tokens().max(events),
            ..Usage::default()
        }
    }

    fn settle(&mut self) {
        let took = self.began.elapsed();
        let came = self.came.unwrap_or(Came::Cancelled);
        if let Some(llm) = self.llm.take() {
            let (meter, events) = self.read();
            let usage = self.usage(&meter, events);
            let model = self.model.as_deref().or(meter.model()).unwrap_or_default();
            let cost = llm.cost(model, &usage, &self.surface.storage.prices());
            let micros = cost.map_or(0, |cost| cost.0 / 1_000_000);
            llm.metrics.ended(came, took);
            llm.metrics.used(usage.input, usage.output, micros);
            let reached = self.status.is_some_and(|status| status.is_success());
            let spent = (usage, cost.unwrap_or_default());
            self.held.settle(&self.surface, &self.request, &llm, spent, (reached, self.wanted.sums));
            if self.wanted.any() {
                let units = cost.map(mortise_llm::price::Cost::units);
                self.record(&llm, &meter, usage, units, came, took);
            }
        }
        if let Some(mut followed) = self.followed.take() {
            let verdict = match came {
                Came::Ok => Some(Verdict::Ok),
                Came::Blocked => Some(Verdict::Blocked),
                Came::Error | Came::TimedOut | Came::Refused => Some(Verdict::Error),
                Came::Cancelled => None,
            };
            if let Some(verdict) = verdict {
                followed.came_to(verdict);
            }
            followed.end(&self.request);
        }
    }

    fn record(&self, llm: &Llm, meter: &Meter, usage: Usage, cost: Option<f64>, came: Came, took: Duration) {
        let caller = &self.request.caller;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let common = json!({
            "request_id": &*self.request.id, "timestamp": now, "app": caller.app, "user": caller.user,
            "tenant": caller.tenant, "llm": &*llm.name, "vendor": llm.vendor().name(),
            "model": self.model.as_deref().or(meter.model()), "status": self.status.map(|status| status.as_u16()),
            "outcome": came.word(), "duration_ms": millis(took),
        });
        let with = |more: Value| {
            let mut record = common.clone();
            if let (Value::Object(record), Value::Object(more)) = (&mut record, more) {
                record.extend(more);
            }
            record
        };
        let mut records: Vec<(HookId, Value)> = Vec::new();
        if self.wanted.log {
            let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
            records.push((
                RecordProxyLog::ID,
                with(json!({
                    "method": self.method.as_str(), "path": self.path, "request_body": text(&self.asked),
                    "response_body": text(&self.whole()),
                })),
            ));
        }
        let reached = self.status.is_some_and(|status| status.is_success());
        let tokens = json!({
            "input_tokens": usage.input, "output_tokens": usage.output, "total_tokens": usage.total(),
            "cache_read_prompt_tokens": usage.cache_read, "cache_write_prompt_tokens": usage.cache_write,
            "reasoning_tokens": usage.reasoning, "estimated": meter.usage().is_none(),
            "cost": cost.unwrap_or(0.0), "currency": "USD",
        });
        if self.wanted.analytics && reached {
            let mut record = with(tokens.clone());
            record["first_byte_ms"] = self.first.map(millis).into();
            record["choices"] = meter.choices().into();
            record["tool_calls"] = meter.tool_calls().into();
            record["finish_reason"] = meter.finish().map(mortise_llm::meter::Finish::word).into();
            records.push((RecordAnalytics::ID, record));
        }
        if self.wanted.budget && reached {
            let mut record = with(tokens);
            record["tokens_used"] = usage.total().into();
            record["requests_count"] = 1.into();
            let reset = self.terms.as_ref().map_or(1, |terms| terms.limits.reset);
            let (from, to) = ledger::period(reset);
            record["period_start"] = from.into();
            record["period_end"] = to.into();
            records.push((RecordBudgetUsage::ID, record));
        }
        if !records.is_empty() {
            let (snapshot, request) = (self.snapshot.clone(), self.request.clone());
            self.surface.recorder.put(Job { snapshot, request, records });
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.settle();
    }
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

/// Reads what whole events there are.
fn events(bytes: &[u8], meter: &mut Meter) {
    let mut frames: Vec<Frame> = Vec::new();
    let mut decoder = Decoder::new(Framing::Sse, LARGEST_EVENT);
    let _unread = decoder.feed(bytes, &mut frames);
    frames.iter().for_each(|frame| meter.frame(frame));
}
