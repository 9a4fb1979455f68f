//! What plugins did, as statistics and as metrics: the same numbers, of which only the statistics can be reset.

use mortise_plugin_api::{Hook, hooks::ToolPreInvoke};
use mortise_testkit::{mcp_server::scripted::Scripted, plugins};
use mortise_tests::{Setup, eventually};
use serde_json::json;

/// The value of a series in the exposition format.
fn value(text: &str, series: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[tokio::test]
async fn statistics_and_metrics_under_both_names_tell_the_same() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with("watch", plugins::block(&[ToolPreInvoke::ID]), json!({ "mode": "permissive" }))
        .plugin("guard", plugins::block(&[ToolPreInvoke::ID]))
        .start()
        .await;
    stand.client().call("echo", json!({ "text": "x" })).await;
    stand.client().call("echo", json!({ "text": "x" })).await;

    let text = stand.client().get("/metrics").await.text();
    for (series, count) in [
        (r#"mortise_plugin_executions_total{plugin="guard",hook="tool_pre_invoke",status="block"}"#, 2),
        (
            r#"mcpgateway_plugin_executions_total{plugin="guard",hook="tool_pre_invoke",status="violation"}"#,
            2,
        ),
        (r#"mcpgateway_plugin_executions_total{plugin="guard",hook="tool_pre_invoke",status="success"}"#, 0),
        (r#"mortise_plugin_executions_total{plugin="watch",hook="tool_pre_invoke",status="would_block"}"#, 2),
        (r#"mcpgateway_plugin_duration_seconds_count{plugin="guard",hook="tool_pre_invoke"}"#, 2),
    ] {
        assert_eq!(value(&text, series), Some(count), "{series} in {text}");
    }
    assert!(text.contains(r#"mcpgateway_plugin_violations_total{plugin="watch",violation_code="#), "{text}");
    let stats = stand.client().get("/plugins/stats").await;
    assert_eq!(stats.status, 200, "{}", stats.text());
    let stats = stats.json();
    assert_eq!((&stats["total_plugins"], &stats["plugins_by_mode"]["permissive"]), (&json!(2), &json!(1)));
    assert_eq!(
        (&stats["executions"], &stats["violations"], &stats["would_have_blocked"]),
        (&json!(4), &json!(4), &json!(2))
    );
    let guard = stats["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "guard").unwrap();
    assert_eq!(guard["executions_by_status"]["block"], 2);
    assert!(guard["duration_seconds"]["max"].as_f64() > Some(0.0));

    let reset = stand.admin().at("/plugins/stats/reset").send("POST", None).await;
    assert_eq!(reset.status, 200, "{}", reset.text());

    let stats = stand.client().get("/plugins/stats").await.json();
    assert_eq!((&stats["executions"], &stats["violations"]), (&json!(0), &json!(0)));
    let after = stand.client().get("/metrics").await.text();
    let series = r#"mortise_plugin_executions_total{plugin="guard",hook="tool_pre_invoke",status="block"}"#;
    assert_eq!(value(&after, series), Some(2), "a counter went backwards");
}

#[tokio::test]
async fn memory_of_requests_is_counted_and_gone_when_they_are() {
    let upstream = Scripted::start().await.unwrap();
    let recorder = mortise_tests::Recorder::new();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin("recorder", recorder.plugin(mortise_plugin_api::hooks::MCP_HOOKS))
        .start()
        .await;
    let cleaned = |text: &str| value(text, "mortise_plugin_contexts_cleaned_total");
    let before = cleaned(&stand.client().get("/metrics").await.text());
    stand.client().call("echo", json!({ "text": "x" })).await;

    // Other tests of this process count too: it must have grown, and both names must say so.
    eventually("the request's memory ends", async || {
        let text = stand.client().get("/metrics").await.text();
        let documented = value(&text, "mcpgateway_plugin_contexts_cleaned_total");
        (cleaned(&text) > before && documented == cleaned(&text)).then_some(())
    })
    .await;
}
