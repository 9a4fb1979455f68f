//! Answers that plugins look at: whole ones, and streams in windows, held until they are whole, or when they are over.
//!
//! A stream is taken apart event by event only where a plugin takes windows of it or must see it whole. Who only looks
//! is shown it afterwards, in the background, and the stream goes out as it comes.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::BodyExt;
use mortise_framework::{Outcome, Pair};
use mortise_llm::{fault::FaultKind, stream::Framing, text::without_logprobs};
use mortise_mcp_transport::{http::pool::PooledBody, server::answer::AnswerBody};
use mortise_plugin_api::{
    End, Headers, Json, Payload, Revision, hooks::llm::LlmInputPayload, hooks::llm::LlmOutputPayload,
};

use super::{
    account::Account, generated::Generated, guard::Guard, headers, metrics::Came, passing::Passing, refusal,
    table::Llm,
};
use crate::snapshot::Plugins;

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
        let (body, same) = (changed.body.text(), changed.body.text() == before.body.text());
        // Probabilities of tokens would say the text that was replaced once more.
        let cleaned = if same { None } else { without_logprobs(body) };
        Some(cleaned.unwrap_or_else(|| body.clone()))
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

pub(super) fn tell(mut pair: Pair<Plugins>, answer: LlmOutputPayload, end: End, account: &Account) {
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
        return answered
            .rewritten(AnswerBody::Made(Box::pin(Generated::new(|pieces| guard.run(body, pieces)))));
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
pub(super) enum Cut {
    TooLarge,
    Silent,
    Broken,
}

/// Reads a body whole, of at most `limit` bytes, no piece of which comes later than `silence` after the one before.
pub(super) async fn read(mut body: PooledBody, limit: usize, silence: Duration) -> Result<Bytes, Cut> {
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
                Cut::Silent => {
                    (End::TimedOut, Came::TimedOut, FaultKind::Timeout, "the model's answer stopped coming")
                }
                Cut::Broken => {
                    (End::UpstreamFailed, Came::Error, FaultKind::Upstream, "the model's answer was cut off")
                }
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
