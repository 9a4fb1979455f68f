//! A session of an HTTP upstream as a connection.
//!
//! A request whose answer is JSON runs in the caller's task from end to end: no task, no channel. Tasks are
//! for what outlives its cause: the server's own stream, and telling the server about a cancelled request.

mod exchange;
mod listen;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mortise_mcp::envelope::{self, Body, Limits, Message, RequestId, Response, method};
use mortise_mcp::raw::Raw;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) use exchange::HttpExchange;

use super::{Call, Outcome, UpstreamError, progress};
use crate::backoff::BackoffConfig;
use crate::chain::Chain;
use crate::deadline::Timers;
use crate::http::client::{Answer, Session};
use crate::http::error::HttpError;

/// Messages sent in the background at once; more are dropped.
const BACKGROUND_SENDS: usize = 64;

/// Deadline of a message sent in the background, and of ending the session.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// How a connection over HTTP behaves.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Bounds on a message.
    pub limits: Limits,
    /// Messages of the server's own waiting to be taken; a full queue holds the stream back. Default 256.
    pub incoming_queue: usize,
    /// Pauses between attempts to open the server's stream again.
    pub backoff: BackoffConfig,
    /// Whether the server is told of cancelled requests by a notification; so in all versions with sessions.
    /// Without, closing the connection is all. Default true.
    pub tell_cancelled: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            incoming_queue: 256,
            backoff: BackoffConfig::default(),
            tell_cancelled: true,
        }
    }
}

/// One session of an HTTP upstream. Cheap to clone.
#[derive(Clone)]
pub struct HttpConnection {
    shared: Arc<Shared>,
}

struct Shared {
    session: Session,
    options: HttpOptions,
    last_id: AtomicU64,
    listening: AtomicBool,
    /// Set once the server's own stream stands, or is known not to.
    settled: CancellationToken,
    background: TaskTracker,
    background_room: Arc<Semaphore>,
    /// The stream's task waits on it; set when the last clone goes.
    stop: CancellationToken,
    timers: Timers,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for HttpConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpConnection").field("session", &self.shared.session).finish_non_exhaustive()
    }
}

