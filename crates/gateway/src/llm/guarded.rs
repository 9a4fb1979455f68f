//! Answers that plugins look at: whole ones, and streams in windows, held until they are whole, or when they are over.
//!
//! A stream is taken apart event by event only where a plugin takes windows of it or must see it whole. Who only looks
//! is shown it afterwards, in the background, and the stream goes out as it comes.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::BodyExt;
use mortise_framework::{Blocked, Lane, Outcome, Pair, Streamed};
use mortise_llm::{
    assemble::Assembler,
    fault::{Fault, FaultKind},
    meter::Meter,
    stream::{Decoder, Frame, Framing},
    text::{Channel, Event, TextKind, Texts, escaped},
};
use mortise_mcp_transport::{http::pool::PooledBody, server::answer::AnswerBody};
use mortise_plugin_api::{End, Headers, Json, Payload, Revision, hooks::llm::LlmInputPayload, hooks::llm::LlmOutputPayload};

use super::{
    account::Account,
    generated::{Generated, Pieces},
    headers,
    metrics::Came,
    passing::Passing,
    refusal,
    table::Llm,
};
use crate::snapshot::Plugins;

/// Largest event of a stream that is taken apart.
const LARGEST_EVENT: usize = 8 << 20;

/// What hooks after an answer are shown where there is none.
pub(super) fn substitute(asked: &dyn Payload, _: End) -> Box<dyn Payload> {
    let asked = asked.as_any().downcast_ref::<LlmInputPayload>();
    Box::new(LlmOutputPayload {
        llm: asked.map(|asked| asked.llm.clone()).unwrap_or_default(),
        vendor: asked.map(|asked| asked.vendor.clone()).unwrap_or_default(),
        model: asked.and_then(|asked| asked.model.clone()),
        status_code: None,
        headers: Headers::new(),
        streamed: false,
        body: Json::null(),
    })
}

/// An answer's head, and what it answers.
pub(super) struct Answered {
    pub(super) llm: Arc<Llm>,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Option<Framing>,
}

impl Answered {
    fn payload(&self, account: &Account, body: Json) -> LlmOutputPayload {
        LlmOutputPayload {
            llm: self.llm.name.to_string(),
            vendor: self.llm.vendor().name().to_owned(),
            model: account.model.as_deref().map(str::to_owned),
            status_code: Some(self.status.as_u16()),
            headers: headers::shown(&self.headers),
            streamed: self.framing.is_some(),
            body,
        }
    }

    /// The answer with this body.
    pub(super) fn response(self, body: AnswerBody) -> Response<AnswerBody> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    /// The same with a body that is another one than the vendor's.
    fn rewritten(mut self, body: AnswerBody) -> Response<AnswerBody> {
        self.headers.remove(header::CONTENT_LENGTH);
        self.response(body)
    }

    /// What plugins left of it, if they changed it.
    fn changed(&mut self, before: &LlmOutputPayload, outcome: &Outcome) -> Option<Bytes> {
        let revision = outcome.changed.as_ref()?;
        let changed = revision.get::<LlmOutputPayload>()?;
        headers::change(&mut self.headers, &before.headers, &changed.headers);
        for (name, _) in before.headers.iter().filter(|(name, _)| changed.headers.get(name).is_none()) {
            if name != "content-type" || changed.headers.is_empty() {
                self.headers.remove(name);
            }
        }
        Some(changed.body.text().clone())
    }
}

/// Who looks at a stream when it is over.
pub(super) struct Watched {
    pair: Pair<Plugins>,
    head: LlmOutputPayload,
    observed: bool,
}

impl Watched {
    /// Ends the pair of hooks; those who look do so in the background.
    pub(super) fn over(self: Box<Self>, end: End, account: &mut Account) {
        let Self { pair, mut head, observed } = *self;
        if !observed {
            drop(pair.into_contexts());
            return;
        }
        head.body = Json::assume_valid(account.whole());
        tell(pair, head, end, account);
    }
}

