//! The way of a call as the documents tell it: who is asked, in which order, and what the client and the server see.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use mortise_plugin_api::{
    Hook, Json, Native, Needs, Plugin, PluginError, Verdict, Violation,
    hooks::{
        HttpPostForwardingCall, HttpPreForwardingCall, MCP_HOOKS, PromptPostFetch, ResourcePostFetch,
        ResourcePreFetch, ToolPostInvoke, ToolPreInvoke, tool::ToolPreInvokePayload,
    },
};
use mortise_testkit::{
    mcp_server::scripted::{Behaviour, Scripted},
    plugins,
};
use mortise_tests::{Recorder, Setup, text};
use serde_json::{Value, json};

fn arguments(call: &ToolPreInvokePayload) -> Result<Value, PluginError> {
    call.args.value().cloned().map_err(|error| PluginError::failed(error.to_string()))
}

fn with_arguments(call: &ToolPreInvokePayload, args: Value) -> Verdict<ToolPreInvokePayload> {
    Verdict::Change(ToolPreInvokePayload { args: Json::from(args), ..call.clone() })
}

/// Refuses the file of accounts, and writes other paths plainly.
fn paths() -> Arc<dyn Plugin> {
    Native::new(())
        .on::<ToolPreInvoke>(Needs::change(), |(), call, _| {
            let mut args = arguments(call)?;
            let path = args["path"].as_str().unwrap_or_default().to_owned();
            if path == "/etc/passwd" {
                return Ok(Violation::new("PATH", "Access Denied").into());
            }
            args["path"] = json!(path.trim_start_matches("./"));
            Ok(with_arguments(call, args))
        })
        .into_plugin()
}

/// Adds limits to what is asked for, and counts how often.
fn limits(asked: Arc<AtomicUsize>) -> Arc<dyn Plugin> {
    Native::new(asked)
        .on::<ToolPreInvoke>(Needs::change(), |asked, call, _| {
            asked.fetch_add(1, SeqCst);
            let mut args = arguments(call)?;
            args["read_timeout"] = json!(5);
            args["max_bytes"] = json!(1024);
            Ok(with_arguments(call, args))
        })
        .into_plugin()
}

#[tokio::test]
async fn what_the_first_blocks_the_second_never_sees_and_what_it_changes_the_second_goes_on_from() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_tools(&["file_reader"]);
    let report = json!({ "content": [{ "type": "text", "text": "the report" }], "isError": false });
    upstream.on_tool("file_reader", Behaviour::Answer(report));
    let asked = Arc::new(AtomicUsize::new(0));
    let stand = Setup::new()
        .upstream("files", &upstream)
        .plugin_with("limits", limits(asked.clone()), json!({ "priority": 20 }))
        .plugin_with("paths", paths(), json!({ "priority": 10 }))
        .start()
        .await;
    let client = stand.client();

    let denied = client.call("file_reader", json!({ "path": "/etc/passwd" })).await;

    assert_eq!(denied["result"]["isError"], true);
    assert!(text(&denied).contains("Access Denied"), "{denied}");
    assert_eq!((asked.load(SeqCst), upstream.received_of("tools/call").len()), (0, 0));

    let read = client.call("file_reader", json!({ "path": "./documents/report.txt" })).await;

    assert_eq!(text(&read), "the report");
    let expected = json!({ "path": "documents/report.txt", "read_timeout": 5, "max_bytes": 1024 });
    assert_eq!(upstream.received_of("tools/call")[0].params()["arguments"], expected);
}

