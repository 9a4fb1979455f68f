//! One way to talk to an upstream, whatever carries the messages.
//!
//! A request gives an [`Exchange`]: any number of messages on the way (progress, requests of the server's
//! own), then the answer. Ids are this side's: every request goes out under a number that is unique on its
//! connection, since clients that share it may choose the same. Who restarts or re-opens a connection is not
//! decided here; [`UpstreamError::is_gone`] tells when it must happen.

mod exchange;
mod http;
mod initialize;
mod own;
pub(crate) mod progress;
#[cfg(test)]
mod tests;

use std::time::Duration;

use ::http::HeaderMap;
use mortise_mcp::envelope::{Message, Response, RpcError};
use mortise_mcp::raw::Raw;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::timeout;

pub use self::http::{HttpConnection, HttpOptions};
pub use exchange::Exchange;
pub use initialize::{Hello, InitializeError, Initialized, connect_http, initialize_pipe};
pub use own::{Answering, Answers, OwnConnection};

use crate::deadline::within;
use crate::http::error::HttpError;
use crate::http::head::HeadSlot;
use crate::stdio::connection::{PipeConnection, PipeError};

/// What a request came to: a result, or the upstream's JSON-RPC error.
pub type Outcome = Result<Raw, RpcError>;

/// One thing that happens during an exchange.
#[derive(Debug)]
pub enum Step {
    /// A message on the way: a notification, or a request of the upstream's own that wants an answer by
    /// [`Connection::respond`].
    Interim(Message),
    /// The answer; the exchange is over.
    Response(Outcome),
}

/// Why an upstream gave no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// Over HTTP.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Over a pipe.
    #[error(transparent)]
    Pipe(#[from] PipeError),
    /// Nothing came within the deadline: neither the answer nor progress.
    #[error("`{method}` was not answered within {} ms", after.as_millis())]
    Timeout {
        /// The request.
        method: String,
        /// The deadline.
        after: Duration,
    },
    /// What is part of this process has no answer.
    #[error(transparent)]
    Own(Box<dyn std::error::Error + Send + Sync>),
    /// What came is no answer to the request.
    #[error("`{method}` got no answer: {reason}")]
    Protocol {
        /// The request.
        method: String,
        /// What was wrong.
        reason: &'static str,
    },
}

impl UpstreamError {
    /// Whether the connection or session is lost, so that a new one is needed before the next request.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Http(error) => matches!(error, HttpError::SessionGone { .. }),
            Self::Pipe(error) => !matches!(error, PipeError::TooLarge { .. }),
            Self::Own(_) | Self::Timeout { .. } | Self::Protocol { .. } => false,
        }
    }

    /// Whether the upstream certainly never saw the request, so that it may be sent again.
    #[must_use]
    pub fn nothing_sent(&self) -> bool {
        matches!(self, Self::Http(error) if error.nothing_sent())
    }
}

/// A request to make.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// For example `tools/call`.
    pub method: &'a str,
    /// An object, passed on as it is but for the progress token in its `_meta`.
    pub params: Option<&'a Raw>,
    /// Longest silence before the answer; progress starts it anew.
    pub timeout: Duration,
    /// Sent beside the session's headers, replacing those of the same name. HTTP only.
    pub headers: Option<&'a HeaderMap>,
    /// Where the head of the answer is noted. HTTP only.
    pub head: Option<&'a HeadSlot>,
}

impl<'a> Call<'a> {
    /// A request with the default deadline of 60 s.
    #[must_use]
    pub fn new(method: &'a str, params: Option<&'a Raw>) -> Self {
        Self { method, params, timeout: Duration::from_secs(60), headers: None, head: None }
    }
}

/// An open connection to an upstream. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub enum Connection {
    /// Streamable HTTP: one session of one endpoint.
    Http(HttpConnection),
    /// A child process, or any pair of byte streams.
    Pipe(PipeConnection),
    /// Part of this process.
    Own(OwnConnection),
}

