//! One frame of a stream.

use std::ops::Range;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::json;

use super::event_stream::{self, Header};

/// A part of a stream that means something by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub(super) raw: Bytes,
    pub(super) name: Option<Box<str>>,
    pub(super) data: Bytes,
    pub(super) form: Form,
}

/// How the data stands in the raw bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As one piece, so that what is around it can stay.
    Piece(Range<usize>),
    /// As lines of a server-sent event, or not at all.
    Lines,
    /// As a message of an event stream.
    Message,
    /// In such a message as base64, which is how InvokeModel streams.
    Chunk,
}

impl Frame {
    /// The bytes it came in as, with what parts it from the next.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The event's name; of an event stream its type, or that of its exception.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The JSON within; empty in comments and what else carries none.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Whether it is OpenAI's `[DONE]`.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.data.trim_ascii() == b"[DONE]"
    }

    /// Whether it carries no data.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.trim_ascii().is_empty()
    }

    /// Whether it is an exception of an event stream.
    #[must_use]
    pub fn is_exception(&self) -> bool {
        self.form == Form::Message && self.name().is_some_and(|name| name.ends_with("xception"))
    }

    /// The frame with other data. `data` is JSON without line ends.
    #[must_use]
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        match &self.form {
            Form::Piece(at) => [&self.raw[..at.start], data, &self.raw[at.end..]].concat().into(),
            Form::Lines => Self::sse(self.name(), data),
            Form::Message => event_stream::with_payload(&self.raw, data),
            Form::Chunk => {
                let payload = json!({ "bytes": STANDARD.encode(data) }).to_string();
                event_stream::with_payload(&self.raw, payload.as_bytes())
            }
        }
    }

    /// A server-sent event.
    #[must_use]
    pub fn sse(name: Option<&str>, data: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(data.len() + 32);
        if let Some(name) = name {
            out.extend_from_slice(format!("event: {name}\n").as_bytes());
        }
        for line in data.split(|byte| *byte == b'\n') {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.push(b'\n');
        out.into()
    }

    /// An event of an event stream.
    #[must_use]
    pub fn event(name: &str, data: &[u8]) -> Bytes {
        let headers = [
            Header::text(":event-type", name),
            Header::text(":content-type", "application/json"),
            Header::text(":message-type", "event"),
        ];
        event_stream::encode(&headers, data)
    }

    /// An exception of an event stream, which ends it.
    #[must_use]
    pub fn exception(name: &str, data: &[u8]) -> Bytes {
        let headers = [
            Header::text(":exception-type", name),
            Header::text(":content-type", "application/json"),
            Header::text(":message-type", "exception"),
        ];
        event_stream::encode(&headers, data)
    }

    /// A frame as it would come in, of bytes made by this crate.
    pub(crate) fn of(raw: &[u8], framing: super::Framing) -> Option<Self> {
        let mut decoder = super::Decoder::new(framing, usize::MAX);
        let mut frames = Vec::new();
        decoder.feed(raw, &mut frames).ok()?;
        frames.pop()
    }
}
