//! What can go wrong between a request to an HTTP upstream and the end of its answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use thiserror::Error;

use super::origin::Origin;
use super::pool::PoolError;

/// Why an exchange with an HTTP upstream gave no usable answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No answer began.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The answer broke off.
    #[error("reading the answer of {origin}")]
    Interrupted {
        /// Scheme, host and port.
        origin: Origin,
        /// What hyper said.
        #[source]
        source: hyper::Error,
    },
    /// The answer, or one event of it, is larger than allowed. It was not buffered beyond the limit.
    #[error("the answer of {origin} is larger than {limit} bytes")]
    TooLarge {
        /// Scheme, host and port.
        origin: Origin,
        /// The limit in bytes.
        limit: usize,
    },
    /// Status 404 to a request with a session id: the server has forgotten the session, a new one may be
    /// opened.
    #[error("{origin} no longer knows the session")]
    SessionGone {
        /// Scheme, host and port.
        origin: Origin,
        /// The start of the answer's body.
        body: Bytes,
    },
    /// Status 401.
    #[error("{origin} asks for other credentials (status 401)")]
    Unauthorized {
        /// Scheme, host and port.
        origin: Origin,
        /// The `WWW-Authenticate` header.
        challenge: Option<HeaderValue>,
    },
    /// Status 405: the server does not offer this method at its endpoint.
    #[error("{origin} does not offer this method (status 405)")]
    MethodNotAllowed {
        /// Scheme, host and port.
        origin: Origin,
    },
    /// Any other status that is no success, redirects included: they are not followed.
    #[error("{origin} answered with status {}", status.as_u16())]
    Status {
        /// Scheme, host and port.
        origin: Origin,
        /// The status.
        status: StatusCode,
        /// The `Retry-After` header where it gives seconds.
        retry_after: Option<Duration>,
        /// The `Location` header of a redirect.
        location: Option<HeaderValue>,
        /// The start of the body; may hold a JSON-RPC error.
        body: Bytes,
    },
    /// The answer is neither JSON nor an event stream.
    #[error(
        "{origin} answered with content type `{found}`, allowed are `application/json` and `text/event-stream`"
    )]
    ContentType {
        /// Scheme, host and port.
        origin: Origin,
        /// What it was, cut to a loggable length.
        found: String,
    },
    /// The answer is compressed although no compression was offered.
    #[error("{origin} answered with a content encoding that was not offered")]
    ContentEncoding {
        /// Scheme, host and port.
        origin: Origin,
    },
}

impl HttpError {
    /// Whether the upstream certainly never saw the request, so that it may be sent again.
    #[must_use]
    pub fn nothing_sent(&self) -> bool {
        matches!(self, Self::Pool(error) if error.nothing_sent())
    }

    /// The body of an error answer, where one was kept.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        match self {
            Self::Status { body, .. } | Self::SessionGone { body, .. } => Some(body),
            _ => None,
        }
    }
}
