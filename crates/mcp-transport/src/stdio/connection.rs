//! A conversation over a pair of byte streams: many requests at once, in both directions.
//!
//! Each request goes out under a number of its own, so that calls of different clients can share one pipe.
//! Two tasks belong to a connection, a reader and a writer, and end with it. The writer is what makes
//! cancelling safe: a call dropped in the middle of its line would tear the stream for all others.
//!
//! The reader never waits for a slow receiver of answers or progress. For messages of the other side's own
//! (requests, `list_changed`) it waits a short while, then refuses or drops them.

mod calls;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use mortise_mcp::envelope::{self, Limits, Message, RequestId, method};
use mortise_mcp::raw::Raw;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use calls::PipeCall;
use calls::{CallGuard, Calls};

use crate::upstream::progress;

/// Sizes of a connection's queues and messages.
#[derive(Debug, Clone)]
pub struct PipeConfig {
    /// Bounds on a message; `max_bytes` holds for a line. Default as [`Limits`].
    pub limits: Limits,
    /// Messages waiting to be written. Default 256.
    pub write_queue: usize,
    /// Messages of the other side's own waiting to be taken. Default 256.
    pub incoming_queue: usize,
    /// Progress notifications waiting for one slow call; further ones are dropped. Default 64.
    pub progress_queue: usize,
}

impl Default for PipeConfig {
    fn default() -> Self {
        Self { limits: Limits::default(), write_queue: 256, incoming_queue: 256, progress_queue: 64 }
    }
}

/// Why a conversation over pipes could not go on.
#[derive(Debug, Error, Clone)]
#[non_exhaustive]
pub enum PipeError {
    /// The other side closed its end.
    #[error("`{name}` closed the pipe")]
    Ended {
        /// The upstream.
        name: Arc<str>,
    },
    /// Reading or writing broke.
    #[error("talking to `{name}` over its pipe")]
    Broken {
        /// The upstream.
        name: Arc<str>,
        /// What the system said.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// This side closed the connection.
    #[error("the connection to `{name}` was closed")]
    Closed {
        /// The upstream.
        name: Arc<str>,
    },
    /// The answer was a line longer than allowed; it was skipped.
    #[error("the answer of `{name}` is larger than {limit} bytes")]
    TooLarge {
        /// The upstream.
        name: Arc<str>,
        /// The limit in bytes.
        limit: usize,
    },
}

/// One side of a conversation. Cheap to clone; the last clone dropped ends it.
#[derive(Clone)]
pub struct PipeConnection {
    handle: Arc<Handle>,
}

impl std::fmt::Debug for PipeConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipeConnection")
            .field("name", &self.shared().name)
            .field("open_calls", &self.shared().calls.len())
            .finish()
    }
}

struct Handle {
    shared: Arc<Shared>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.end(PipeError::Closed { name: Arc::clone(&self.shared.name) });
    }
}

/// What the tasks, the calls and the connection share.
struct Shared {
    name: Arc<str>,
    config: PipeConfig,
    calls: Calls,
    writer: mpsc::Sender<Bytes>,
    /// Set once; what every later call fails with.
    ended: watch::Sender<Option<PipeError>>,
    /// Asks the writer to write what is queued and close.
    stop: CancellationToken,
    incoming: mpsc::Sender<Message>,
    /// There until someone takes it.
    receiver: Mutex<Option<mpsc::Receiver<Message>>>,
}