fn tell(mut pair: Pair<Plugins>, answer: LlmOutputPayload, end: End, account: &Account) {
    let told = account.snapshot.pipelines.background().spawn(async move {
        pair.completed(end, Revision::new(Box::new(answer))).await;
    });
    if !told {
        tracing::error!(request = &*account.request.id, "no room to show a stream to those who look at it");
    }
}

/// An answer on its way through the hooks after it.
pub(super) async fn through(
    mut pair: Pair<Plugins>,
    answered: Answered,
    mut account: Box<Account>,
    body: PooledBody,
) -> Response<AnswerBody> {
    let silence = answered.llm.settings.chunk_timeout;
    if answered.framing.is_none() {
        if pair.has_after() {
            return whole(pair, answered, account, body).await;
        }
        pair.failed(End::Ok).await;
        account.keep(None, false);
        return passing(answered, body, account, silence, None);
    }
    let head = answered.payload(&account, Json::null());
    let streamed = pair.streamed(Revision::new(Box::new(head.clone())));
    if streamed.is_held() || streamed.has_windows() {
        let guard = Guard::new(pair, streamed, head, &answered, account);
        return answered.rewritten(AnswerBody::Made(Box::pin(Generated::new(|pieces| guard.run(body, pieces)))));
    }
    account.keep(answered.framing, streamed.is_observed());
    let watched = Watched { pair, head, observed: streamed.is_observed() };
    passing(answered, body, account, silence, Some(Box::new(watched)))
}

/// An answer that goes out as it comes.
pub(super) fn passing(
    answered: Answered,
    body: PooledBody,
    mut account: Box<Account>,
    silence: Duration,
    watched: Option<Box<Watched>>,
) -> Response<AnswerBody> {
    if http_body::Body::is_end_stream(&body) {
        account.came(Came::Ok);
        if let Some(watched) = watched {
            watched.over(End::Ok, &mut account);
        }
        return answered.response(AnswerBody::Whole(None));
    }
    answered.response(AnswerBody::Made(Box::pin(Passing::new(body, account, silence, watched))))
}

/// Why a body was not read to its end.
enum Cut {
    TooLarge,
    Silent,
    Broken,
}

