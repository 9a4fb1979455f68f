//! Services that fail, each in every way: nothing passes unjudged, nothing waits for long, and what is over is over.

use std::time::{Duration, Instant};

use mortise_testkit::{
    mcp_server::scripted::Scripted,
    services::{Fault, Service},
};
use mortise_tests::{eventually, text};
use serde_json::{Value, json};

use super::{entry, setup, stand};

/// Everything that can go wrong.
fn faults() -> Vec<Fault> {
    vec![
        Fault::Status(500),
        Fault::Status(401),
        Fault::Status(204),
        Fault::Hang,
        Fault::Garbage("<html>gateway</html>".into()),
        Fault::Garbage("{}".into()),
        Fault::Garbage(vec![0xff; 1000].into()),
        Fault::Huge(50 << 20),
        Fault::CloseMidAnswer,
        Fault::Redirect("http://169.254.169.254/".to_owned()),
    ]
}

/// Every kind that asks a service, with the service and a configuration that reaches it.
async fn kinds() -> Vec<(&'static str, Service, Value)> {
    let (guardrail, moderation, model, agent) = (
        Service::guardrail().await.unwrap(),
        Service::moderation().await.unwrap(),
        Service::llama_guard().await.unwrap(),
        Service::opa().await.unwrap(),
    );
    let of = |service: &Service, path: &str| format!("{}{path}", service.url());
    vec![
        ("http_guardrail", guardrail, Value::Null),
        ("openai_moderation", moderation, Value::Null),
        ("llama_guard", model, Value::Null),
        ("opa", agent, Value::Null),
    ]
    .into_iter()
    .map(|(kind, service, _)| {
        let config = match kind {
            "http_guardrail" => json!({ "url": of(&service, "/check") }),
            "openai_moderation" => json!({ "url": of(&service, "/v1/moderations"), "cache_seconds": 0 }),
            "llama_guard" => json!({ "url": of(&service, "/v1"), "cache_seconds": 0 }),
            _ => json!({ "url": of(&service, ""), "path": "test/allow" }),
        };
        (kind, service, config)
    })
    .collect()
}

fn with(mut config: Value, more: Value) -> Value {
    if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
        config.extend(more);
    }
    config
}

#[tokio::test]
async fn whatever_goes_wrong_blocks_the_call_and_the_next_one_is_judged_again() {
    for (kind, service, config) in kinds().await {
        let upstream = Scripted::start().await.unwrap();
        let mut entry = entry(kind, with(config, json!({ "timeout_ms": 300 })));
        entry["hooks"] = json!(["tool_pre_invoke"]);
        entry["circuit_breaker_enabled"] = json!(false);
        let stand = stand(&upstream, &service, entry).await;
        let client = stand.client();
        for fault in faults() {
            service.fault(fault.clone());
            let begun = Instant::now();
            let answer = client.call("echo", json!({ "text": "x" })).await;
            assert_eq!(answer["result"]["isError"], true, "{kind} under {fault:?}: {answer}");
            assert!(begun.elapsed() < Duration::from_secs(5), "{kind} under {fault:?}");
        }
        assert_eq!(upstream.received_of("tools/call").len(), 0, "{kind}");
        service.fault(Fault::None);
        assert_eq!(text(&client.call("echo", json!({ "text": "x" })).await), "x", "{kind}");
    }
}

#[tokio::test]
async fn where_calls_may_pass_they_do_and_do_not_wait_for_a_service_that_is_away() {
    for (kind, service, config) in kinds().await {
        let upstream = Scripted::start().await.unwrap();
        let config = with(config, json!({ "timeout_ms": 200, "on_failure": "pass" }));
        let mut entry = entry(kind, config);
        entry["hooks"] = json!(["tool_pre_invoke"]);
        let stand = stand(&upstream, &service, entry).await;
        service.fault(Fault::Hang);
        for n in 0..20 {
            let said = format!("x{n}");
            assert_eq!(text(&stand.client().call("echo", json!({ "text": said })).await), said, "{kind}");
        }
        assert_eq!(service.asked().len(), 5, "{kind}: after five failures it is left alone");
    }
}

#[tokio::test]
async fn a_service_that_fails_opens_the_breaker_of_its_plugin() {
    let (upstream, service) = (Scripted::start().await.unwrap(), Service::guardrail().await.unwrap());
    let mut entry = entry("http_guardrail", json!({ "url": service.url() }));
    entry["hooks"] = json!(["tool_pre_invoke"]);
    let stand = stand(&upstream, &service, entry).await;
    service.fault(Fault::Status(503));
    let mut last = Value::Null;
    for _ in 0..8 {
        last = stand.client().call("echo", json!({ "text": "x" })).await;
        assert_eq!(last["result"]["isError"], true);
    }
    assert_eq!(service.asked().len(), 5);
    assert!(text(&last).contains("PLUGIN_UNAVAILABLE"), "{last}");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_question() {
    let (upstream, service) = (Scripted::start().await.unwrap(), Service::guardrail().await.unwrap());
    let config = json!({ "url": service.url(), "timeout_ms": 60_000 });
    let stand = stand(&upstream, &service, entry("http_guardrail", config)).await;
    service.fault(Fault::Hang);
    let params = json!({ "name": "echo", "arguments": { "text": "x" } });
    let under_way = stand.client().begin(1, "tools/call", params).await;
    service.until_asked(1).await;
    drop(under_way);
    tokio::time::timeout(mortise_tests::PATIENCE, service.until_gone(1)).await.unwrap();
}

#[tokio::test]
async fn a_service_that_is_not_listed_is_not_reached_and_its_plugin_says_so() {
    let (upstream, service) = (Scripted::start().await.unwrap(), Service::guardrail().await.unwrap());
    let entry = entry("http_guardrail", json!({ "url": service.url() }));
    let stand = setup(&upstream, &service).set("egress", json!({ "allow": [] })).entry(entry).start().await;
    let answer = stand.client().call("echo", json!({ "text": "x" })).await;
    assert_eq!(answer["result"]["isError"], true);
    assert_eq!(service.asked().len(), 0);
    let refused = "mortise_plugin_http_requests_total{plugin=\"guard\",outcome=\"refused\"} 1";
    eventually("a refusal", async || {
        stand.client().get("/metrics").await.text().contains(refused).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_mode_of_the_entry_decides_of_calls_without_a_verdict() {
    let (upstream, service) = (Scripted::start().await.unwrap(), Service::guardrail().await.unwrap());
    service.fault(Fault::Status(500));
    for (mode, passes) in [("enforce", false), ("enforce_ignore_error", true), ("permissive", true)] {
        let mut entry = entry("http_guardrail", json!({ "url": service.url() }));
        entry["mode"] = json!(mode);
        let stand = stand(&upstream, &service, entry).await;
        let answer = stand.client().call("echo", json!({ "text": "x" })).await;
        assert_eq!(answer["result"]["isError"] != true, passes, "{mode}: {answer}");
    }
}