impl HttpConnection {
    /// Requests over `session`, which must have been initialised if its protocol version wants that.
    #[must_use]
    pub fn new(session: Session, options: HttpOptions) -> Self {
        let shared = Shared {
            session,
            options,
            last_id: AtomicU64::new(0),
            listening: AtomicBool::new(false),
            settled: CancellationToken::new(),
            background: TaskTracker::new(),
            background_room: Arc::new(Semaphore::new(BACKGROUND_SENDS)),
            stop: CancellationToken::new(),
            timers: Timers::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// For the deadlines of this connection's requests.
    pub(super) fn timers(&self) -> &Timers {
        &self.shared.timers
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.shared.session
    }

    pub(super) async fn request(&self, call: &Call<'_>) -> Result<HttpExchange, UpstreamError> {
        let shared = &self.shared;
        let id = shared.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let replaced = call.params.and_then(|params| progress::replace(params, id));
        let (params, token) = match &replaced {
            Some((params, token)) => (Some(params), Some(token.clone())),
            None => (call.params, None),
        };
        let mut body =
            Vec::with_capacity(96 + call.method.len() + params.map_or(0, |raw| raw.as_bytes().len()));
        envelope::write_request(&mut body, &RequestId::number(id), call.method, params);
        let mut exchange = HttpExchange::sent(self, id, token, call.method != method::INITIALIZE);
        match shared.session.post_noting(body.into(), call.headers, call.head).await {
            Ok(posted) => {
                exchange.session_id = posted.session_id;
                match posted.answer {
                    Answer::Json(body) => exchange.take_json(&body, call.method)?,
                    Answer::Events(stream) => exchange.stream(stream),
                    Answer::Accepted => {
                        exchange.settle();
                        return Err(protocol(call.method, "the answer is empty"));
                    }
                }
            }
            Err(error) => match rpc_error_in(&error, id, &shared.options.limits) {
                Some(outcome) => exchange.ready(outcome),
                None => {
                    exchange.settle();
                    return Err(error.into());
                }
            },
        }
        Ok(exchange)
    }

    pub(super) async fn notify(&self, name: &str, params: Option<&Raw>) -> Result<(), UpstreamError> {
        let mut body = Vec::with_capacity(96);
        envelope::write_notification(&mut body, name, params);
        self.post(body.into()).await
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), UpstreamError> {
        self.post(message.to_bytes()).await
    }

    /// Posts what has no answer; an answer that comes nevertheless is dropped.
    async fn post(&self, body: Bytes) -> Result<(), UpstreamError> {
        self.shared.session.post(body, None).await?;
        Ok(())
    }

    pub(super) fn incoming(&self) -> Option<mpsc::Receiver<Message>> {
        if self.shared.listening.swap(true, Ordering::Relaxed) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(self.shared.options.incoming_queue.max(1));
        let shared = &self.shared;
        let listen = listen::Listen {
            session: shared.session.clone(),
            options: shared.options.clone(),
            queue: sender,
            settled: shared.settled.clone(),
            pongs: self.background(),
        };
        let stop = shared.stop.clone();
        shared.background.spawn(async move {
            // Dropping the stream closes its connection.
            stop.run_until_cancelled(listen.run()).await;
        });
        Some(receiver)
    }

    /// Waits until the server's own stream stands or is known not to.
    pub(super) async fn listening(&self) {
        self.shared.settled.cancelled().await;
    }

    pub(super) async fn close(&self) {
        self.shared.stop.cancel();
        let ended = timeout(BACKGROUND_TIMEOUT, self.shared.session.delete()).await;
        if let Ok(Err(error)) = ended {
            tracing::debug!(origin = %self.shared.session.origin(), error = %Chain(&error), "ending the session");
        }
    }

    /// For messages that nobody waits for.
    fn background(&self) -> Background {
        Background {
            session: self.shared.session.clone(),
            tasks: self.shared.background.clone(),
            room: Arc::clone(&self.shared.background_room),
        }
    }
}

/// Sends messages that nobody waits for, a bounded number at once, each with a deadline.
#[derive(Clone)]
struct Background {
    session: Session,
    tasks: TaskTracker,
    room: Arc<Semaphore>,
}

impl Background {
    fn send(&self, message: &Message) {
        let (Ok(runtime), Ok(permit)) =
            (tokio::runtime::Handle::try_current(), Arc::clone(&self.room).try_acquire_owned())
        else {
            tracing::debug!(origin = %self.session.origin(), "no room to send a message in the background");
            return;
        };
        let session = self.session.clone();
        let body = message.to_bytes();
        let task = async move {
            let _permit = permit;
            if let Ok(Err(error)) = timeout(BACKGROUND_TIMEOUT, session.post(body, None)).await {
                tracing::debug!(origin = %session.origin(), error = %Chain(&error), "sending a message in the background");
            }
        };
        self.tasks.spawn_on(task, &runtime);
    }

    /// Answers `ping`; gives any other message back.
    fn pong(&self, message: Message) -> Option<Message> {
        match message {
            Message::Request(request) if request.method == method::PING => {
                self.send(&Message::Response(Response::ok(request.id, Raw::EMPTY_OBJECT)));
                None
            }
            other => Some(other),
        }
    }
}

/// Error answers of some servers and versions carry the JSON-RPC error of this very request.
fn rpc_error_in(error: &HttpError, id: u64, limits: &Limits) -> Option<Outcome> {
    if matches!(error, HttpError::SessionGone { .. }) {
        return None;
    }
    match Body::parse(error.body()?, limits).ok()? {
        Body::Single(Message::Response(response)) if is_answer_to(&response, id) => Some(response.outcome),
        _ => None,
    }
}

fn is_answer_to(response: &Response, id: u64) -> bool {
    response.id.as_ref().and_then(RequestId::as_u64) == Some(id)
}

fn protocol(method: &str, reason: &'static str) -> UpstreamError {
    UpstreamError::Protocol { method: method.to_owned(), reason }
}
