//! Reading a posted message: what its headers promise is checked before a byte of its body is kept.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Body;
use mortise_mcp::envelope::code;
use thiserror::Error;

use crate::deadline::within;
use crate::http::{JSON, is_media_type};

/// Why a request was refused before it was read as a message.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The body is, or says it is, larger than allowed.
    #[error("the message is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body is not JSON by its content type.
    #[error("the content type must be `application/json`")]
    ContentType,
    /// The body is compressed.
    #[error("the content encoding must be `identity`")]
    ContentEncoding,
    /// The client takes neither JSON nor events.
    #[error("the client must accept `application/json` or `text/event-stream`")]
    NotAcceptable,
    /// The body did not come in time.
    #[error("the message was not complete within {} ms", limit.as_millis())]
    TooSlow {
        /// The deadline.
        limit: Duration,
    },
    /// The client went away before its message was complete.
    #[error("the message was not complete")]
    Incomplete,
}

impl Refusal {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ContentType | Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Incomplete => StatusCode::BAD_REQUEST,
        }
    }

    /// The JSON-RPC code to answer with.
    #[must_use]
    pub fn code(self) -> i64 {
        match self {
            Self::Incomplete | Self::TooSlow { .. } => code::PARSE_ERROR,
            _ => code::INVALID_REQUEST,
        }
    }
}

/// What a client takes for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepts {
    /// One JSON body.
    pub json: bool,
    /// An event stream.
    pub events: bool,
}

impl Accepts {
    /// Reads the `Accept` headers; a client without any takes everything. Weights are ignored: nobody sends
    /// `q=0` for what MCP asks it to accept.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self { json: false, events: false };
        let mut any = false;
        for value in headers.get_all(ACCEPT) {
            // What the official clients send, known by sight.
            if value == "application/json, text/event-stream" {
                return Self { json: true, events: true };
            }
            any = true;
            for range in value.as_bytes().split(|&byte| byte == b',') {
                let all = is_media_type(range, "*/*");
                found.json |= all || is_media_type(range, JSON) || is_media_type(range, "application/*");
                found.events |=
                    all || is_media_type(range, crate::http::EVENT_STREAM) || is_media_type(range, "text/*");
            }
        }
        if any { found } else { Self { json: true, events: true } }
    }
}

/// Checks the headers of a posted message against what can be read and answered.
///
/// # Errors
///
/// All of [`Refusal`] that headers tell.
pub fn check_headers(headers: &HeaderMap, limit: usize) -> Result<Accepts, Refusal> {
    // An unreadable length is hyper's to refuse; here it only must not pass for a small one.
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.is_some_and(|text| text.parse::<usize>().map_or(true, |size| size > limit)) {
        return Err(Refusal::TooLarge { limit });
    }
    if !headers.get(CONTENT_TYPE).is_some_and(|value| is_media_type(value.as_bytes(), JSON)) {
        return Err(Refusal::ContentType);
    }
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get(CONTENT_ENCODING).is_none_or(plain) {
        return Err(Refusal::ContentEncoding);
    }
    let accepts = Accepts::of(headers);
    if accepts.json || accepts.events { Ok(accepts) } else { Err(Refusal::NotAcceptable) }
}

/// Reads a body of at most `limit` bytes within `deadline`. A body that came in one piece is not copied.
///
/// # Errors
///
/// [`Refusal::TooLarge`], [`Refusal::TooSlow`], [`Refusal::Incomplete`].
pub async fn read_body<B>(mut body: B, limit: usize, deadline: Duration) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    if usize::try_from(body.size_hint().lower()).map_or(true, |size| size > limit) {
        return Err(Refusal::TooLarge { limit });
    }
    let read = within(deadline, collect(&mut body, limit)).await;
    read.unwrap_or(Err(Refusal::TooSlow { limit: deadline }))
}

async fn collect<B>(body: &mut B, limit: usize) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while !body.is_end_stream()
        && let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
    {
        let Ok(data) = frame.map_err(|_| Refusal::Incomplete)?.into_data() else { continue };
        if first.len() + all.len() + data.len() > limit {
            return Err(Refusal::TooLarge { limit });
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
