//! What plugins change on the way in and out, and what they may not.

use std::sync::Arc;

use mortise_plugin_api::{
    Json, Native, Needs, Plugin, Verdict,
    hooks::{PromptPreFetch, ResourcePreFetch, ToolPostInvoke, ToolPreInvoke},
};
use mortise_testkit::mcp_server::scripted::{Scripted, tool};
use mortise_tests::{Recorder, Setup, text};
use serde_json::{Value, json};

/// Calls `shout` where `echo` was asked for.
fn renaming() -> Arc<dyn Plugin> {
    Native::new(())
        .on::<ToolPreInvoke>(Needs::change(), |(), call, _| {
            let mut changed = call.clone();
            changed.name = "shout".to_owned();
            Ok(Verdict::Change(changed))
        })
        .into_plugin()
}

/// Answers this as the result of every tool.
fn answering(result: Value) -> Arc<dyn Plugin> {
    Native::new(result)
        .on::<ToolPostInvoke>(Needs::change(), |result, answered, _| {
            let mut changed = answered.clone();
            changed.result = Json::from(result.clone());
            Ok(Verdict::Change(changed))
        })
        .into_plugin()
}

#[tokio::test]
async fn changed_arguments_reach_upstream_and_the_rest_of_the_call_stays() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
    let plugin = Native::new(())
        .on::<ToolPreInvoke>(Needs::change(), |(), call, _| {
            let mut changed = call.clone();
            changed.args = Json::from(json!({ "text": "changed" }));
            Ok(Verdict::Change(changed))
        })
        .on::<PromptPreFetch>(Needs::change(), |(), call, _| {
            let mut changed = call.clone();
            changed.args = Json::from(json!({ "who": "changed" }));
            Ok(Verdict::Change(changed))
        })
        .into_plugin();
    let stand = Setup::new().upstream("docs", &upstream).plugin("editor", plugin).start().await;

    let params = json!({ "name": "echo", "arguments": { "text": "plain" }, "vendor": { "kept": [1, null] } });
    let answer = stand.client().ask("tools/call", params).await;
    stand.client().ask("prompts/get", json!({ "name": "greet", "arguments": { "who": "you" } })).await;

    assert_eq!(text(&answer), "changed");
    let received = &upstream.received_of("tools/call")[0];
    assert_eq!(received.params()["arguments"], json!({ "text": "changed" }));
    assert_eq!(received.params()["vendor"], json!({ "kept": [1, null] }));
    assert_eq!(upstream.received_of("prompts/get")[0].params()["arguments"], json!({ "who": "changed" }));
}

#[tokio::test]
async fn changed_tool_name_is_looked_up_anew_and_plugins_after_are_told_its_upstream() {
    let (docs, loud) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    loud.set_tools(&["shout"]);
    let recorder = Recorder::new();
    let stand = Setup::new()
        .upstream("docs", &docs)
        .upstream("loud", &loud)
        .plugin("renamer", renaming())
        .plugin("recorder", recorder.plugin(mortise_plugin_api::hooks::MCP_HOOKS))
        .start()
        .await;

    let answer = stand.client().call("echo", json!({ "text": "hello" })).await;

    assert_eq!(text(&answer), "hello");
    assert_eq!(docs.received_of("tools/call").len(), 0);
    assert_eq!(loud.received_of("tools/call")[0].params()["name"], "shout");
    assert_eq!(recorder.at("tool_post_invoke")[0].upstream.as_deref(), Some("loud"));
}

#[tokio::test]
async fn renamed_tool_outside_the_virtual_server_is_refused() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_tools(&["echo", "shout"]);
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("servers", json!({ "quiet": { "tools": ["echo"] } }))
        .plugin("renamer", renaming())
        .start()
        .await;

    let refused = stand.client().at("/servers/quiet/mcp").call("echo", json!({ "text": "hello" })).await;

    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("shout"), "{refused}");
    assert_eq!(upstream.received_of("tools/call").len(), 0);
}

#[tokio::test]
async fn rewritten_resource_uri_is_looked_up_within_the_virtual_server() {
    let upstream = Scripted::start().await.unwrap();
    let resource = |uri: &str| json!({ "uri": uri, "name": uri });
    upstream.set_list("resources", vec![resource("file:///open"), resource("file:///closed")]);
    let plugin = Native::new(())
        .on::<ResourcePreFetch>(Needs::change(), |(), asked, _| {
            let mut changed = asked.clone();
            changed.uri = "file:///closed".to_owned();
            Ok(Verdict::Change(changed))
        })
        .into_plugin();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("servers", json!({ "part": { "resources": ["file:///open"] } }))
        .plugin("rewriter", plugin)
        .start()
        .await;

    let asked = json!({ "uri": "file:///open" });
    let refused = stand.client().at("/servers/part/mcp").ask("resources/read", asked.clone()).await;
    let read = stand.client().ask("resources/read", asked).await;

    assert_eq!(refused["error"]["code"], -32002, "{refused}");
    assert_eq!(read["result"]["contents"][0]["uri"], "file:///closed");
    assert_eq!(upstream.received_of("resources/read").len(), 1);
}

#[tokio::test]
async fn changed_result_reaches_the_client() {
    let upstream = Scripted::start().await.unwrap();
    let result =
        json!({ "content": [{ "type": "text", "text": "changed" }], "isError": false, "_meta": { "x": 1 } });
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("editor", answering(result.clone())).start().await;

    let answer = stand.client().call("echo", json!({ "text": "plain" })).await;

    assert_eq!(answer["result"], result);
}

#[tokio::test]
async fn result_that_is_no_mcp_result_becomes_its_text() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_list("tools", vec![tool("echo")]);
    for (value, expected) in
        [(json!({ "a": [1, 2] }), r#"{"a":[1,2]}"#), (json!("plain"), "plain"), (json!(7), "7")]
    {
        let stand = Setup::new().upstream("docs", &upstream).plugin("editor", answering(value)).start().await;

        let answer = stand.client().call("echo", json!({ "text": "x" })).await;

        let expected = json!({ "content": [{ "type": "text", "text": expected }], "isError": false });
        assert_eq!(answer["result"], expected);
    }
}

#[tokio::test]
async fn headers_a_plugin_adds_to_a_tool_call_reach_upstream() {
    let upstream = Scripted::start().await.unwrap();
    let plugin = Native::new(())
        .on::<ToolPreInvoke>(Needs::change(), |(), call, cx| {
            let mut changed = call.clone();
            changed.headers = Some([("x-team", "blue"), ("host", "evil.example")].into_iter().collect());
            cx.response_header("x-guarded", "yes");
            Ok(Verdict::Change(changed))
        })
        .into_plugin();
    let stand = Setup::new().upstream("docs", &upstream).plugin("header", plugin).start().await;

    let params = json!({ "name": "echo", "arguments": {} });
    let answer = stand.client().rpc("tools/call", params).await;

    let received = &upstream.received_of("tools/call")[0];
    assert_eq!(received.header("x-team"), Some("blue"));
    assert_ne!(received.header("host"), Some("evil.example"));
    assert_eq!(answer.header("x-guarded"), Some("yes"));
}
