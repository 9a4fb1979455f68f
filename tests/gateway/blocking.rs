//! A blocked call: it goes no further, and the client is told by whom and why.

use mortise_plugin_api::{
    Hook,
    hooks::{MCP_HOOKS, PromptPostFetch, ResourcePostFetch, ToolPostInvoke},
};
use mortise_testkit::{
    mcp_server::scripted::{Behaviour, Scripted},
    plugins,
};
use mortise_tests::{Setup, text};
use serde_json::json;

async fn upstream() -> Scripted {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
    upstream.set_list("resources", vec![json!({ "uri": "file:///a", "name": "a" })]);
    upstream
}

#[tokio::test]
async fn blocked_call_never_reaches_upstream() {
    let upstream = upstream().await;
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("guard", plugins::block(MCP_HOOKS)).start().await;
    let client = stand.client();

    let tool = client.call("echo", json!({ "text": "hello" })).await;
    client.ask("prompts/get", json!({ "name": "greet" })).await;
    client.ask("resources/read", json!({ "uri": "file:///a" })).await;

    assert_eq!(tool["result"]["isError"], true);
    assert_eq!(
        text(&tool),
        "tool_pre_invoke blocked by plugin guard: TEST_BLOCK - Test block (The test plugin blocks everything)"
    );
    for method in ["tools/call", "prompts/get", "resources/read"] {
        assert_eq!(upstream.received_of(method).len(), 0, "{method}");
    }
}

#[tokio::test]
async fn blocked_prompt_or_resource_is_an_error_that_names_plugin_and_code() {
    let upstream = upstream().await;
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("guard", plugins::block(MCP_HOOKS)).start().await;
    let expected = json!({
        "code": -32602,
        "message": "Plugin Violation: The test plugin blocks everything",
        "data": {
            "description": "The test plugin blocks everything",
            "details": {},
            "plugin_error_code": "TEST_BLOCK",
            "plugin_name": "guard",
        },
    });

    let prompt = stand.client().ask("prompts/get", json!({ "name": "greet" })).await;
    let resource = stand.client().ask("resources/read", json!({ "uri": "file:///a" })).await;

    assert_eq!(prompt["error"], expected);
    assert_eq!(resource["error"], expected);
}

#[tokio::test]
async fn result_that_is_blocked_does_not_reach_the_client() {
    let upstream = upstream().await;
    upstream.on_method(
        "resources/read",
        Behaviour::Answer(json!({"contents": [{"uri": "file:///a", "text": "hidden"}]})),
    );
    let hooks = [ToolPostInvoke::ID, PromptPostFetch::ID, ResourcePostFetch::ID];
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("guard", plugins::block(&hooks)).start().await;
    let client = stand.client();

    let tool = client.call("echo", json!({ "text": "hidden" })).await;
    let prompt = client.ask("prompts/get", json!({ "name": "greet", "arguments": { "x": "hidden" } })).await;
    let resource = client.ask("resources/read", json!({ "uri": "file:///a" })).await;

    assert!(text(&tool).starts_with("tool_post_invoke blocked by plugin guard: TEST_BLOCK"), "{tool}");
    for answer in [&tool, &prompt, &resource] {
        assert!(!answer.to_string().contains("hidden"), "{answer}");
    }
    for method in ["tools/call", "prompts/get", "resources/read"] {
        assert_eq!(upstream.received_of(method).len(), 1, "{method}");
    }
}

#[tokio::test]
async fn permissive_plugin_only_notes_what_it_would_have_blocked() {
    let upstream = upstream().await;
    let permissive = json!({ "mode": "permissive" });
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with("guard", plugins::block(MCP_HOOKS), permissive)
        .start()
        .await;

    let tool = stand.client().call("echo", json!({ "text": "hello" })).await;
    let metrics = stand.client().get("/metrics").await.text();

    assert_eq!(text(&tool), "hello");
    let noted =
        "mortise_plugin_violations_total{plugin=\"guard\",violation_code=\"TEST_BLOCK\",blocked=\"false\"} 2";
    assert!(metrics.contains(noted), "{metrics}");
}
