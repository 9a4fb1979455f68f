//! Which hooks fire around real calls, and what plugins know of the call there.

use mortise_plugin_api::{End, hooks::MCP_HOOKS};
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Recorder, Setup};
use serde_json::json;

const TOKEN: &str = "token-of-ci";

#[tokio::test]
async fn all_six_hooks_fire_with_user_tenant_server_and_upstream_in_the_context() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
    upstream.set_list("resources", vec![json!({ "uri": "file:///a", "name": "a" })]);
    let recorder = Recorder::new();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("servers", json!({ "support": { "upstreams": ["docs"] } }))
        .app("ci", TOKEN, json!({ "user": "ci@example.com", "tenant": "acme" }))
        .plugin("recorder", recorder.plugin(MCP_HOOKS))
        .start()
        .await;

    for (path, server) in [("/servers/support/mcp", "support"), ("/mcp", "docs")] {
        let client = stand.client().at(path).token(TOKEN).with("x-request-id", server);
        client.call("echo", json!({ "text": "hello" })).await;
        client.ask("prompts/get", json!({ "name": "greet", "arguments": { "who": "you" } })).await;
        client.ask("resources/read", json!({ "uri": "file:///a" })).await;

        let seen: Vec<_> = recorder.all().into_iter().filter(|seen| seen.request == server).collect();
        let hooks: Vec<&str> = seen.iter().map(|seen| seen.hook.as_str()).collect();
        let expected = [
            "tool_pre_invoke",
            "tool_post_invoke",
            "prompt_pre_fetch",
            "prompt_post_fetch",
            "resource_pre_fetch",
            "resource_post_fetch",
        ];
        assert_eq!(hooks, expected);
        for seen in &seen {
            assert_eq!(seen.app.as_deref(), Some("ci"));
            assert_eq!(seen.user.as_deref(), Some("ci@example.com"));
            assert_eq!(seen.tenant.as_deref(), Some("acme"));
            assert_eq!(seen.server.as_deref(), Some(server));
            assert_eq!(seen.upstream.as_deref(), Some("docs"));
            assert_eq!(seen.end, End::Ok);
        }
    }
}

#[tokio::test]
async fn hooks_show_arguments_and_results() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
    let recorder = Recorder::new();
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("recorder", recorder.plugin(MCP_HOOKS)).start().await;

    stand.client().call("echo", json!({ "text": "hello" })).await;
    stand.client().ask("prompts/get", json!({ "name": "greet", "arguments": { "who": "you" } })).await;
    stand.client().ask("resources/read", json!({ "uri": "file:///x" })).await;

    let payload = |hook: &str| recorder.at(hook)[0].payload.clone();
    assert_eq!(payload("tool_pre_invoke"), json!({ "name": "echo", "args": { "text": "hello" } }));
    assert_eq!(payload("tool_post_invoke")["result"]["content"][0]["text"], "hello");
    assert_eq!(payload("prompt_pre_fetch"), json!({ "prompt_id": "greet", "args": { "who": "you" } }));
    assert_eq!(payload("prompt_post_fetch")["result"]["messages"][0]["role"], "user");
    assert_eq!(payload("resource_pre_fetch")["uri"], "file:///x");
    let content =
        json!({ "type": "resource", "uri": "file:///x", "mime_type": "text/plain", "text": "content" });
    assert_eq!(payload("resource_post_fetch"), json!({ "uri": "file:///x", "content": content }));
}

#[tokio::test]
async fn state_of_the_hook_before_is_there_after_and_in_no_other_request() {
    let upstream = Scripted::start().await.unwrap();
    let recorder = Recorder::new();
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("recorder", recorder.plugin(MCP_HOOKS)).start().await;

    for _ in 0..2 {
        stand.client().call("echo", json!({ "text": "hello" })).await;
    }

    for seen in recorder.at("tool_pre_invoke") {
        assert_eq!(seen.mark, None);
    }
    for seen in recorder.wait_for("tool_post_invoke", 2).await {
        assert_eq!(seen.mark.as_deref(), Some("tool_pre_invoke"));
    }
}
