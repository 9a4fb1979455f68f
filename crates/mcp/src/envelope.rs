//! The JSON-RPC 2.0 envelope: what is a request, a notification, a response, and to which id it belongs.
//!
//! Not for looking into `params` or `result`; [`crate::params`] does that where someone asks. One shallow parse
//! finds the members of the envelope; `params`, `result` and `error` stay slices of the body they came in
//! ([`Raw`]), and the encoders copy them out again unchanged. Members of the envelope that JSON-RPC does not
//! know are dropped: nothing may travel through the gateway beside what it looked at.
//!
//! Strict where leniency would let two peers read one message differently (duplicate members, `method` beside
//! `result`, a missing `jsonrpc`); lenient in one place: `"params": null`, which some senders write for "none".

use std::borrow::Cow;

use bytes::{BufMut, Bytes};

use crate::raw::{DEFAULT_MAX_DEPTH, Raw};

mod encode;
mod error;
mod id;
pub mod method;
mod parse;
#[cfg(test)]
mod tests;

pub use encode::{write_error, write_message, write_notification, write_request, write_response};
pub use error::{ErrorObject, RpcError, code};
pub use id::RequestId;
pub use method::{Method, method_name};

/// Bounds on what is taken as a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a body. 64 MiB by default, so that a resource of 32 MiB fits in base64.
    pub max_bytes: usize,
    /// Deepest nesting of arrays and objects, the envelope itself included. 128 by default.
    pub max_depth: usize,
    /// Most messages in a batch. 1,000 by default; 0 refuses batches.
    pub max_batch: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_depth: DEFAULT_MAX_DEPTH, max_batch: 1_000 }
    }
}

/// A message that expects an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the sender; the answer carries it.
    pub id: RequestId,
    /// What is asked for, for example `tools/call`.
    pub method: Method,
    /// The parameters: an object or an array, or nothing.
    pub params: Option<Raw>,
}

/// A message that expects no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// What happened, for example `notifications/progress`.
    pub method: Method,
    /// The parameters: an object or an array, or nothing.
    pub params: Option<Raw>,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The id of the request; `None` in an error about a message whose id could not be read.
    pub id: Option<RequestId>,
    /// The result, or the error object.
    pub outcome: Result<Raw, RpcError>,
}

impl Response {
    /// A successful answer.
    #[must_use]
    pub fn ok(id: RequestId, result: Raw) -> Self {
        Self { id: Some(id), outcome: Ok(result) }
    }

    /// A failed answer.
    #[must_use]
    pub fn err(id: Option<RequestId>, error: &ErrorObject) -> Self {
        Self { id, outcome: Err(error.to_rpc_error()) }
    }
}

/// Any message of JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Expects an answer.
    Request(Request),
    /// Expects none.
    Notification(Notification),
    /// Is an answer.
    Response(Response),
}

impl Message {
    /// Reads a body that must be a single message; a batch is an invalid request.
    ///
    /// # Errors
    /// [`EnvelopeError`], with the code to answer with and the id where one was readable.
    pub fn parse(body: &Bytes, limits: &Limits) -> Result<Self, EnvelopeError> {
        parse::single(body, limits)
    }

    /// The method of a request or notification.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match self {
            Self::Request(request) => Some(&request.method),
            Self::Notification(notification) => Some(&notification.method),
            Self::Response(_) => None,
        }
    }

    /// Encodes the message.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.size_hint());
        write_message(&mut out, self);
        out.into()
    }

    fn size_hint(&self) -> usize {
        let (id, payload) = match self {
            Self::Request(r) => (Some(&r.id), r.params.as_ref()),
            Self::Notification(n) => (None, n.params.as_ref()),
            Self::Response(r) => (
                r.id.as_ref(),
                Some(match &r.outcome {
                    Ok(result) => result,
                    Err(error) => error.raw(),
                }),
            ),
        };
        let id = id.map_or(4, |id| id.as_json().len());
        let payload = payload.map_or(0, |raw| raw.as_bytes().len());
        96 + id + payload
    }
}