impl Connection {
    /// Sends a request; returns once its answer begins (HTTP) or it is on its way (pipe).
    ///
    /// Dropping the future or the exchange cancels the request: the upstream is told, and over HTTP its
    /// connection closes.
    ///
    /// # Errors
    ///
    /// See [`UpstreamError`]. A JSON-RPC error of the upstream is an outcome, not an error here.
    pub async fn request(&self, call: Call<'_>) -> Result<Exchange, UpstreamError> {
        let begun = async {
            match self {
                Self::Http(http) => http.request(&call).await.map(|begun| Exchange::http(begun, &call)),
                Self::Pipe(pipe) => {
                    let begun = pipe.request(call.method, call.params).await?;
                    Ok(Exchange::pipe(begun, &call))
                }
                Self::Own(own) => own.request(call).await.map(|outcome| Exchange::answered(outcome, &call)),
            }
        };
        let begun = match self {
            Self::Http(http) => http.timers().within(call.timeout, begun).await,
            Self::Pipe(_) | Self::Own(_) => within(call.timeout, begun).await,
        };
        begun.unwrap_or_else(|_| Err(exchange::timed_out(call.method, call.timeout)))
    }

    /// Sends a notification.
    ///
    /// # Errors
    ///
    /// See [`UpstreamError`]; the deadline is 10 s.
    pub async fn notify(&self, method: &str, params: Option<&Raw>) -> Result<(), UpstreamError> {
        let sent = async {
            match self {
                Self::Http(http) => http.notify(method, params).await,
                Self::Pipe(pipe) => Ok(pipe.notify(method, params).await?),
                // There is nothing to be told.
                Self::Own(_) => Ok(()),
            }
        };
        timeout(NOTIFY_TIMEOUT, sent)
            .await
            .unwrap_or_else(|_| Err(exchange::timed_out(method, NOTIFY_TIMEOUT)))
    }

    /// Answers a request of the upstream's own.
    ///
    /// # Errors
    ///
    /// See [`UpstreamError`]; the deadline is 10 s.
    pub async fn respond(&self, response: Response) -> Result<(), UpstreamError> {
        let message = Message::Response(response);
        let sent = async {
            match self {
                Self::Http(http) => http.send(&message).await,
                Self::Pipe(pipe) => Ok(pipe.send(&message).await?),
                Self::Own(_) => Ok(()),
            }
        };
        timeout(NOTIFY_TIMEOUT, sent)
            .await
            .unwrap_or_else(|_| Err(exchange::timed_out("response", NOTIFY_TIMEOUT)))
    }

    /// Takes the messages that belong to no request, such as `list_changed`. Given out once. Over HTTP the
    /// server's stream is opened by this, and opened again whenever it breaks; the queue ends when the
    /// server offers none, or the session is gone.
    #[must_use]
    pub fn incoming(&self) -> Option<mpsc::Receiver<Message>> {
        match self {
            Self::Http(http) => http.incoming(),
            Self::Pipe(pipe) => pipe.incoming(),
            Self::Own(_) => None,
        }
    }

    /// Waits until the server's own messages reach the queue of [`Connection::incoming`], or are known not to come: over
    /// HTTP, until its stream was answered. What a server wants to ask before that, some drop. At most `patience`, as
    /// there are servers that answer with their first event. Of use once the queue was taken.
    pub async fn listening(&self, patience: Duration) {
        if let Self::Http(http) = self {
            // Going on without is what patience is for.
            let _ = timeout(patience, http.listening()).await;
        }
    }

    /// Ends the session; open exchanges over a pipe fail. Waits a short while at most.
    pub async fn close(&self) {
        match self {
            Self::Http(http) => http.close().await,
            Self::Pipe(pipe) => pipe.close(),
            Self::Own(_) => {}
        }
    }
}

/// Deadline for messages without an answer.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(10);
