//! Answers: one JSON body, an event stream, an acknowledgement, an error, a body made elsewhere.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use mortise_mcp::envelope::{ErrorObject, RequestId, write_error};
use mortise_mcp::sse::{write_comment, write_event, write_retry};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use super::request::Refusal;
use crate::http::{EVENT_STREAM, JSON};

/// How long a stream stays quiet before a comment is sent, so that nothing on the way takes it for dead.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Keeps reverse proxies from holding events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The body of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// Known whole; `None` when it was given out.
    Whole(Option<Bytes>),
    /// Events as they are made.
    Events(EventBody),
    /// What somebody else makes, piece by piece, as fast as the client takes it. Its error cuts the answer off, so that
    /// the client does not take what came for all.
    Made(Pin<Box<dyn Made>>),
}

/// Why an answer was cut off.
pub type BodyError = Box<dyn StdError + Send + Sync>;

/// A body that is made elsewhere. Dropped when the client goes.
pub trait Made: Body<Data = Bytes, Error = BodyError> + Send {}

impl<B: Body<Data = Bytes, Error = BodyError> + Send> Made for B {}

impl std::fmt::Debug for dyn Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Made(..)")
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Events(events) => events.poll_next(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes)))),
            Self::Made(made) => made.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Events(_) => false,
            Self::Made(made) => made.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Events(_) => SizeHint::default(),
            Self::Made(made) => made.size_hint(),
        }
    }
}

/// The receiving end of an event stream, as a body. Dropped when the client goes.
#[derive(Debug)]
pub struct EventBody {
    queue: mpsc::Receiver<Bytes>,
    keep_alive: Pin<Box<Sleep>>,
}

impl EventBody {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Poll::Ready(next) = self.queue.poll_recv(cx) {
            self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
            return Poll::Ready(next);
        }
        if self.keep_alive.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
        let mut comment = Vec::with_capacity(16);
        write_comment(&mut comment, "keep-alive");
        Poll::Ready(Some(comment.into()))
    }
}

/// The client of an event stream has gone; what produces its events should stop.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("the client of the event stream has gone")]
pub struct ClientGone;

/// Feeds an event stream. The stream ends when the last sender is dropped.
#[derive(Debug, Clone)]
pub struct EventSender {
    queue: mpsc::Sender<Bytes>,
}

impl EventSender {
    /// Sends an event; waits while the client is slower than its events. `id` lets it resume after it.
    ///
    /// # Errors
    ///
    /// [`ClientGone`].
    pub async fn send(&self, id: Option<&str>, message: &[u8]) -> Result<(), ClientGone> {
        let mut out = Vec::with_capacity(message.len() + 48);
        write_event(&mut out, id, Some("message"), message);
        self.queue.send(out.into()).await.map_err(|_| ClientGone)
    }

    /// Sends an event of another name than `message`.
    ///
    /// # Errors
    ///
    /// [`ClientGone`].
    pub async fn send_named(&self, name: &str, data: &[u8]) -> Result<(), ClientGone> {
        let mut out = Vec::with_capacity(data.len() + 32);
        write_event(&mut out, None, Some(name), data);
        self.queue.send(out.into()).await.map_err(|_| ClientGone)
    }

    /// Asks the client to wait this long before it connects again.
    ///
    /// # Errors
    ///
    /// [`ClientGone`].
    pub async fn retry_after(&self, pause: Duration) -> Result<(), ClientGone> {
        let mut out = Vec::with_capacity(24);
        write_retry(&mut out, u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self.queue.send(out.into()).await.map_err(|_| ClientGone)
    }

    /// Waits until the client has gone.
    pub async fn gone(&self) {
        self.queue.closed().await;
    }

    /// Whether the client has gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.queue.is_closed()
    }
}

/// A JSON answer with status 200.
#[must_use]
pub fn json(body: Bytes) -> Response<AnswerBody> {
    json_with_status(StatusCode::OK, body)
}

/// A JSON answer.
#[must_use]
pub fn json_with_status(status: StatusCode, body: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Whole(Some(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

/// An answer without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Whole(None));
    *response.status_mut() = status;
    response
}

/// Status 202: taken, nothing to say. The answer to notifications and responses.
#[must_use]
pub fn accepted() -> Response<AnswerBody> {
    empty(StatusCode::ACCEPTED)
}

/// A status with a JSON-RPC error as body; without an id it says `"id":null`.
#[must_use]
pub fn error(status: StatusCode, id: Option<&RequestId>, error: &ErrorObject) -> Response<AnswerBody> {
    let mut body = Vec::with_capacity(128);
    write_error(&mut body, id, &error.to_rpc_error());
    json_with_status(status, body.into())
}

/// The answer to a request that was refused before it was read.
#[must_use]
pub fn refused(refusal: Refusal) -> Response<AnswerBody> {
    error(refusal.status(), None, &ErrorObject::new(refusal.code(), refusal.to_string()))
}

/// An event stream with status 200, and what feeds it. `queue` events wait for a slow client at most; then
/// the sender waits.
#[must_use]
pub fn events(queue: usize) -> (EventSender, Response<AnswerBody>) {
    let (sender, receiver) = mpsc::channel(queue.max(1));
    let keep_alive = Box::pin(tokio::time::sleep(KEEP_ALIVE));
    let mut response = Response::new(AnswerBody::Events(EventBody { queue: receiver, keep_alive }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    (EventSender { queue: sender }, response)
}
