//! Reading bodies: one pass over the text, members as slices of it.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    Body, EnvelopeError, EnvelopeErrorKind as Kind, Limits, Message, Notification, Request, RequestId,
    Response, RpcError, method_name,
};
use crate::raw::{self, NotJson, Raw, RawStr, as_string, check_depth, members};

pub(super) fn single(body: &Bytes, limits: &Limits) -> Result<Message, EnvelopeError> {
    check_limits(body, limits).map_err(EnvelopeError::new)?;
    message(body, raw::trim(body))
}

pub(super) fn body(body: &Bytes, limits: &Limits) -> Result<Body, EnvelopeError> {
    check_limits(body, limits).map_err(EnvelopeError::new)?;
    let text = raw::trim(body);
    if text.first() != Some(&b'[') {
        return message(body, text).map(Body::Single);
    }
    let elements = batch(text, limits.max_batch).map_err(EnvelopeError::new)?;
    let messages = elements.iter().map(|element| message(body, element.get().as_bytes()));
    Ok(Body::Batch(messages.collect()))
}

fn check_limits(body: &[u8], limits: &Limits) -> Result<(), Kind> {
    if body.len() > limits.max_bytes {
        return Err(Kind::TooLarge { size: body.len(), max: limits.max_bytes });
    }
    check_depth(body, limits.max_depth).map_err(|_| Kind::TooDeep { max: limits.max_depth })
}

/// Where a text that is no JSON goes wrong.
fn fault(text: &[u8]) -> Kind {
    match serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(text) {
        Err(error) => not_json(&error),
        // Both readers agree on what is JSON; should they ever not, the stricter one holds.
        Ok(_) => Kind::NotJson { line: 1, column: 0 },
    }
}

fn not_json(error: &serde_json::Error) -> Kind {
    Kind::NotJson { line: error.line(), column: error.column() }
}

/// Reads one message; `text` is trimmed and lies within `body`.
fn message(body: &Bytes, text: &[u8]) -> Result<Message, EnvelopeError> {
    if text.first() != Some(&b'{') {
        let kind = match serde_json::from_slice::<IgnoredAny>(text) {
            Ok(_) => Kind::NotAnObject,
            Err(error) => not_json(&error),
        };
        return Err(EnvelopeError::new(kind));
    }
    let members = match simdutf8::basic::from_utf8(text).map(Members::read) {
        Ok(Ok(members)) => members,
        _ => return Err(EnvelopeError::new(fault(text))),
    };
    let id = match members.id {
        // Two ids leave none to answer with.
        Some(_) if members.duplicate == Some("id") => None,
        Some(value) => RequestId::from_json(value),
        None => None,
    };
    classify(body, &members, id.clone()).map_err(|kind| EnvelopeError { kind, id })
}

fn classify(body: &Bytes, members: &Members<'_>, id: Option<RequestId>) -> Result<Message, Kind> {
    if let Some(name) = members.duplicate {
        return Err(Kind::Duplicate(name));
    }
    match members.jsonrpc {
        Some(version) if version.get() == "\"2.0\"" || as_string(version).as_deref() == Some("2.0") => {}
        _ => return Err(Kind::Version),
    }
    if members.id.is_some_and(|value| value.get() != "null") && id.is_none() {
        return Err(Kind::Member { member: "id", expected: "a string or a number" });
    }
    match (members.method, members.result, members.error) {
        (Some(method), None, None) => call(body, members, method, id),
        (None, Some(result), None) => answer(body, members, result, id),
        (None, None, Some(error)) => failure(body, members, error, id),
        (None, None, None) => Err(Kind::Form("it has none of `method`, `result` and `error`")),
        _ => Err(Kind::Form("it has more than one of `method`, `result` and `error`")),
    }
}

fn call(
    body: &Bytes,
    members: &Members<'_>,
    method: RawStr<'_>,
    id: Option<RequestId>,
) -> Result<Message, Kind> {
    let method = as_string(method).ok_or(Kind::Member { member: "method", expected: "a string" })?;
    let method = method_name(method);
    let params = match members.params {
        Some(params) => match params.get().as_bytes().first() {
            Some(b'{' | b'[') => Some(Raw::within(body, params)),
            _ if params.get() == "null" => None,
            _ => {
                return Err(Kind::Member { member: "params", expected: "an object or an array" });
            }
        },
        None => None,
    };
    match (id, members.id) {
        (Some(id), _) => Ok(Request { id, method, params }.into()),
        (None, None) => Ok(Notification { method, params }.into()),
        (None, Some(_)) => Err(Kind::Member { member: "id", expected: "a string or a number" }),
    }
}

fn answer(
    body: &Bytes,
    members: &Members<'_>,
    result: RawStr<'_>,
    id: Option<RequestId>,
) -> Result<Message, Kind> {
    no_params(members)?;
    let id = id.ok_or(Kind::Form("a result needs the `id` of its request"))?;
    Ok(Response::ok(id, Raw::within(body, result)).into())
}

fn failure(
    body: &Bytes,
    members: &Members<'_>,
    error: RawStr<'_>,
    id: Option<RequestId>,
) -> Result<Message, Kind> {
    no_params(members)?;
    let error = RpcError::new(Raw::within(body, error))
        .map_err(|_| Kind::Member { member: "error", expected: "an object" })?;
    Ok(Message::Response(Response { id, outcome: Err(error) }))
}

fn no_params(members: &Members<'_>) -> Result<(), Kind> {
    match members.params {
        Some(_) => Err(Kind::Form("a response has no `params`")),
        None => Ok(()),
    }
}

/// Splits a batch without looking into its elements.
fn batch(text: &[u8], max: usize) -> Result<Vec<&RawValue>, Kind> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let elements = deserializer
        .deserialize_seq(BatchVisitor { max })
        .and_then(|elements| deserializer.end().map(|()| elements));
    match elements {
        Ok(elements) if elements.is_empty() => Err(Kind::EmptyBatch),
        Ok(elements) => Ok(elements),
        Err(error) if error.is_data() => Err(Kind::BatchTooLong { max }),
        Err(error) => Err(not_json(&error)),
    }
}

struct BatchVisitor {
    max: usize,
}

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            if elements.len() == self.max {
                return Err(A::Error::custom("too many"));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

/// The members of an envelope as text.
#[derive(Default)]
struct Members<'a> {
    jsonrpc: Option<RawStr<'a>>,
    id: Option<RawStr<'a>>,
    method: Option<RawStr<'a>>,
    params: Option<RawStr<'a>>,
    result: Option<RawStr<'a>>,
    error: Option<RawStr<'a>>,
    duplicate: Option<&'static str>,
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Result<Self, NotJson> {
        let mut found = Self::default();
        members(text, |name, value| {
            let (slot, name) = match &*name {
                "jsonrpc" => (&mut found.jsonrpc, "jsonrpc"),
                "id" => (&mut found.id, "id"),
                "method" => (&mut found.method, "method"),
                "params" => (&mut found.params, "params"),
                "result" => (&mut found.result, "result"),
                "error" => (&mut found.error, "error"),
                _ => return true,
            };
            if slot.replace(value).is_some() {
                found.duplicate = Some(name);
            }
            true
        })?;
        Ok(found)
    }
}