/// What a body holds.
#[derive(Debug)]
pub enum Body {
    /// One message.
    Single(Message),
    /// Several, as protocol revision 2025-03-26 allowed. Each is read for itself, so that one bad message does
    /// not cost the others; never empty.
    Batch(Vec<Result<Message, EnvelopeError>>),
}

impl Body {
    /// Reads a body that may be a batch.
    ///
    /// # Errors
    /// [`EnvelopeError`] where the body as a whole cannot be taken: not JSON, over a limit, an empty batch, or
    /// a single message that is wrong.
    pub fn parse(body: &Bytes, limits: &Limits) -> Result<Self, EnvelopeError> {
        parse::body(body, limits)
    }
}

/// Why a body is no message.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct EnvelopeError {
    /// What is wrong.
    pub kind: EnvelopeErrorKind,
    /// The id of the message where it could be read, to answer with; else the answer's id is `null`.
    pub id: Option<RequestId>,
}

impl EnvelopeError {
    pub(crate) fn new(kind: EnvelopeErrorKind) -> Self {
        Self { kind, id: None }
    }

    /// The JSON-RPC code to answer with: [`code::PARSE_ERROR`] or [`code::INVALID_REQUEST`].
    #[must_use]
    pub fn code(&self) -> i64 {
        match self.kind {
            EnvelopeErrorKind::NotJson { .. } => code::PARSE_ERROR,
            _ => code::INVALID_REQUEST,
        }
    }

    /// The error response to send back.
    #[must_use]
    pub fn to_response(&self) -> Response {
        Response::err(self.id.clone(), &ErrorObject::new(self.code(), self.kind.to_string()))
    }
}

/// The ways a body can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeErrorKind {
    /// The body is not JSON in UTF-8.
    #[error("could not read the message as JSON (line {line}, column {column})")]
    NotJson {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault.
        column: usize,
    },
    /// The body is longer than allowed.
    #[error("could not take a message of {size} bytes: at most {max} are allowed")]
    TooLarge {
        /// Bytes of the body.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// Arrays and objects are nested deeper than allowed.
    #[error("could not take a message nested deeper than {max} levels")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// The message is no object, or a batch where none is allowed.
    #[error("could not read the message: expected a JSON-RPC object")]
    NotAnObject,
    /// The batch is empty.
    #[error("could not take an empty batch")]
    EmptyBatch,
    /// The batch holds more messages than allowed.
    #[error("could not take a batch of more than {max} messages")]
    BatchTooLong {
        /// The limit.
        max: usize,
    },
    /// The member `jsonrpc` is missing or not `"2.0"`.
    #[error("could not read the message: `jsonrpc` must be \"2.0\"")]
    Version,
    /// A member of the envelope occurs twice.
    #[error("could not read the message: member `{0}` occurs more than once")]
    Duplicate(&'static str),
    /// A member of the envelope has a value of the wrong type.
    #[error("could not read the message: `{member}` must be {expected}")]
    Member {
        /// The member.
        member: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The message is none of request, notification and response, or more than one of them.
    #[error("could not read the message: {0}")]
    Form(&'static str),
}

/// Encodes a batch. An empty slice gives `[]`, which is not a valid body: send nothing then.
#[must_use]
pub fn batch_to_bytes(messages: &[Message]) -> Bytes {
    let mut out = Vec::with_capacity(2 + messages.iter().map(Message::size_hint).sum::<usize>());
    out.put_u8(b'[');
    for (at, message) in messages.iter().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        write_message(&mut out, message);
    }
    out.put_u8(b']');
    out.into()
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Notification> for Message {
    fn from(notification: Notification) -> Self {
        Self::Notification(notification)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

impl Request {
    /// Makes a request.
    #[must_use]
    pub fn new(id: RequestId, name: impl Into<Cow<'static, str>>, params: Option<Raw>) -> Self {
        Self { id, method: name.into(), params }
    }
}

impl Notification {
    /// Makes a notification.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, params: Option<Raw>) -> Self {
        Self { method: name.into(), params }
    }
}
