//! What an endpoint answers.

use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;
use serde::Serialize;

use crate::{Headers, PluginError};

/// An answer that is known whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointResponse {
    /// HTTP status; 0 means 200.
    pub status: u16,
    /// Headers. Those that frame a message or belong to the connection are the gateway's, and left out.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

impl EndpointResponse {
    /// An answer without a body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A text.
    #[must_use]
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status).header("content-type", "text/plain; charset=utf-8").body(text.into())
    }

    /// A JSON document.
    ///
    /// # Errors
    /// Where `value` cannot be written as JSON.
    pub fn json(status: u16, value: &impl Serialize) -> Result<Self, PluginError> {
        let body = serde_json::to_vec(value)
            .map_err(|error| PluginError::failed(format!("writing an answer as JSON: {error}")))?;
        Ok(Self::new(status).header("content-type", "application/json").body(body))
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Box<str>>) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// A piece of a streamed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointChunk {
    /// Status (0 means 200) and headers: first, or not at all, which is 200 without headers.
    Head {
        /// HTTP status.
        status: u16,
        /// Headers.
        headers: Headers,
    },
    /// A piece of the body, sent to the client at once.
    Body(Bytes),
    /// The plugin gives up and says why. Before anything was sent that is status 500, afterwards the connection is cut.
    Failed(String),
}

/// An answer that is made piece by piece.
pub trait EndpointStream: Send {
    /// The next piece; `None` is the end. Dropping the stream cancels what makes it.
    ///
    /// # Errors
    /// Where nothing more comes although it was not the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<EndpointChunk, PluginError>>>;
}

/// What an endpoint answers.
pub enum EndpointAnswer {
    /// All at once.
    Whole(EndpointResponse),
    /// Piece by piece.
    Stream(Box<dyn EndpointStream>),
}

impl fmt::Debug for EndpointAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(answer) => f.debug_tuple("Whole").field(&answer.status).finish(),
            Self::Stream(_) => f.write_str("Stream(..)"),
        }
    }
}
