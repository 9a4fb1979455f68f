//! Spans and the trace they belong to, as a collector sees them: what it gets is decoded with OpenTelemetry's own
//! definition.

use std::time::Duration;

use mortise_plugin_api::{Hook, hooks::ToolPreInvoke};
use mortise_testkit::{mcp_server::scripted::Scripted, plugins};
use mortise_tests::{
    Setup,
    collector::{Collector, attribute, hex, named, of_kind},
};
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
use serde_json::json;
use tokio::net::TcpListener;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn a_call_becomes_spans_of_request_upstream_hooks_and_plugins_within_the_callers_trace() {
    let (collector, upstream) = (Collector::start().await, Scripted::start().await.unwrap());
    let mut telemetry = collector.settings();
    telemetry["service_name"] = json!("edge");
    telemetry["resource_attributes"] = json!({ "deployment.environment.name": "test" });
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin("quiet", plugins::noop(&[ToolPreInvoke::ID]))
        .plugin_with("loud", plugins::block(&[ToolPreInvoke::ID]), json!({ "mode": "permissive" }))
        .set("telemetry", telemetry)
        .start()
        .await;

    let client =
        stand.client().with("traceparent", &format!("00-{TRACE}-{PARENT}-01")).with("tracestate", "a=1");
    client.call("echo", json!({ "text": "x" })).await;
    let spans = collector.requests(1).await;

    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE && span.trace_state == "a=1"));
    let request = of_kind(&spans, SpanKind::Server);
    assert_eq!((request.name.as_str(), hex(&request.parent_span_id).as_str()), ("tools/call echo", PARENT));
    assert_eq!(attribute(&request, "mcp.method.name"), Some(json!("tools/call")));
    assert_eq!(attribute(&request, "gen_ai.tool.name"), Some(json!("echo")));
    assert_eq!(attribute(&request, "mortise.outcome"), Some(json!("ok")));
    let to_upstream = of_kind(&spans, SpanKind::Client);
    assert_eq!(to_upstream.parent_span_id, request.span_id);
    assert_eq!(attribute(&to_upstream, "mortise.upstream"), Some(json!("docs")));
    let sent = upstream.received_of("tools/call").remove(0);
    assert_eq!(sent.header("traceparent"), Some(&*format!("00-{TRACE}-{}-01", hex(&to_upstream.span_id))));
    assert_eq!(sent.header("tracestate"), Some("a=1"));
    let hook = named(&spans, "plugin.hook.invoke");
    assert_eq!(hook.parent_span_id, request.span_id);
    assert_eq!(attribute(&hook, "plugin.hook.type"), Some(json!("tool_pre_invoke")));
    assert_eq!(attribute(&hook, "plugin.executed_count"), Some(json!(2)));
    let (quiet, loud) = (named(&spans, "plugin.execute.quiet"), named(&spans, "plugin.execute.loud"));
    assert_eq!((&quiet.parent_span_id, &loud.parent_span_id), (&hook.span_id, &hook.span_id));
    assert_eq!(attribute(&quiet, "plugin.had_violation"), Some(json!(false)));
    assert_eq!(attribute(&loud, "plugin.had_violation"), Some(json!(true)));
    for (outer, inner) in [(&request, &hook), (&request, &to_upstream), (&hook, &quiet), (&hook, &loud)] {
        assert!(outer.start_time_unix_nano <= inner.start_time_unix_nano, "{} in {}", inner.name, outer.name);
        assert!(inner.end_time_unix_nano <= outer.end_time_unix_nano, "{} in {}", inner.name, outer.name);
    }
    let got = collector.got.lock().unwrap();
    assert_eq!(
        (&*got.resource["service.name"], &*got.resource["deployment.environment.name"]),
        ("edge", "test")
    );
    let head = &got.heads[0];
    assert!(head.starts_with("post /v1/traces "), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf") && head.contains("x-key: hunter2"),
        "{head}"
    );
}

#[tokio::test]
async fn a_blocked_call_says_who_blocked_it_and_why() {
    let (collector, upstream) = (Collector::start().await, Scripted::start().await.unwrap());
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin("guard", plugins::block(&[ToolPreInvoke::ID]))
        .plugin_with(
            "broken",
            plugins::fail(&[ToolPreInvoke::ID]),
            json!({ "mode": "permissive", "priority": 1 }),
        )
        .set("telemetry", collector.settings())
        .start()
        .await;

    stand.client().call("echo", json!({ "text": "x" })).await;
    let spans = collector.requests(1).await;

    let request = of_kind(&spans, SpanKind::Server);
    assert!(request.parent_span_id.is_empty());
    assert_eq!(attribute(&request, "mortise.outcome"), Some(json!("blocked")));
    assert_eq!(attribute(&request, "mortise.blocked_by"), Some(json!("guard")));
    assert_eq!(
        attribute(&named(&spans, "plugin.hook.invoke"), "plugin.chain.stopped_by"),
        Some(json!("guard"))
    );
    assert_eq!(attribute(&named(&spans, "plugin.execute.guard"), "plugin.stopped_chain"), Some(json!(true)));
    let broken = named(&spans, "plugin.execute.broken");
    assert_eq!(broken.status.map(|status| status.code), Some(StatusCode::Error as i32));
    assert!(spans.iter().all(|span| span.kind != SpanKind::Client as i32), "no upstream was asked");
}

