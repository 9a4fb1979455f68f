//! Spans in the bytes of OTLP, written one behind the other: names and numbers of its protocol definition, as far as
//! they are used.
//!
//! A request comes to a dozen spans with some hundred attributes. Made as values first, each would be an allocation or
//! two, and encoding them costs as much again, as messages within messages are measured before they are written. Here a
//! length is left open and filled in afterwards: four bytes, of which a short length leaves some unused, as every reader
//! of the format has to accept.

use std::{ops::Range, time::Duration};

use crate::spans::context::{SpanId, TraceId};

/// Kinds of spans.
pub(super) mod kind {
    pub(crate) const INTERNAL: u64 = 1;
    pub(crate) const SERVER: u64 = 2;
    pub(crate) const CLIENT: u64 = 3;
}

/// Wire types.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Bytes that a length left open takes. It can be as large as 256 MiB; what is written is cut far below that.
const OPEN: usize = 4;

/// Number of the spans in the message that holds them.
const SPANS: u32 = 2;
/// Number of the attributes of a span.
const ATTRIBUTES: u32 = 9;

/// What all spans have in common.
pub(super) struct Frame<'a> {
    pub(super) trace: &'a TraceId,
    pub(super) id: &'a SpanId,
    pub(super) parent: Option<&'a SpanId>,
    pub(super) state: &'a str,
    pub(super) flags: u8,
    pub(super) kind: u64,
    /// Its name, in parts.
    pub(super) name: &'a [&'a str],
    /// When it began, since the beginning of 1970.
    pub(super) start: Duration,
    pub(super) took: Duration,
}

/// Writes one span with what `more` adds to it.
pub(super) fn span(out: &mut Vec<u8>, frame: &Frame<'_>, more: impl FnOnce(&mut Span<'_>)) {
    message(out, SPANS, |out| {
        bytes(out, 1, frame.trace);
        bytes(out, 2, frame.id);
        if !frame.state.is_empty() {
            bytes(out, 3, frame.state.as_bytes());
        }
        if let Some(parent) = frame.parent {
            bytes(out, 4, parent);
        }
        head(out, 5, BYTES);
        varint(out, frame.name.iter().map(|part| part.len() as u64).sum());
        frame.name.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        number(out, 6, frame.kind);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        fixed64(out, 7, nanos(frame.start));
        fixed64(out, 8, nanos(frame.start.saturating_add(frame.took)));
        head(out, 16, FIXED32);
        out.extend_from_slice(&u32::from(frame.flags).to_le_bytes());
        more(&mut Span(out));
    });
}

/// A span that is being written.
pub(super) struct Span<'a>(&'a mut Vec<u8>);

impl Span<'_> {
    /// An attribute that is text.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        attribute(self.0, ATTRIBUTES, key, value);
    }

    /// An attribute that is true or false.
    pub(super) fn truth(&mut self, key: &str, value: bool) {
        begin(self.0, ATTRIBUTES, key, 2);
        number(self.0, 2, value.into());
    }

    /// An attribute that is a count.
    pub(super) fn count(&mut self, key: &str, value: usize) {
        begin(self.0, ATTRIBUTES, key, 1 + varint_len(value));
        number(self.0, 3, value as u64);
    }

    /// Bytes that stand before what is written next, of this span and those before it.
    pub(super) fn written(&self) -> usize {
        self.0.len()
    }

    /// Writes again what is written there: whole fields of a span.
    pub(super) fn again(&mut self, written: Range<usize>) {
        self.0.extend_from_within(written);
    }

    /// Says that what it stands for went wrong.
    pub(super) fn error(&mut self, message: &str) {
        self::message(self.0, 15, |out| {
            bytes(out, 2, message.as_bytes());
            number(out, 3, 2);
        });
    }
}

/// Writes an attribute that is text.
pub(super) fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &str) {
    begin(out, field, key, 1 + varint_len(value.len()) + value.len());
    bytes(out, 1, value.as_bytes());
}

/// Begins an attribute whose value takes so many bytes.
fn begin(out: &mut Vec<u8>, field: u32, key: &str, value: usize) {
    let pair = 1 + varint_len(key.len()) + key.len() + 1 + varint_len(value) + value;
    head(out, field, BYTES);
    varint(out, pair as u64);
    bytes(out, 1, key.as_bytes());
    head(out, 2, BYTES);
    varint(out, value as u64);
}

