//! Spans of requests to models, and the trace that goes on to their vendors.

use mortise_plugin_api::{
    Hook,
    hooks::{LlmInput, LlmOutput},
};
use mortise_testkit::plugins;
use mortise_tests::collector::{Collector, attribute, hex, named, of_kind};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use crate::{
    chat_at, post, question, setup,
    vendor::{Answer, Vendor, chat, delta, last},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn call_becomes_spans_of_request_vendor_hooks_and_plugins_within_the_callers_trace() {
    let (collector, vendor) = (Collector::start().await, Vendor::start([chat("hi")]).await);
    let stand = setup(&vendor, json!({}))
        .plugin("quiet", plugins::noop(&[LlmInput::ID, LlmOutput::ID]))
        .set("telemetry", collector.settings())
        .start()
        .await;
    let client = chat_at(&stand).with("traceparent", &format!("00-{TRACE}-{PARENT}-01"));
    post(&client.with("tracestate", "a=1"), &question("hi", false)).await;
    let spans = collector.requests(1).await;

    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE && span.trace_state == "a=1"));
    let request = of_kind(&spans, SpanKind::Server);
    assert_eq!((request.name.as_str(), hex(&request.parent_span_id).as_str()), ("llm/chat", PARENT));
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "gpt-5"),
        ("mortise.llm", "gpt"),
        ("mortise.outcome", "ok"),
    ] {
        assert_eq!(attribute(&request, name), Some(json!(value)), "{name}");
    }
    assert_eq!(attribute(&request, "mcp.method.name"), None);
    let to_vendor = of_kind(&spans, SpanKind::Client);
    assert_eq!(to_vendor.parent_span_id, request.span_id);
    let asked = vendor.last();
    assert_eq!(asked.header("traceparent"), Some(&*format!("00-{TRACE}-{}-01", hex(&to_vendor.span_id))));
    assert_eq!(asked.header("tracestate"), Some("a=1"));
    let hooks: Vec<_> = spans.iter().filter(|span| span.name == "plugin.hook.invoke").collect();
    let kinds: Vec<_> = hooks.iter().filter_map(|hook| attribute(hook, "plugin.hook.type")).collect();
    assert_eq!(kinds, [json!("llm_input"), json!("llm_output")]);
    assert!(hooks.iter().all(|hook| hook.parent_span_id == request.span_id));
    assert_eq!(named(&spans, "plugin.execute.quiet").parent_span_id, hooks[0].span_id);
}

#[tokio::test]
async fn stream_has_one_trace_and_the_callers_context_goes_on_without_a_collector() {
    let (collector, vendor) = (Collector::start().await, Vendor::start([]).await);
    vendor.answers([Answer::Stream(vec![delta("ask ann.lee@example.com"), last()])]);
    let guard = json!({
        "name": "pii", "kind": "builtin.pii_filter", "hooks": ["llm_output"], "config": { "detect_email": true },
    });
    let stand = setup(&vendor, json!({})).entry(guard).set("telemetry", collector.settings()).start().await;
    post(&chat_at(&stand), &question("hi", true)).await;
    let spans = collector.requests(1).await;
    let request = of_kind(&spans, SpanKind::Server);
    assert!(request.parent_span_id.is_empty());
    assert!(spans.iter().all(|span| span.trace_id == request.trace_id));
    let sent = vendor.last().header("traceparent").map(str::to_owned).unwrap();
    assert!(sent.starts_with(&format!("00-{}-", hex(&request.trace_id))), "{sent}");
    named(&spans, "plugin.execute.pii");

    let plain = setup(&vendor, json!({})).start().await;
    let given = format!("00-{TRACE}-{PARENT}-00");
    post(&chat_at(&plain).with("traceparent", &given), &question("hi", true)).await;
    assert_eq!(vendor.last().header("traceparent"), Some(&*given));
}
