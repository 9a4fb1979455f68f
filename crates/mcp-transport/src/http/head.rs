//! What the head of an HTTP answer said, for whoever asks before the answer is there.
//!
//! Beside the answer and not in it: of an upstream that fails, the status is often all there is to know, and what came
//! after it (a body that broke off, a content type that is none) is an error without place for it. Nobody who does not
//! ask pays for it.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName, StatusCode, header::SET_COOKIE};

use super::SESSION_ID;

/// Headers that are a credential of the connection: whoever has them can speak in its name.
const CREDENTIALS: [HeaderName; 2] = [SESSION_ID, SET_COOKIE];

/// Status and headers of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The headers, without `mcp-session-id` and `set-cookie`.
    pub headers: HeaderMap,
}

/// Where the head of an answer is noted as soon as it has come.
#[derive(Debug, Default)]
pub struct HeadSlot(Mutex<Option<Head>>);

impl HeadSlot {
    /// Takes out what was noted: the head of the last answer; `None` where none has begun.
    pub fn take(&self) -> Option<Head> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes the head of an answer.
    pub fn note(&self, status: StatusCode, headers: &HeaderMap) {
        let mut headers = headers.clone();
        for name in &CREDENTIALS {
            headers.remove(name);
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Head { status, headers });
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn credentials_are_left_out_and_the_last_head_counts() {
        let slot = HeadSlot::default();
        assert_eq!(slot.take(), None);
        let mut headers = HeaderMap::new();
        headers.insert(SESSION_ID, HeaderValue::from_static("secret"));
        headers.insert(SET_COOKIE, HeaderValue::from_static("secret=1"));
        headers.insert("x-kept", HeaderValue::from_static("yes"));
        slot.note(StatusCode::NOT_FOUND, &headers);
        slot.note(StatusCode::BAD_GATEWAY, &headers);
        let head = slot.take().unwrap();
        assert_eq!((head.status, head.headers.len()), (StatusCode::BAD_GATEWAY, 1));
        assert_eq!(head.headers["x-kept"], "yes");
        assert_eq!(slot.take(), None);
    }
}
