//! One request over HTTP whose answer has begun.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ::http::HeaderValue;
use bytes::Bytes;
use mortise_mcp::envelope::{Body, Message, Notification, Response, method};
use mortise_mcp::raw::Raw;
use mortise_mcp::sse::Event;

use super::{HttpConnection, is_answer_to, protocol};
use crate::backoff::Backoff;
use crate::http::error::HttpError;
use crate::http::events::EventStream;
use crate::upstream::{Outcome, Step, UpstreamError, progress};

/// Attempts in a row to resume a broken stream before the call fails.
const MAX_RESUMES: u32 = 5;

/// Opens a stream again, after the pause the server asked for.
type Resuming = Pin<Box<dyn Future<Output = Result<Box<EventStream>, HttpError>> + Send + Sync>>;

/// A request over HTTP.
pub(in crate::upstream) struct HttpExchange {
    connection: HttpConnection,
    id: u64,
    token: Option<Raw>,
    state: State,
    /// Messages of an event that held several.
    queued: VecDeque<Message>,
    resumes: u32,
    /// Whether the upstream is to hear of it when this is dropped.
    tell: bool,
    pub(super) session_id: Option<HeaderValue>,
}

enum State {
    /// Posted, no answer yet; or over.
    Idle,
    Ready(Outcome),
    Streaming(Box<EventStream>),
    Resuming {
        last_id: String,
        attempt: Resuming,
    },
}

impl std::fmt::Debug for HttpExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpExchange").field("id", &self.id).finish_non_exhaustive()
    }
}

impl HttpExchange {
    pub(super) fn sent(connection: &HttpConnection, id: u64, token: Option<Raw>, tell: bool) -> Self {
        Self {
            connection: connection.clone(),
            id,
            token,
            state: State::Idle,
            queued: VecDeque::new(),
            resumes: 0,
            tell: tell && connection.shared.options.tell_cancelled,
            session_id: None,
        }
    }

    /// The request needs no cancelling any more.
    pub(super) fn settle(&mut self) {
        self.tell = false;
    }

    pub(super) fn ready(&mut self, outcome: Outcome) {
        self.settle();
        self.state = State::Ready(outcome);
    }

    pub(super) fn stream(&mut self, stream: Box<EventStream>) {
        self.state = State::Streaming(stream);
    }

    /// Takes an answer that is one JSON body.
    pub(super) fn take_json(&mut self, body: &Bytes, name: &str) -> Result<(), UpstreamError> {
        self.settle();
        let parsed = Body::parse(body, &self.connection.shared.options.limits);
        match parsed.map_err(|_| protocol(name, "the answer is not a JSON-RPC message"))? {
            Body::Single(Message::Response(response)) if self.is_mine(&response) => {
                self.ready(response.outcome);
                Ok(())
            }
            Body::Single(_) => Err(protocol(name, "the answer belongs to another request")),
            Body::Batch(messages) => {
                self.queued.extend(messages.into_iter().flatten());
                Ok(())
            }
        }
    }

    /// An error about a message whose id the server could not read can only be about the one it got.
    fn is_mine(&self, response: &Response) -> bool {
        is_answer_to(response, self.id) || (response.id.is_none() && response.outcome.is_err())
    }

    pub(in crate::upstream) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    pub(in crate::upstream) fn session_id(&self) -> Option<&HeaderValue> {
        self.session_id.as_ref()
    }

    pub(in crate::upstream) fn take_ready(&mut self) -> Option<Outcome> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Ready(outcome) => Some(outcome),
            other => {
                self.state = other;
                None
            }
        }
    }

    pub(in crate::upstream) async fn next(&mut self, name: &str) -> Result<Step, UpstreamError> {
        loop {
            while let Some(message) = self.queued.pop_front() {
                if let Some(step) = self.step(message) {
                    return Ok(step);
                }
            }
            match &mut self.state {
                State::Idle => {
                    self.settle();
                    return Err(protocol(name, "its answer is over"));
                }
                State::Ready(_) => {
                    if let Some(outcome) = self.take_ready() {
                        return Ok(Step::Response(outcome));
                    }
                }
                State::Streaming(stream) => match stream.next().await {
                    Some(Ok(event)) => self.take_event(&event),
                    broken => self.resume(broken, name)?,
                },
                State::Resuming { last_id, attempt } => match attempt.await {
                    Ok(stream) => self.state = State::Streaming(stream),
                    Err(error) => {
                        let last_id = std::mem::take(last_id);
                        self.resume_after(last_id, None, || error.into())?;
                    }
                },
            }
        }
    }

    fn take_event(&mut self, event: &Event) {
        self.resumes = 0;
        if !event.is_message() || event.data.is_empty() {
            return;
        }
        match Body::parse(&event.data, &self.connection.shared.options.limits) {
            Ok(Body::Single(message)) => self.queued.push_back(message),
            Ok(Body::Batch(messages)) => self.queued.extend(messages.into_iter().flatten()),
            Err(error) => {
                let origin = self.connection.shared.session.origin();
                tracing::warn!(%origin, %error, "an event is no message; it is skipped");
            }
        }
    }

    /// What a message means to this request; `None` if nothing.
    fn step(&mut self, message: Message) -> Option<Step> {
        match message {
            Message::Response(response) if self.is_mine(&response) => {
                self.settle();
                if let State::Streaming(stream) = std::mem::replace(&mut self.state, State::Idle) {
                    stream.finish();
                }
                Some(Step::Response(response.outcome))
            }
            Message::Response(_) => None,
            message => {
                let message = self.connection.background().pong(message)?;
                Some(Step::Interim(progress::restore_message(message, self.id, self.token.as_ref())))
            }
        }
    }

    /// Goes on after the stream ended without the answer, if its events were numbered.
    fn resume(&mut self, broken: Option<Result<Event, HttpError>>, name: &str) -> Result<(), UpstreamError> {
        let failed = || match broken {
            Some(Err(error)) => error.into(),
            _ => protocol(name, "the stream ended before it"),
        };
        let State::Streaming(stream) = &self.state else { return Err(failed()) };
        match stream.last_event_id().map(str::to_owned) {
            Some(last_id) => {
                let pause = stream.retry();
                self.resume_after(last_id, pause, failed)
            }
            None => {
                self.state = State::Idle;
                self.settle();
                Err(failed())
            }
        }
    }

    fn resume_after(
        &mut self,
        last_id: String,
        pause: Option<Duration>,
        failed: impl FnOnce() -> UpstreamError,
    ) -> Result<(), UpstreamError> {
        if self.resumes >= MAX_RESUMES {
            self.state = State::Idle;
            return Err(failed());
        }
        self.resumes += 1;
        let shared = &self.connection.shared;
        let pause = pause.unwrap_or_else(|| {
            let mut backoff = Backoff::new(shared.options.backoff);
            (0..self.resumes).map(|_| backoff.next_pause()).last().unwrap_or_default()
        });
        let session = shared.session.clone();
        let after = last_id.clone();
        let attempt = Box::pin(async move {
            tokio::time::sleep(pause).await;
            session.events(Some(&after)).await.map(Box::new)
        });
        self.state = State::Resuming { last_id, attempt };
        Ok(())
    }
}

impl Drop for HttpExchange {
    fn drop(&mut self) {
        if self.tell {
            let params = Raw::parse(format!(r#"{{"requestId":{}}}"#, self.id)).ok();
            let message = Message::Notification(Notification::new(method::CANCELLED, params));
            self.connection.background().send(&message);
        }
    }
}
