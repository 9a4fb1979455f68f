//! A stream that is taken apart event by event, since a plugin takes windows of its texts or must see it whole.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use mortise_framework::{Blocked, Lane, Pair, Streamed};
use mortise_llm::{
    assemble::Assembler,
    fault::{Fault, FaultKind},
    meter::Meter,
    stream::{Decoder, Frame, Framing},
    text::{Channel, Event, TextKind, Texts, escaped},
};
use mortise_mcp_transport::http::pool::PooledBody;
use mortise_plugin_api::{End, Json, Revision, hooks::llm::LlmOutputPayload};

use super::{
    account::Account,
    generated::Pieces,
    guarded::{Answered, Cut, read, tell},
    metrics::Came,
    refusal,
    spoken::Spoken,
    table::Llm,
};
use crate::snapshot::Plugins;

/// Largest event of a stream that is taken apart.
const LARGEST_EVENT: usize = 8 << 20;

/// A stream that is taken apart.
pub(super) struct Guard {
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
    pub(super) fn new(
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

    pub(super) async fn run(mut self, body: PooledBody, pieces: Pieces) {
        let over = if self.streamed.is_held() {
            self.held(body, &pieces).await
        } else {
            self.windows(body, &pieces).await
        };
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
                Err(Cut::Silent) => (
                    Bytes::new(),
                    Some(Over::Failed(Came::TimedOut, End::TimedOut, "the model's answer stopped coming")),
                ),
                Err(_) => (
                    Bytes::new(),
                    Some(Over::Failed(Came::Error, End::UpstreamFailed, "the model's answer was cut off")),
                ),
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
            if (over.is_some() || broken)
                && let Err(by) = self.flush(|_| true, &mut bytes).await
            {
                self.out(pieces, bytes.freeze()).await;
                return Over::Blocked(by);
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
            event.closes(channel)
                && !event.deltas.iter().any(|delta| !delta.whole && delta.channel == channel)
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
                    Cut::TooLarge => (
                        Came::Error,
                        End::UpstreamFailed,
                        "the model's answer is larger than what plugins may be shown",
                    ),
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
