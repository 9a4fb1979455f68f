//! The W3C trace context of one request: what its caller says, and what goes on to upstreams.
//!
//! Read strictly, as it comes from anyone: text that is not exactly a context is none, so nothing else can travel on in
//! its headers. A request that is not traced here is a stranger's matter, and the caller's context goes on as it came.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use mortise_mcp::raw::Raw;

use super::Spans;
use crate::trace::FinishedCall;

/// The caller's position in a trace.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems say about it to one another.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Longest state that goes on, in bytes.
const LONGEST_STATE: usize = 512;

/// Length of a context of the version this knows.
const LENGTH: usize = 55;

/// The caller traces this request.
const SAMPLED: u8 = 1;

/// Id of a trace.
pub(super) type TraceId = [u8; 16];
/// Id of a span.
pub(super) type SpanId = [u8; 8];

/// The trace a request belongs to.
#[derive(Debug)]
pub struct TraceContext {
    /// The trace.
    pub trace: [u8; 16],
    /// The caller's span.
    pub parent: Option<[u8; 8]>,
    /// The request's span, and the one of its call to the upstream; `None` where it is not traced here.
    pub own: Option<Own>,
    flags: u8,
    state: Option<HeaderValue>,
}

/// The spans of a request that is traced here.
#[derive(Debug)]
pub struct Own {
    /// The request's.
    pub span: [u8; 8],
    /// The call to the upstream.
    pub upstream: [u8; 8],
    pub(super) spans: Arc<Spans>,
}

/// What a caller says.
#[derive(Debug, PartialEq)]
struct Caller {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl Own {
    /// Takes the call that these spans are of, when it is over.
    pub(crate) fn take(&self, call: &FinishedCall) {
        self.spans.take(call);
    }
}

impl TraceContext {
    /// The context of a request with these headers; `None` where there is nothing to trace and nothing to pass on.
    #[must_use]
    pub fn begin(headers: &HeaderMap, spans: Option<&Arc<Spans>>) -> Option<Arc<Self>> {
        let caller = single(headers, &TRACEPARENT).and_then(|value| Caller::parse(value.as_bytes()));
        if caller.is_none() && spans.is_none() {
            return None;
        }
        let trace = caller.as_ref().map_or_else(new_trace, |caller| caller.trace);
        let said = caller.as_ref().map(|caller| caller.flags & SAMPLED != 0);
        let spans = spans.filter(|spans| spans.samples(trace, said));
        if caller.is_none() && spans.is_none() {
            return None;
        }
        let own = spans.map(|spans| Own { span: new_span(), upstream: new_span(), spans: spans.clone() });
        let flags = caller.as_ref().map_or(0, |caller| caller.flags);
        Some(Arc::new(Self {
            trace,
            parent: caller.as_ref().map(|caller| caller.span),
            flags: if own.is_some() { flags | SAMPLED } else { flags },
            state: caller.and_then(|_| state(headers)),
            own,
        }))
    }

    /// The same for another request of the same HTTP request: with spans of its own.
    pub(crate) fn beside(&self) -> Arc<Self> {
        let own = |own: &Own| Own { span: new_span(), upstream: new_span(), spans: own.spans.clone() };
        Arc::new(Self {
            trace: self.trace,
            parent: self.parent,
            own: self.own.as_ref().map(own),
            flags: self.flags,
            state: self.state.clone(),
        })
    }

    /// What plugins see as the request's `traceparent`: its own span where it is traced here, else the caller's.
    #[must_use]
    pub fn shown(&self) -> Arc<str> {
        let span = self.own.as_ref().map(|own| own.span).or(self.parent).unwrap_or_default();
        text(self.trace, span, self.flags).into()
    }

    /// What goes on to an upstream.
    fn outgoing(&self) -> String {
        let span = self.own.as_ref().map(|own| own.upstream).or(self.parent).unwrap_or_default();
        text(self.trace, span, self.flags)
    }

    /// Headers for an upstream with the context among them, unless a plugin has set one.
    #[must_use]
    pub fn with_headers(&self, headers: Option<&HeaderMap>) -> HeaderMap {
        let mut headers = headers.cloned().unwrap_or_default();
        if headers.contains_key(TRACEPARENT) {
            return headers;
        }
        if let Ok(value) = HeaderValue::try_from(self.outgoing()) {
            headers.insert(TRACEPARENT, value);
            if let Some(state) = &self.state {
                headers.insert(TRACESTATE, state.clone());
            }
        }
        headers
    }

    /// Parameters for an upstream without headers, with the context in `_meta` unless the client has put one there.
    /// `None` where it has, or where they are not what can be added to.
    #[must_use]
    pub fn with_meta(&self, params: Option<&Raw>) -> Option<Raw> {
        let nothing = Raw::EMPTY_OBJECT;
        let object = params.unwrap_or(&nothing).object().ok()?;
        let empty = nothing.object().ok()?;
        let old = match object.get("_meta").ok()? {
            Some(meta) if meta.get() != "null" => object.get_object("_meta").ok()?,
            _ => None,
        };
        let meta = old.as_ref().unwrap_or(&empty);
        if meta.get(TRACEPARENT.as_str()).ok()?.is_some() {
            return None;
        }
        let state = (!self.state().is_empty()).then(|| Raw::string(self.state()));
        let parent = Raw::string(&self.outgoing());
        let spliced = meta.splice().set("traceparent", &parent).ok()?;
        let meta = spliced.set_if("tracestate", state.as_ref()).ok()?.finish();
        Some(object.splice().set("_meta", &meta).ok()?.finish())
    }