#[tokio::test]
async fn only_the_share_that_is_asked_for_and_what_callers_trace_is_sent() {
    let (collector, upstream) = (Collector::start().await, Scripted::start().await.unwrap());
    let mut telemetry = collector.settings();
    telemetry["sample_ratio"] = json!(0.0);
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("telemetry", telemetry)
        // Sampling does not hang on what is kept to be explained.
        .set("explain", json!({ "keep": 0 }))
        .start()
        .await;

    stand.client().call("echo", json!({ "text": "not traced" })).await;
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    stand.client().with("traceparent", &unsampled).call("echo", json!({ "text": "not traced either" })).await;
    stand.client().with("traceparent", &format!("00-{TRACE}-{PARENT}-01")).call("echo", json!({})).await;

    assert_eq!(
        collector.requests(1).await.iter().filter(|span| span.kind == SpanKind::Server as i32).count(),
        1
    );
    let sent: Vec<_> = upstream.received_of("tools/call");
    assert_eq!(sent[0].header("traceparent"), None);
    assert_eq!(sent[1].header("traceparent"), Some(&*unsampled), "the caller's context goes on as it came");
    assert!(sent[2].header("traceparent").is_some_and(|sent| sent.starts_with(&format!("00-{TRACE}-"))));
}

#[tokio::test]
async fn without_telemetry_the_callers_context_goes_on_and_nothing_that_is_none() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).start().await;
    let given = format!("00-{TRACE}-{PARENT}-01");

    stand.client().with("traceparent", &given).with("tracestate", "k=v").call("echo", json!({})).await;
    stand
        .client()
        .with("traceparent", "anything else")
        .with("tracestate", "k=v")
        .call("echo", json!({}))
        .await;

    let sent = upstream.received_of("tools/call");
    assert_eq!((sent[0].header("traceparent"), sent[0].header("tracestate")), (Some(&*given), Some("k=v")));
    assert_eq!((sent[1].header("traceparent"), sent[1].header("tracestate")), (None, None));
}

#[tokio::test]
async fn an_upstream_behind_a_pipe_is_told_of_the_trace_in_its_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let command = json!([env!("CARGO_BIN_EXE_stand-upstream"), journal]);
    let stand = Setup::new().upstream_with("piped", json!({ "command": command })).start().await;
    let given = format!("00-{TRACE}-{PARENT}-01");

    stand.client().with("traceparent", &given).call("echo", json!({ "text": "x" })).await;

    let written = std::fs::read_to_string(&journal).unwrap();
    assert!(written.lines().any(|line| line == format!("trace {given}")), "{written}");
}

#[tokio::test]
async fn what_a_collector_cannot_take_now_is_sent_again() {
    let (collector, upstream) = (Collector::start().await, Scripted::start().await.unwrap());
    collector.got.lock().unwrap().refuse = vec![503];
    let stand = Setup::new().upstream("docs", &upstream).set("telemetry", collector.settings()).start().await;

    stand.client().call("echo", json!({ "text": "x" })).await;

    assert_eq!(of_kind(&collector.requests(1).await, SpanKind::Server).name, "tools/call echo");
    assert!(collector.got.lock().unwrap().refuse.is_empty());
}

#[tokio::test]
async fn what_waits_is_sent_before_the_end() {
    let (collector, upstream) = (Collector::start().await, Scripted::start().await.unwrap());
    let mut telemetry = collector.settings();
    telemetry["otlp"]["delay"] = json!(600);
    let stand = Setup::new().upstream("docs", &upstream).set("telemetry", telemetry).start().await;
    stand.client().call("echo", json!({ "text": "x" })).await;
    assert!(collector.spans().is_empty(), "nothing is sent before its time");

    stand.stop().await;

    assert_eq!(of_kind(&collector.spans(), SpanKind::Server).name, "tools/call echo");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_call_and_what_is_dropped_is_counted() {
    let upstream = Scripted::start().await.unwrap();
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("telemetry", json!({ "otlp": { "endpoint": endpoint, "delay": 0.01, "queue": 2 } }))
        .start()
        .await;

    let calls = async {
        for _ in 0..20 {
            stand.client().call("echo", json!({ "text": "x" })).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), calls).await.expect("no call waits for the collector");

    let text = stand.client().get("/metrics").await.text();
    let dropped = text
        .lines()
        .find_map(|line| line.strip_prefix(r#"mortise_trace_spans_dropped_total{reason="queue_full"} "#))
        .and_then(|count| count.parse::<u64>().ok());
    assert!(dropped > Some(0), "{text}");
}