/// Reads a body whole, of at most `limit` bytes, no piece of which comes later than `silence` after the one before.
async fn read(mut body: PooledBody, limit: usize, silence: Duration) -> Result<Bytes, Cut> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    loop {
        let frame = match tokio::time::timeout(silence, body.frame()).await {
            Err(_) => return Err(Cut::Silent),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Cut::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit {
            return Err(Cut::TooLarge);
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// An answer that is no stream.
async fn whole(
    mut pair: Pair<Plugins>,
    mut answered: Answered,
    mut account: Box<Account>,
    body: PooledBody,
) -> Response<AnswerBody> {
    let family = answered.llm.family();
    let read = read(body, account.snapshot.llms.max_bytes, answered.llm.settings.chunk_timeout).await;
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(cut) => {
            let (end, came, kind, message) = match cut {
                Cut::Silent => (End::TimedOut, Came::TimedOut, FaultKind::Timeout, "the model's answer stopped coming"),
                Cut::Broken => (End::UpstreamFailed, Came::Error, FaultKind::Upstream, "the model's answer was cut off"),
                Cut::TooLarge => (
                    End::UpstreamFailed,
                    Came::Error,
                    FaultKind::Upstream,
                    "the model's answer is larger than what plugins may be shown",
                ),
            };
            pair.failed(end).await;
            account.came(came);
            return *refusal::refuse(family, kind, message);
        }
    };
    account.keep(None, false);
    account.chunk(&bytes);
    let shown = answered.payload(&account, Json::assume_valid(bytes.clone()));
    let outcome = pair.after(Revision::new(Box::new(shown.clone()))).await;
    if let Some(by) = &outcome.blocked {
        account.came(Came::Blocked);
        return *refusal::blocked(family, by, StatusCode::BAD_REQUEST);
    }
    account.came(Came::Ok);
    let changed = answered.changed(&shown, &outcome);
    headers::wished(&mut answered.headers, &outcome.response_headers());
    let bytes = changed.unwrap_or(bytes);
    answered.rewritten(AnswerBody::Whole((!bytes.is_empty()).then_some(bytes)))
}

/// A stream that is taken apart.
struct Guard {
    pair: Pair<Plugins>,
    streamed: Streamed,
    head: LlmOutputPayload,
    llm: Arc<Llm>,
    framing: Framing,
    account: Box<Account>,
    texts: Texts,
    lanes: Vec<(Channel, Lane)>,
    meter: Meter,
    /// What went out, for those who look at it afterwards.
    sent: Option<BytesMut>,
}

/// How a stream came to its end.
enum Over {
    Ended,
    Blocked(Box<Blocked>),
    Failed(Came, End, &'static str),
}

impl Guard {
    fn new(
        pair: Pair<Plugins>,
        streamed: Streamed,
        head: LlmOutputPayload,
        answered: &Answered,
        account: Box<Account>,
    ) -> Self {
        let shape = account.shape;
        Self {
            sent: streamed.is_observed().then(BytesMut::new),
            pair,
            streamed,
            head,
            llm: answered.llm.clone(),
            framing: answered.framing.unwrap_or(Framing::Sse),
            account,
            texts: Texts::new(shape),
            lanes: Vec::new(),
            meter: Meter::new(shape),
        }
    }

    async fn run(mut self, body: PooledBody, pieces: Pieces) {
        let over = if self.streamed.is_held() { self.held(body, &pieces).await } else { self.windows(body, &pieces).await };
        let (shape, framing) = (self.account.shape, self.framing);
        let (came, end, last) = match over {
            Over::Ended => (Came::Ok, End::Ok, Bytes::new()),
            Over::Blocked(by) => (Came::Blocked, End::Blocked, self.texts.refuse(&refusal::message(&by))),
            Over::Failed(came, end, message) => {
                let kind = if came == Came::TimedOut { FaultKind::Timeout } else { FaultKind::Upstream };
                (came, end, Fault::new(kind, message).event(shape, framing))
            }
        };
        self.out(&pieces, last).await;
        let Self { pair, mut head, mut account, meter, sent, .. } = self;
        account.came(came);
        account.metered(meter);
        match sent {
            Some(sent) => {
                head.body = Json::assume_valid(sent.freeze());
                tell(pair, head, end, &account);
            }
            None => drop(pair.into_contexts()),
        }
    }

    async fn out(&mut self, pieces: &Pieces, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let limit = self.account.snapshot.llms.max_bytes;
        if let Some(sent) = self.sent.as_mut().filter(|sent| sent.len() + bytes.len() <= limit) {
            sent.extend_from_slice(&bytes);
        }
        self.account.first_byte();
        pieces.send(bytes).await;
    }

    /// Leads the stream through windows.
    async fn windows(&mut self, mut body: PooledBody, pieces: &Pieces) -> Over {
        let silence = self.llm.settings.chunk_timeout;
        let mut decoder = Decoder::new(self.framing, LARGEST_EVENT);
        let mut frames = Vec::new();
        loop {
            let piece = next(&mut body, silence).await;
            let (data, over) = match piece {
                Ok(Some(data)) => (data, None),
                Ok(None) => (Bytes::new(), Some(Over::Ended)),
                Err(Cut::Silent) => {
                    (Bytes::new(), Some(Over::Failed(Came::TimedOut, End::TimedOut, "the model's answer stopped coming")))
                }
                Err(_) => {
                    (Bytes::new(), Some(Over::Failed(Came::Error, End::UpstreamFailed, "the model's answer was cut off")))
                }
            };
            let mut broken = decoder.feed(&data, &mut frames).is_err();
            if over.is_some() && !broken {
                match decoder.finish() {
                    Ok(last) => frames.extend(last),
                    Err(_) => broken = true,
                }
            }
            let mut bytes = BytesMut::new();
            for frame in frames.drain(..) {
                self.meter.frame(&frame);
                if let Err(by) = self.event(&frame, &mut bytes).await {
                    self.out(pieces, bytes.freeze()).await;
                    return Over::Blocked(by);
                }
            }
            if over.is_some() || broken {
                if let Err(by) = self.flush(|_| true, &mut bytes).await {
                    self.out(pieces, bytes.freeze()).await;
                    return Over::Blocked(by);
                }
            }
            self.out(pieces, bytes.freeze()).await;
            if broken {
                return Over::Failed(Came::Error, End::UpstreamFailed, "the model's answer cannot be read");
            }
            if let Some(over) = over {
                return over;
            }
        }
    }

    /// Leads one event through windows; what may go out is appended to `out`.
    async fn event(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), Box<Blocked>> {
        let event = self.texts.look(frame);
        if event.is_quiet() {
            out.extend_from_slice(frame.raw());
            return Ok(());
        }
        let closes = |channel: Channel| {
            event.closes(channel) && !event.deltas.iter().any(|delta| !delta.whole && delta.channel == channel)
        };
        self.flush(closes, out).await?;
        let mut texts = Vec::with_capacity(event.deltas.len());
        for (nth, delta) in event.deltas.iter().enumerate() {
            let text = if delta.whole {
                let mut lane = lane(delta.channel);
                self.pair.window(&mut self.streamed, &mut lane, &delta.text, true).await?
            } else {
                let last = event.closes(delta.channel) && is_last(&event, nth);
                let at = self.lane(delta.channel);
                let lane = &mut self.lanes[at].1;
                self.pair.window(&mut self.streamed, lane, &delta.text, last).await?
            };
            texts.push(Some(text));
        }
        out.extend_from_slice(&self.texts.write(frame, &event, &texts));
        Ok(())
    }

    fn lane(&mut self, channel: Channel) -> usize {
        if let Some(at) = self.lanes.iter().position(|(known, _)| *known == channel) {
            return at;
        }
        self.lanes.push((channel, lane(channel)));
        self.lanes.len() - 1
    }

    /// Decides on what is held of some channels, and lets it out.
    async fn flush(
        &mut self,
        which: impl Fn(Channel) -> bool,
        out: &mut BytesMut,
    ) -> Result<(), Box<Blocked>> {
        for at in 0..self.lanes.len() {
            let (channel, lane) = &mut self.lanes[at];
            if !lane.holds() || !which(*channel) {
                continue;
            }
            let text = self.pair.window(&mut self.streamed, lane, "", true).await?;
            if let Some(tail) = self.texts.tail(*channel, &text) {
                out.extend_from_slice(&tail);
            }
        }
        Ok(())
    }

    /// Holds the stream until it is whole, and lets it out as plugins left it.
    async fn held(&mut self, body: PooledBody, pieces: &Pieces) -> Over {
        let (limit, silence) = (self.account.snapshot.llms.max_bytes, self.llm.settings.chunk_timeout);
        let bytes = match read(body, limit, silence).await {
            Ok(bytes) => bytes,
            Err(cut) => {
                let (came, end, message) = match cut {
                    Cut::Silent => (Came::TimedOut, End::TimedOut, "the model's answer stopped coming"),
                    Cut::Broken => (Came::Error, End::UpstreamFailed, "the model's answer was cut off"),
                    Cut::TooLarge => {
                        (Came::Error, End::UpstreamFailed, "the model's answer is larger than what plugins may be shown")
                    }
                };
                self.pair.failed(end).await;
                return Over::Failed(came, end, message);
            }
        };
        let mut frames = Vec::new();
        let mut decoder = Decoder::new(self.framing, LARGEST_EVENT);
        if decoder.feed(&bytes, &mut frames).is_err() {
            self.pair.failed(End::UpstreamFailed).await;
            return Over::Failed(Came::Error, End::UpstreamFailed, "the model's answer cannot be read");
        }
        frames.extend(decoder.finish().ok().flatten());
        frames.iter().for_each(|frame| self.meter.frame(frame));
        let events: Vec<Event> = frames.iter().map(|frame| self.texts.look(frame)).collect();
        let spoken = Spoken::of(&events);
        let mut assembler = Assembler::new(self.account.shape, limit);
        frames.iter().for_each(|frame| {
            // The stream was bounded when it was read.
            let _ = assembler.frame(frame);
        });
        let mut shown = self.head.clone();
        shown.body = assembler.body().map_or_else(Json::null, Json::assume_valid);
        let outcome = self.pair.after(Revision::new(Box::new(shown.clone()))).await;
        // Those who only look were shown it with the others.
        self.sent = None;
        if let Some(by) = outcome.blocked {
            return Over::Blocked(by);
        }
        let changed = outcome.changed.as_ref().and_then(|revision| revision.get::<LlmOutputPayload>());
        let Some(changed) = changed else {
            self.out(pieces, bytes).await;
            return Over::Ended;
        };
        let mut texts = spoken.become_of(&shown, changed);
        let mut out = BytesMut::new();
        for (frame, event) in frames.iter().zip(&events) {
            let new: Vec<Option<String>> =
                event.deltas.iter().map(|delta| texts.take(delta.channel, delta.whole)).collect();
            out.extend_from_slice(&self.texts.write(frame, event, &new));
        }
        self.out(pieces, out.freeze()).await;
        Over::Ended
    }
}

fn lane(channel: Channel) -> Lane {
    // Arguments that come in pieces are JSON text, and must stay it.
    if channel.kind == TextKind::Arguments { Lane::written(escaped) } else { Lane::default() }
}

/// Whether no later delta of the event belongs to the same text.
fn is_last(event: &Event, nth: usize) -> bool {
    let channel = event.deltas[nth].channel;
    !event.deltas[nth + 1..].iter().any(|delta| !delta.whole && delta.channel == channel)
}

/// The next piece of a body.
async fn next(body: &mut PooledBody, silence: Duration) -> Result<Option<Bytes>, Cut> {
    loop {
        match tokio::time::timeout(silence, body.frame()).await {
            Err(_) => return Err(Cut::Silent),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(Cut::Broken),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// What a stream said, channel by channel.
struct Spoken(Vec<(Channel, String)>);

/// Texts that take the place of what was said.
struct Instead(Vec<(Channel, Option<String>)>);

impl Spoken {
    fn of(events: &[Event]) -> Self {
        let mut spoken: Vec<(Channel, String)> = Vec::new();
        for delta in events.iter().flat_map(|event| &event.deltas) {
            match spoken.iter_mut().find(|(channel, _)| *channel == delta.channel && !delta.whole) {
                Some((_, text)) => text.push_str(&delta.text),
                None => spoken.push((delta.channel, delta.text.clone())),
            }
        }
        Self(spoken)
    }

    /// What it has become: texts of the answer put together are found again by what they were. Where a plugin wrote
    /// another answer altogether, its texts take the place of the first one that was said.
    fn become_of(self, before: &LlmOutputPayload, after: &LlmOutputPayload) -> Instead {
        let (before, after) = (texts_of(before), texts_of(after));
        if before.len() == after.len() {
            let changed: HashMap<&str, &str> = before
                .iter()
                .zip(&after)
                .filter(|(before, after)| before != after)
                .map(|(before, after)| (before.as_str(), after.as_str()))
                .collect();
            let texts = self.0.into_iter().map(|(channel, text)| {
                let new = changed.get(text.as_str()).map(|new| (*new).to_owned());
                (channel, Some(new.unwrap_or(text)))
            });
            return Instead(texts.collect());
        }
        let mut whole = Some(after.join("\n"));
        let texts = self.0.into_iter().map(|(channel, _)| {
            let is_text = channel.kind == TextKind::Text;
            (channel, Some(if is_text { whole.take().unwrap_or_default() } else { String::new() }))
        });
        Instead(texts.collect())
    }
}

fn texts_of(answer: &LlmOutputPayload) -> Vec<String> {
    let mut texts = Vec::new();
    answer.texts(&mut |part| {
        texts.push(part.text.into_owned());
        ControlFlow::Continue(())
    });
    texts
}

impl Instead {
    /// The text for the next piece of a channel: all of it for the first one.
    fn take(&mut self, channel: Channel, whole: bool) -> Option<String> {
        let known = self.0.iter_mut().find(|(known, text)| *known == channel && (!whole || text.is_some()));
        Some(known.and_then(|(_, text)| text.take()).unwrap_or_default())
    }
}
