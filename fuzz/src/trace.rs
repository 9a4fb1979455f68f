//! The trace context that a caller sends along.

use http::{HeaderMap, HeaderName, HeaderValue};
use mortise_gateway::spans::TraceContext;
use mortise_mcp::raw::Raw;
use serde_json::Value;

use super::json::Tree;

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// A line with `traceparent`, one with `tracestate`, then the parameters of a request.
pub fn context(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [PARENT, STATE] {
        if let Some(value) = parts.next().and_then(|part| HeaderValue::from_bytes(part).ok()) {
            headers.insert(name, value);
        }
    }
    let Some(context) = TraceContext::begin(&headers, None) else { return };
    let shown = context.shown();
    assert_eq!(given(&headers)[2..52], shown.as_bytes()[2..52], "the same trace and span");
    let sent = context.with_headers(None);
    assert_eq!(given(&sent), shown.as_bytes(), "what plugins see is what goes on");
    let plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    assert!(shown.len() == 55 && shown.as_bytes().iter().all(plain), "{shown} is a context and nothing else");
    if let Some(state) = sent.get(STATE) {
        assert!(state.len() <= 512 && headers.get(STATE) == Some(state), "a state goes on as it came");
    }
    let again = TraceContext::begin(&sent, None).unwrap();
    assert_eq!(again.with_headers(None), sent, "and is read as the same where it arrives");
    if let Ok(params) = Raw::parse(parts.next().unwrap_or_default().to_vec()) {
        in_parameters(&context, &params, &shown);
    }
}

fn given(headers: &HeaderMap) -> &[u8] {
    headers[PARENT].as_bytes()
}

/// In parameters it stands in `_meta`, and nothing else is touched.
fn in_parameters(context: &TraceContext, params: &Raw, shown: &str) {
    // Which of several members of a name counts is another target's question.
    if Tree::parse(params.as_bytes()).is_none_or(|tree| tree.is_ambiguous()) {
        return;
    }
    let Some(written) = context.with_meta(Some(params)) else { return };
    let Ok(Value::Object(mut before)) = serde_json::from_slice::<Value>(params.as_bytes()) else { return };
    let after: Value = serde_json::from_slice(written.as_bytes()).unwrap();
    let Value::Object(mut after) = after else { panic!("{after} is an object") };
    let mut meta = after.shift_remove("_meta").unwrap();
    let old = before.shift_remove("_meta").unwrap_or_default();
    assert_eq!(after, before, "what is no metadata stays");
    assert_eq!(meta["traceparent"], shown);
    let meta = meta.as_object_mut().unwrap();
    let added = ["traceparent", "tracestate"];
    let kept = |(name, _): &(&String, &Value)| !added.contains(&name.as_str());
    let old = old.as_object().cloned().unwrap_or_default();
    assert!(meta.iter().filter(kept).eq(old.iter().filter(kept)), "metadata of the client's own stays");
}
