//! Samples of the documents in a running gateway: whom they guard, what clients and operators see of it.

use mortise_plugin_api::{Hook, hooks::ToolPreInvoke};
use mortise_testkit::{mcp_server::scripted::Scripted, plugins};
use mortise_tests::{Setup, text};
use serde_json::json;

use super::configs;

/// A gateway with this sample, before this server, which has a prompt of each name.
fn with_sample(name: &str, upstream: &Scripted, prompts: &[&str]) -> Setup {
    upstream.set_list("prompts", prompts.iter().map(|name| json!({ "name": name })).collect());
    Setup::new().set("plugins_files", json!([configs().join(name)])).upstream("docs", upstream)
}

#[tokio::test]
async fn main_sample_guards_the_prompts_it_names_and_is_listed_as_the_documents_show() {
    let upstream = Scripted::start().await.unwrap();
    let setup = with_sample("usage-main.yaml", &upstream, &["customer_chat", "other"]);
    let stand = setup.start().await;
    let client = stand.client();

    let asked = json!({ "q": "my number is 123-45-6789" });
    let guarded = client.ask("prompts/get", json!({ "name": "customer_chat", "arguments": asked })).await;
    let other = client.ask("prompts/get", json!({ "name": "other", "arguments": asked })).await;
    let listed = client.get("/plugins").await.json();

    assert_eq!(guarded["error"]["data"]["plugin_name"], "ContentFilter", "{guarded}");
    assert!(other["result"]["messages"].is_array(), "{other}");
    let shown = json!({
        "name": "ContentFilter",
        "priority": 100,
        "mode": "enforce",
        "hooks": ["prompt_pre_fetch", "prompt_post_fetch"],
        "tags": ["security", "filter"],
        "conditions": { "prompts": ["customer_chat", "support_bot"] },
    });
    for (key, value) in shown.as_object().unwrap() {
        assert_eq!(&listed[0][key], value, "{key}");
    }
}

#[tokio::test]
async fn tenants_are_guarded_each_by_the_plugin_for_them_and_all_others_by_none() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_tools(&["database-query", "echo"]);
    let stand = with_sample("usage-multi-tenant.yaml", &upstream, &["greet"])
        .app("bank", "token-of-bank", json!({ "tenant": "banking-client" }))
        .app("free", "token-of-free", json!({ "tenant": "free-tier" }))
        .app("none", "token-of-none", json!({}))
        .start()
        .await;
    let (attack, rude) = ("x' OR 1=1 --", json!({ "name": "greet", "arguments": { "q": "you bastard" } }));

    for (app, tool, blocked) in [
        ("bank", "database-query", true),
        ("bank", "echo", false),
        ("free", "database-query", false),
        ("none", "database-query", false),
    ] {
        let client = stand.client().token(&format!("token-of-{app}"));
        let answer = client.call(tool, json!({ "text": attack })).await;
        assert_eq!(answer["result"]["isError"], blocked, "{app} {tool}: {answer}");
        assert_eq!(text(&answer).contains("EnterpriseSecurityFilter"), blocked, "{app} {tool}: {answer}");
    }
    for app in ["bank", "free", "none"] {
        let answer = stand.client().token(&format!("token-of-{app}")).ask("prompts/get", rude.clone()).await;
        assert!(answer["result"]["messages"].is_array(), "{app}: the filter is permissive: {answer}");
    }
    let metrics = stand.admin().get("/metrics").await.text();
    let noted = r#"mcpgateway_plugin_violations_total{plugin="BasicContentFilter",violation_code="PROHIBITED_CONTENT"} 2"#;
    assert!(metrics.contains(noted), "one request, before and after: {metrics}");
}

#[tokio::test]
async fn production_sample_blocks_and_is_counted_under_the_documented_names() {
    let upstream = Scripted::start().await.unwrap();
    let stand = with_sample("usage-production.yaml", &upstream, &["greet"]).start().await;
    let client = stand.client();

    let asked = json!({ "name": "greet", "arguments": { "q": "My SSN is 123-45-6789" } });
    let answer = client.ask("prompts/get", asked).await;
    client.ask("prompts/get", json!({ "name": "greet", "arguments": { "q": "hello" } })).await;

    assert_eq!(answer["error"]["data"]["plugin_name"], "ProdPIIFilter");
    assert_eq!(answer["error"]["data"]["plugin_error_code"], "PII_DETECTED");
    assert!(!answer.to_string().contains("6789"), "{answer}");
    assert_eq!(upstream.received_of("prompts/get").len(), 1, "the blocked one did not get there");
    let metrics = client.get("/metrics").await.text();
    for line in [
        r#"mcpgateway_plugin_executions_total{plugin="ProdPIIFilter",hook="prompt_pre_fetch",status="success"} 1"#,
        r#"mcpgateway_plugin_violations_total{plugin="ProdPIIFilter",violation_code="PII_DETECTED"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn plugin_that_does_not_answer_in_time_counts_as_the_documents_name_it() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("plugin_settings", json!({ "request_budget": 0.05 }))
        .plugin_with("slow", plugins::hang(&[ToolPreInvoke::ID]), json!({ "mode": "permissive" }))
        .start()
        .await;

    let answer = stand.client().call("echo", json!({ "text": "x" })).await;

    assert_eq!(text(&answer), "x");
    let metrics = stand.client().get("/metrics").await.text();
    for line in [
        r#"mcpgateway_plugin_errors_total{plugin="slow",error_type="timeout"} 1"#,
        r#"mcpgateway_plugin_executions_total{plugin="slow",hook="tool_pre_invoke",status="error"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}