#[tokio::test]
async fn what_a_plugin_rewrites_in_a_result_prompt_or_resource_is_what_the_client_gets() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
    let contents = json!([{ "uri": "file:///a", "mimeType": "text/plain", "text": "the old_text" }]);
    upstream.on_method("resources/read", Behaviour::Answer(json!({ "contents": contents })));
    let hooks = [ToolPostInvoke::ID, PromptPostFetch::ID, ResourcePostFetch::ID];
    let rewriter = Native::new(()).on_texts(&hooks, Needs::change(), |(), part, verdict, _| {
        for (at, found) in part.text.match_indices("old_text") {
            verdict.edits.replace(part.id, at..at + found.len(), "new_text");
        }
        Ok(())
    });
    let stand =
        Setup::new().upstream("docs", &upstream).plugin("rewriter", rewriter.into_plugin()).start().await;
    let client = stand.client();

    let tool = client.call("echo", json!({ "text": "the old_text" })).await;
    let prompt =
        client.ask("prompts/get", json!({ "name": "greet", "arguments": { "x": "old_text" } })).await;
    let resource = client.ask("resources/read", json!({ "uri": "file:///a" })).await;

    assert_eq!(text(&tool), "the new_text");
    assert_eq!(prompt["result"]["messages"][0]["content"]["text"], r#"{"x":"new_text"}"#);
    let expected = json!([{ "uri": "file:///a", "mimeType": "text/plain", "text": "the new_text" }]);
    assert_eq!(resource["result"]["contents"], expected);
    assert_eq!(upstream.received_of("tools/call")[0].params()["arguments"]["text"], "the old_text");
}

#[tokio::test]
async fn metadata_that_a_plugin_gives_a_resource_is_there_for_the_next_and_not_for_the_server() {
    let upstream = Scripted::start().await.unwrap();
    let marker = Native::new(())
        .on::<ResourcePreFetch>(Needs::change(), |(), asked, _| {
            let mut changed = asked.clone();
            changed.metadata = Json::from(json!({ "validated_by": "marker" }));
            Ok(Verdict::Change(changed))
        })
        .into_plugin();
    let recorder = Recorder::new();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with("recorder", recorder.plugin(&[ResourcePreFetch::ID]), json!({ "priority": 2 }))
        .plugin_with("marker", marker, json!({ "priority": 1 }))
        .start()
        .await;

    stand.client().ask("resources/read", json!({ "uri": "file:///a" })).await;

    let expected = json!({ "uri": "file:///a", "metadata": { "validated_by": "marker" } });
    assert_eq!(recorder.at("resource_pre_fetch")[0].payload, expected);
    assert_eq!(upstream.received_of("resources/read")[0].params().get("metadata"), None);
}

#[tokio::test]
async fn disabled_plugin_is_listed_and_neither_started_nor_asked() {
    let upstream = Scripted::start().await.unwrap();
    let (counting, asked) = plugins::count(MCP_HOOKS);
    let disabled = json!({ "mode": "disabled" });
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with("off", counting, disabled.clone())
        .plugin_with("broken", plugins::start_fails(MCP_HOOKS), disabled)
        .start()
        .await;

    let answer = stand.client().call("echo", json!({ "text": "x" })).await;

    assert_eq!(text(&answer), "x");
    assert_eq!(asked.load(SeqCst), 0);
    let listed = stand.client().get("/plugins").await.json();
    for at in [0, 1] {
        assert_eq!((&listed[at]["mode"], &listed[at]["status"]), (&json!("disabled"), &json!("disabled")));
    }
    assert_eq!(stand.client().get("/ready").await.json()["status"], "ready");
}

/// Hooks that the documents plan.
#[tokio::test]
async fn headers_that_a_plugin_adds_to_the_call_upstream_arrive_there() {
    let upstream = Scripted::start().await.unwrap();
    let sender = Native::new(())
        .on::<HttpPreForwardingCall>(Needs::change(), |(), _, _| {
            Ok(Verdict::Change([("x-tenant", "acme")].into_iter().collect()))
        })
        .into_plugin();
    let recorder = Recorder::new();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin("sender", sender)
        .plugin("recorder", recorder.plugin(&[HttpPostForwardingCall::ID]))
        .start()
        .await;

    stand.client().call("echo", json!({ "text": "x" })).await;

    assert_eq!(upstream.received_of("tools/call")[0].header("x-tenant"), Some("acme"));
    let seen = &recorder.at("http_post_forwarding_call")[0].payload;
    assert_eq!((&seen["upstream"], &seen["status_code"]), (&json!("docs"), &json!(200)));
}