    /// The caller's state, for the request's span.
    pub(super) fn state(&self) -> &str {
        self.state.as_ref().and_then(|state| state.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn flags(&self) -> u8 {
        self.flags
    }
}

impl Caller {
    /// `00-{32 digits}-{16 digits}-{2 digits}`, in lower case; of later versions, what they begin with.
    fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = (text.get(..LENGTH)?, &text[LENGTH..]);
        let version = digits::<1>(&head[..2])?[0];
        let goes_on = version > 0 && rest.first() == Some(&b'-');
        if version == 0xff || !(rest.is_empty() || goes_on) || [2, 35, 52].iter().any(|at| head[*at] != b'-')
        {
            return None;
        }
        let (trace, span) = (digits::<16>(&head[3..35])?, digits::<8>(&head[36..52])?);
        let flags = digits::<1>(&head[53..])?[0];
        // The second says that the trace's id is random; the others mean nothing yet.
        (trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span, flags: flags & 0b11 })
    }
}

fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

/// Written digit by digit: a traced request needs two of them.
fn text(trace: [u8; 16], span: [u8; 8], flags: u8) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(LENGTH);
    text.push_str("00");
    for part in [&trace[..], &span, &[flags]] {
        text.push('-');
        for byte in part {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
    }
    text
}

/// The value of a header that stands once; twice is nobody's context.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()).peekable();
    values.peek()?;
    let joined = values.collect::<Vec<_>>().join(",");
    (!joined.is_empty() && joined.len() <= LONGEST_STATE).then(|| HeaderValue::try_from(joined).ok())?
}

fn new_trace() -> TraceId {
    let [high, low] = [next(), next()];
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

pub(super) fn new_span() -> SpanId {
    // Zero is no id.
    next().max(1).to_be_bytes()
}

/// Numbers to tell spans apart by; they are no secrets, and asking the system for each would cost more than all the rest.
fn next() -> u64 {
    thread_local! {
        static SEED: Cell<u64> = Cell::new(RandomState::new().hash_one("spans"));
    }
    SEED.with(|seed| {
        let state = seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        seed.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn without_tracing_the_callers_context_goes_on_as_it_came() {
        let headers = headers(&[("traceparent", GIVEN), ("tracestate", "a=1"), ("tracestate", "b=2")]);
        let context = TraceContext::begin(&headers, None).unwrap();
        let sent = context.with_headers(None);
        assert_eq!(
            (&sent["traceparent"], &sent["tracestate"]),
            (&HeaderValue::from_static(GIVEN), &HeaderValue::from_static("a=1,b=2"))
        );
        assert_eq!(&*context.shown(), GIVEN);
        assert!(TraceContext::begin(&HeaderMap::new(), None).is_none());
    }

    #[test]
    fn a_plugins_or_clients_own_context_stays() {
        let context = TraceContext::begin(&headers(&[("traceparent", GIVEN)]), None).unwrap();
        let own = headers(&[("traceparent", "mine")]);
        assert_eq!(context.with_headers(Some(&own)), own);
        let params = Raw::parse(r#"{"name":"t","_meta":{"traceparent":"mine"}}"#).unwrap();
        assert!(context.with_meta(Some(&params)).is_none());
        let params = Raw::parse(r#"{"name":"t","_meta":{"k":1}}"#).unwrap();
        let sent: serde_json::Value = context.with_meta(Some(&params)).unwrap().decode().unwrap();
        assert_eq!(sent, serde_json::json!({ "name": "t", "_meta": { "k": 1, "traceparent": GIVEN } }));
    }

    #[test]
    fn what_is_not_exactly_a_context_is_none() {
        for text in [
            "",
            "00-1",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Caller::parse(text.as_bytes()), None, "{text}");
        }
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert_eq!(Caller::parse(later.as_bytes()), Caller::parse(GIVEN.as_bytes()));
        let mut twice = headers(&[("traceparent", GIVEN)]);
        twice.append(TRACEPARENT, HeaderValue::from_static(GIVEN));
        assert!(TraceContext::begin(&twice, None).is_none());
    }

    proptest! {
        #[test]
        fn reading_any_bytes_ends_in_a_context_that_reads_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(caller) = Caller::parse(&bytes) {
                let written = text(caller.trace, caller.span, caller.flags);
                prop_assert_eq!(Caller::parse(written.as_bytes()), Some(caller));
            }
        }

        #[test]
        fn contexts_are_read_back(trace in 1_u128.., span in 1_u64.., flags in 0_u8..4) {
            let written = text(trace.to_be_bytes(), span.to_be_bytes(), flags);
            let read = Caller { trace: trace.to_be_bytes(), span: span.to_be_bytes(), flags };
            prop_assert_eq!(Caller::parse(written.as_bytes()), Some(read));
        }
    }
}