/// Writes a message of unknown length.
pub(super) fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    head(out, field, BYTES);
    let start = out.len() + OPEN;
    out.extend_from_slice(&[0; OPEN]);
    write(out);
    let length = out.len() - start;
    for (at, byte) in out[start - OPEN..start].iter_mut().enumerate() {
        let more = if at + 1 < OPEN { 0x80 } else { 0 };
        *byte = (length >> (7 * at)) as u8 & 0x7f | more;
    }
}

/// Writes bytes, or text.
pub(super) fn bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    head(out, field, BYTES);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn number(out: &mut Vec<u8>, field: u32, number: u64) {
    head(out, field, VARINT);
    varint(out, number);
}

fn fixed64(out: &mut Vec<u8>, field: u32, number: u64) {
    head(out, field, FIXED64);
    out.extend_from_slice(&number.to_le_bytes());
}

fn head(out: &mut Vec<u8>, field: u32, wire: u32) {
    varint(out, (field << 3 | wire).into());
}

#[inline]
fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn varint_len(number: usize) -> usize {
    let bits = (usize::BITS - number.leading_zeros()).max(1) as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        common::v1::{AnyValue, any_value::Value},
        trace::v1::{ScopeSpans, Span as Read, status::StatusCode},
    };
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    #[derive(Clone, Debug)]
    enum Given {
        Text(String),
        Truth(bool),
        Count(usize),
    }

    fn given() -> impl Strategy<Value = Given> {
        prop_oneof![
            ".{0,300}".prop_map(Given::Text),
            any::<bool>().prop_map(Given::Truth),
            (0..usize::MAX / 2).prop_map(Given::Count),
        ]
    }

    fn read(value: Option<AnyValue>) -> Option<Given> {
        match value?.value? {
            Value::StringValue(text) => Some(Given::Text(text)),
            Value::BoolValue(truth) => Some(Given::Truth(truth)),
            Value::IntValue(count) => Some(Given::Count(usize::try_from(count).ok()?)),
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_by_the_protocols_own_messages(
            trace in any::<[u8; 16]>(),
            ids in any::<[[u8; 8]; 2]>(),
            parent in any::<bool>(),
            state in "[a-z=,]{0,20}",
            name in ".{0,200}",
            nanos in 0_u64..u64::MAX / 2,
            took in 0_u64..u64::MAX / 2,
            attributes in prop::collection::vec((".{0,40}", given()), 0..12),
            failed in prop::option::of(".{0,150}"),
        ) {
            let frame = Frame {
                trace: &trace,
                id: &ids[0],
                parent: parent.then_some(&ids[1]),
                state: &state,
                flags: 3,
                kind: kind::CLIENT,
                name: &["a ", &name],
                start: Duration::from_nanos(nanos),
                took: Duration::from_nanos(took),
            };
            let mut out = Vec::new();
            for _ in 0..2 {
                span(&mut out, &frame, |span| {
                    for (key, value) in &attributes {
                        match value {
                            Given::Text(text) => span.text(key, text),
                            Given::Truth(truth) => span.truth(key, *truth),
                            Given::Count(count) => span.count(key, *count),
                        }
                    }
                    if let Some(message) = &failed {
                        span.error(message);
                    }
                });
            }
            let [first, second]: [Read; 2] = ScopeSpans::decode(&out[..]).unwrap().spans.try_into().unwrap();
            prop_assert_eq!(&first, &second);
            prop_assert_eq!(&first.trace_id, &trace);
            prop_assert_eq!(&first.span_id, &ids[0]);
            prop_assert_eq!(first.parent_span_id, if parent { ids[1].to_vec() } else { Vec::new() });
            prop_assert_eq!((first.trace_state, first.flags, first.kind), (state, 3, 3));
            prop_assert_eq!(first.name, format!("a {name}"));
            prop_assert_eq!((first.start_time_unix_nano, first.end_time_unix_nano), (nanos, nanos + took));
            let status = first.status.map(|status| (status.code(), status.message));
            prop_assert_eq!(status, failed.map(|message| (StatusCode::Error, message)));
            prop_assert_eq!(first.attributes.len(), attributes.len());
            for (seen, (key, value)) in first.attributes.into_iter().zip(&attributes) {
                prop_assert_eq!(&seen.key, key);
                prop_assert_eq!(format!("{:?}", read(seen.value)), format!("{:?}", Some(value)));
            }
        }
    }
}
