//! Reading answers: limits before buffering, and statuses into typed errors.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Body;

use super::Session;
use crate::http::error::HttpError;
use crate::http::events::EventStream;
use crate::http::pool::PooledBody;
use crate::http::{EVENT_STREAM, JSON, SESSION_ID, is_media_type};

/// Bytes of an error's body that are kept.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// How long an error's body is waited for; the status alone says most.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(2);

/// The answer to a posted message.
#[derive(Debug)]
pub enum Answer {
    /// One JSON body, within the limit.
    Json(Bytes),
    /// Messages as they come.
    Events(Box<EventStream>),
    /// Taken, nothing to say (202, or an empty body).
    Accepted,
}

/// An [`Answer`] with what its head says.
#[derive(Debug)]
pub struct Posted {
    /// The answer.
    pub answer: Answer,
    /// The session the server opened with it.
    pub session_id: Option<HeaderValue>,
    /// All headers of the answer.
    pub headers: HeaderMap,
}

enum Kind {
    Json,
    Events,
}

fn kind(session: &Session, head: &Parts) -> Result<Kind, HttpError> {
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !head.headers.get(CONTENT_ENCODING).is_none_or(plain) {
        return Err(HttpError::ContentEncoding { origin: session.origin().clone() });
    }
    let found = head.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if is_media_type(found, JSON) {
        Ok(Kind::Json)
    } else if is_media_type(found, EVENT_STREAM) {
        Ok(Kind::Events)
    } else {
        let found = String::from_utf8_lossy(&found[..found.len().min(100)]).into_owned();
        Err(HttpError::ContentType { origin: session.origin().clone(), found })
    }
}

/// Reads a successful answer.
pub(super) async fn read(session: &Session, mut head: Parts, body: PooledBody) -> Result<Posted, HttpError> {
    let session_id = head.headers.remove(SESSION_ID);
    let answer = if matches!(head.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
        // A body here means nothing; the pool finds out whether its end has come.
        body.finish();
        Answer::Accepted
    } else if body.is_end_stream() {
        Answer::Accepted
    } else {
        match kind(session, &head)? {
            Kind::Json => Answer::Json(collect(session, body, session.max_answer_bytes()).await?),
            Kind::Events => Answer::Events(Box::new(EventStream::new(session, body))),
        }
    };
    Ok(Posted { answer, session_id, headers: head.headers })
}

/// Takes the answer to a GET, which must be events.
pub(super) fn only_events(
    session: &Session,
    head: &Parts,
    body: PooledBody,
) -> Result<EventStream, HttpError> {
    match kind(session, head)? {
        Kind::Events => Ok(EventStream::new(session, body)),
        Kind::Json => {
            Err(HttpError::ContentType { origin: session.origin().clone(), found: JSON.to_owned() })
        }
    }
}

/// Reads a body whole. A single frame, the usual case, is not copied.
async fn collect(session: &Session, mut body: PooledBody, limit: usize) -> Result<Bytes, HttpError> {
    let too_large = || HttpError::TooLarge { origin: session.origin().clone(), limit };
    let announced = body.size_hint().lower();
    if usize::try_from(announced).map_or(true, |size| size > limit) {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let frame = match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            Some(Ok(frame)) => frame,
            Some(Err(source)) => {
                return Err(HttpError::Interrupted { origin: session.origin().clone(), source });
            }
            None => break,
        };
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(too_large());
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(usize::try_from(announced).unwrap_or(0).max(first.len() + data.len()));
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Turns an answer that is no success into its error.
pub(super) async fn refusal(session: &Session, head: &Parts, body: PooledBody) -> HttpError {
    let origin = session.origin().clone();
    let body = tokio::time::timeout(ERROR_BODY_WAIT, collect(session, body, MAX_ERROR_BODY));
    let body = body.await.ok().and_then(Result::ok).unwrap_or_default();
    match head.status {
        StatusCode::NOT_FOUND if session.has_id() => HttpError::SessionGone { origin, body },
        StatusCode::UNAUTHORIZED => {
            HttpError::Unauthorized { origin, challenge: head.headers.get(WWW_AUTHENTICATE).cloned() }
        }
        StatusCode::METHOD_NOT_ALLOWED => HttpError::MethodNotAllowed { origin },
        status => {
            let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
            let location = head.headers.get(LOCATION).filter(|_| status.is_redirection()).cloned();
            HttpError::Status { origin, status, retry_after, location, body }
        }
    }
}
