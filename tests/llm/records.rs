//! What is said of calls when they are over: records, metrics, explanations.

use mortise_plugin_api::{
    Hook,
    hooks::{RecordAnalytics, RecordBudgetUsage, RecordProxyLog},
};
use mortise_tests::{Recorder, eventually};
use serde_json::json;

use crate::{
    chat_at, post, question, setup,
    vendor::{Answer, Vendor, chat, delta, last},
};

#[tokio::test]
async fn records_tell_tokens_cost_and_bodies_of_whole_answers_and_streams() {
    let recorder = Recorder::new();
    let vendor = Vendor::start([chat("hi")]).await;
    let prices = json!({ "prices": [{ "input": 1000.0, "output": 2000.0 }] });
    let hooks = [RecordProxyLog::ID, RecordAnalytics::ID, RecordBudgetUsage::ID];
    let stand = setup(&vendor, prices)
        .app("ci", "token-ci", json!({ "user": "ci@example.com" }))
        .plugin("recorder", recorder.plugin(&hooks))
        .start()
        .await;
    let client = chat_at(&stand).token("token-ci").with("x-request-id", "r-1");
    post(&client, &question("hi", false)).await;
    vendor.answers([Answer::Stream(vec![delta("o"), delta("ne"), last()])]);
    post(&client.with("x-request-id", "r-2"), &question("hi", true)).await;

    let logs = recorder.wait_for("record_proxy_log", 2).await;
    let analytics = recorder.wait_for("record_analytics", 2).await;
    let budget = recorder.wait_for("record_budget_usage", 2).await;
    for id in ["r-1", "r-2"] {
        let of = |all: &[mortise_tests::Seen]| {
            all.iter().map(|seen| seen.payload.clone()).find(|payload| payload["request_id"] == id).unwrap()
        };
        let (log, analytics, budget) = (of(&logs), of(&analytics), of(&budget));
        assert_eq!(log["app"], "ci");
        assert_eq!(
            (&log["llm"], &log["model"], &log["status"]),
            (&json!("gpt"), &json!("gpt-5"), &json!(200))
        );
        assert!(log["request_body"].as_str().unwrap().contains("messages"), "{log}");
        assert!(log["response_body"].as_str().unwrap().contains("choices"), "{log}");
        assert_eq!((&analytics["input_tokens"], &analytics["output_tokens"]), (&json!(1000), &json!(500)));
        assert_eq!((&analytics["cost"], &analytics["estimated"]), (&json!(2.0), &json!(false)));
        assert!(analytics["duration_ms"].as_f64().unwrap() >= analytics["first_byte_ms"].as_f64().unwrap());
        assert_eq!((&budget["tokens_used"], &budget["cost"]), (&json!(1500), &json!(2.0)));
    }
}

#[tokio::test]
async fn metrics_and_explanations_tell_of_calls() {
    let vendor = Vendor::start([chat("hi")]).await;
    let prices = json!({ "prices": [{ "input": 1000.0, "output": 2000.0 }] });
    let stand = setup(&vendor, prices).start().await;
    post(&chat_at(&stand).with("x-request-id", "r-9"), &question("hi", false)).await;
    vendor.answers([Answer::Stream(vec![delta("one"), last()])]);
    post(&chat_at(&stand), &question("hi", true)).await;
    eventually("the metrics", async || {
        let metrics = stand.admin().get("/metrics").await.text();
        let all = [
            r#"mortise_llm_requests_total{llm="gpt",outcome="ok"} 2"#,
            r#"mortise_llm_tokens_total{llm="gpt",kind="input"} 2000"#,
            r#"mortise_llm_tokens_total{llm="gpt",kind="output"} 1000"#,
            r#"mortise_llm_cost_total{llm="gpt"} 4"#,
            r#"mortise_llm_first_byte_seconds_count{llm="gpt"} 2"#,
        ];
        all.iter().all(|line| metrics.contains(line)).then_some(())
    })
    .await;
    let explained = eventually("the explanation", async || {
        let answer = stand.admin().get("/api/v1/calls/r-9").await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    let text = explained.to_string();
    assert!(text.contains("llm/chat") && text.contains("gpt/gpt-5"), "{text}");
}