impl PipeConnection {
    /// Starts a conversation; `name` is for logs and errors. Must be called within a tokio runtime.
    pub fn new<R, W>(name: &str, reader: R, writer: W, config: PipeConfig) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (write_tx, write_rx) = mpsc::channel(config.write_queue.max(1));
        let (incoming, receiver) = mpsc::channel(config.incoming_queue.max(1));
        let shared = Arc::new(Shared {
            name: name.into(),
            config,
            calls: Calls::default(),
            writer: write_tx,
            ended: watch::Sender::new(None),
            stop: CancellationToken::new(),
            incoming,
            receiver: Mutex::new(Some(receiver)),
        });
        let tasks = [
            tokio::spawn(reader::run(Arc::clone(&shared), reader)),
            tokio::spawn(writer::run(Arc::clone(&shared), writer, write_rx)),
        ];
        Self { handle: Arc::new(Handle { shared, _tasks: tasks.map(AbortOnDropHandle::new) }) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Sends a request. Waits only while the write queue is full.
    ///
    /// Dropping the returned call before its answer tells the other side that it is no longer wanted, unless
    /// it is `initialize`, which must not be cancelled.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub async fn request(&self, name: &str, params: Option<&Raw>) -> Result<PipeCall, PipeError> {
        let shared = self.shared();
        let id = shared.calls.next_id();
        let replaced = params.and_then(|params| progress::replace(params, id));
        let (params, token) = match &replaced {
            Some((params, token)) => (Some(params), Some(token.clone())),
            None => (params, None),
        };
        let mut frame = Vec::with_capacity(96 + name.len() + params.map_or(0, |raw| raw.as_bytes().len()));
        envelope::write_request(&mut frame, &RequestId::number(id), name, params);
        let mut call = shared.calls.open(shared, id, token)?;
        shared.send(frame).await?;
        call.guard.sent(name != method::INITIALIZE);
        Ok(call)
    }

    /// Sends a notification. Waits only while the write queue is full.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub async fn notify(&self, name: &str, params: Option<&Raw>) -> Result<(), PipeError> {
        let mut frame = Vec::with_capacity(96);
        envelope::write_notification(&mut frame, name, params);
        self.shared().send(frame).await
    }

    /// Sends any message as it is; for answers to the other side's requests.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub async fn send(&self, message: &Message) -> Result<(), PipeError> {
        let mut frame = Vec::with_capacity(256);
        envelope::write_message(&mut frame, message);
        self.shared().send(frame).await
    }

    /// Takes the messages that belong to no call: requests and notifications of the other side. Given out
    /// once. Until it is taken, requests but `ping` are answered with "method not found" and notifications
    /// are dropped.
    #[must_use]
    pub fn incoming(&self) -> Option<mpsc::Receiver<Message>> {
        self.shared().receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Calls without an answer yet.
    #[must_use]
    pub fn open_calls(&self) -> usize {
        self.shared().calls.len()
    }

    /// Waits until the conversation has ended, and says why.
    pub async fn ended(&self) -> PipeError {
        let mut ended = self.shared().ended.subscribe();
        let closed = || PipeError::Closed { name: Arc::clone(&self.shared().name) };
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(closed),
            Err(_) => closed(),
        }
    }

    /// Whether the conversation has ended, for whatever reason.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.shared().ended.borrow().is_some()
    }

    /// Whether this side closed the conversation, before the other side or a fault ended it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(&*self.shared().ended.borrow(), Some(PipeError::Closed { .. }))
    }

    /// Writes what is queued, closes the writing side and fails what is open. The other side is expected
    /// to close its own.
    pub fn close(&self) {
        self.shared().stop.cancel();
        self.shared().end(PipeError::Closed { name: Arc::clone(&self.shared().name) });
    }
}

impl Shared {
    /// Queues one message for writing.
    async fn send(&self, frame: Vec<u8>) -> Result<(), PipeError> {
        let frame = writer::frame(frame);
        tokio::select! {
            biased;
            sent = self.writer.send(frame) => sent.map_err(|_| self.reason()),
            () = self.stop.cancelled() => Err(self.reason()),
        }
    }

    /// Queues one message for writing if there is room.
    fn try_send(&self, message: &Message) {
        let mut frame = Vec::with_capacity(128);
        envelope::write_message(&mut frame, message);
        if self.writer.try_send(writer::frame(frame)).is_err() {
            tracing::debug!(upstream = %self.name, "no room to write a message of no call; it is dropped");
        }
    }

    /// Ends the conversation for this reason unless it has ended already.
    fn end(&self, reason: PipeError) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(reason);
            }
            first
        });
        self.stop.cancel();
        self.calls.fail_all(&self.reason());
    }

    fn reason(&self) -> PipeError {
        self.ended.borrow().clone().unwrap_or_else(|| PipeError::Closed { name: Arc::clone(&self.name) })
    }

    /// Whether someone takes the messages that belong to no call.
    fn has_receiver(&self) -> bool {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).is_none() && !self.incoming.is_closed()
    }
}

impl CallGuard {
    fn cancelled(id: u64) -> Message {
        let params = Raw::parse(format!(r#"{{"requestId":{id}}}"#)).ok();
        Message::Notification(envelope::Notification::new(method::CANCELLED, params))
    }
}
