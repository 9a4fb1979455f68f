//! Calls that a plugin serves itself: the upstream is not asked, and the hooks after the call run as on its answer.

use std::sync::Arc;

use mortise_plugin_api::{
    End, Json, Native, Needs, Plugin, PluginError, Verdict,
    hooks::{
        MCP_HOOKS, PromptPreFetch, ResourcePreFetch, ToolPostInvoke, ToolPreInvoke,
        tool::ToolPreInvokePayload,
    },
};
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Recorder, Setup, Stand, eventually, text};
use serde_json::{Value, json};

fn result(text: &str) -> Json {
    json!({ "content": [{ "type": "text", "text": text }], "isError": false }).into()
}

/// Serves everything that can be served.
fn server() -> Arc<dyn Plugin> {
    Native::new(())
        .on::<ToolPreInvoke>(Needs::change(), |(), _: &ToolPreInvokePayload, _| {
            Ok::<_, PluginError>(Verdict::Serve(result("mail ann@example.com")))
        })
        .on::<PromptPreFetch>(Needs::change(), |(), _, _| {
            let message = json!({ "role": "user", "content": { "type": "text", "text": "kept" } });
            Ok(Verdict::Serve(json!({ "messages": [message] }).into()))
        })
        .on::<ResourcePreFetch>(Needs::change(), |(), asked, _| {
            let content =
                json!({ "type": "resource", "uri": asked.uri, "mime_type": "text/plain", "text": "kept" });
            Ok(Verdict::Serve(content.into()))
        })
        .into_plugin()
}

async fn upstream() -> Scripted {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
    upstream.set_list("resources", vec![json!({ "uri": "file:///a", "name": "a" })]);
    upstream
}

fn asked(upstream: &Scripted) -> usize {
    ["tools/call", "prompts/get", "resources/read"].into_iter().map(|method| upstream.count_of(method)).sum()
}

async fn explained(stand: &Stand, id: &str) -> Value {
    let path = format!("/api/v1/calls/{id}");
    let answer = eventually("the explanation of a call", async || {
        Some(stand.client().get(&path).await).filter(|answer| answer.status == 200)
    });
    answer.await.json()
}

#[tokio::test]
async fn served_call_never_reaches_the_upstream_and_each_hook_that_ran_before_is_followed_by_one_after() {
    let (upstream, first, last) = (upstream().await, Recorder::new(), Recorder::new());
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with("first", first.plugin(MCP_HOOKS), json!({ "priority": 1 }))
        .plugin_with("server", server(), json!({ "priority": 2 }))
        .plugin_with("last", last.plugin(MCP_HOOKS), json!({ "priority": 3 }))
        .start()
        .await;
    let client = stand.client().with("x-request-id", "s");

    let called = client.call("echo", json!({ "text": "x" })).await;
    assert_eq!(text(&called), "mail ann@example.com");
    let call = explained(&stand, "s").await;
    let got = stand.client().ask("prompts/get", json!({ "name": "greet" })).await;
    assert_eq!(got["result"]["messages"][0]["content"]["text"], "kept");
    let read = stand.client().ask("resources/read", json!({ "uri": "file:///a" })).await;
    let contents = json!([{ "uri": "file:///a", "mimeType": "text/plain", "text": "kept" }]);
    assert_eq!(read["result"]["contents"], contents);

    assert_eq!(asked(&upstream), 0);
    for (before, after) in [
        ("tool_pre_invoke", "tool_post_invoke"),
        ("prompt_pre_fetch", "prompt_post_fetch"),
        ("resource_pre_fetch", "resource_post_fetch"),
    ] {
        assert_eq!((first.at(before).len(), last.at(before).len()), (1, 0), "{before}");
        let ends: Vec<End> = first.at(after).iter().map(|seen| seen.end).collect();
        assert_eq!(ends, [End::Ok], "{after}");
        assert_eq!(last.at(after).len(), 1, "whoever looks at results looks at this one too");
    }
    assert_eq!(first.at("tool_post_invoke")[0].mark.as_deref(), Some("tool_pre_invoke"));
    assert_eq!((&call["outcome"], &call["served_by"]), (&json!("ok"), &json!("server")), "{call:#}");
    assert_eq!(call["upstream_us"], 0.0);
    let hook = &call["hooks"][0];
    assert_eq!(
        (&hook["plugins"][1]["status"], &hook["plugins"][1]["plugin"]),
        (&json!("serve"), &json!("server"))
    );
    assert_eq!(hook["did_not_run"], json!([{ "plugin": "last", "why": "over" }]));
    let metrics = stand.client().get("/metrics").await.text();
    let line = r#"mortise_plugin_executions_total{plugin="server",hook="tool_pre_invoke",status="serve"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn guard_of_results_sees_what_was_served() {
    let upstream = upstream().await;
    let pii =
        json!({ "name": "pii", "kind": "builtin.pii_filter", "priority": 2, "hooks": ["tool_post_invoke"] });
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .plugin_with("server", server(), json!({ "priority": 1 }))
        .entry(pii)
        .start()
        .await;
    let called = stand.client().call("echo", json!({ "text": "x" })).await;
    assert!(text(&called).starts_with("mail ") && !text(&called).contains("ann@example.com"), "{called}");
}

#[tokio::test]
async fn modes_without_influence_and_hooks_after_the_call_serve_nothing() {
    let at_the_wrong_hook = || {
        Native::new(())
            .on::<ToolPostInvoke>(Needs::change(), |(), _, _| {
                Ok::<_, PluginError>(Verdict::Serve(result("served")))
            })
            .into_plugin()
    };
    for (plugin, mode, expected) in [
        (server(), "audit", "from upstream"),
        (server(), "fire_and_forget", "from upstream"),
        (server(), "concurrent", "from upstream"),
        (server(), "permissive", "mail ann@example.com"),
        (at_the_wrong_hook(), "permissive", "from upstream"),
    ] {
        let upstream = upstream().await;
        let stand = Setup::new()
            .upstream("docs", &upstream)
            .plugin_with("p", plugin, json!({ "mode": mode }))
            .start()
            .await;
        let called = stand.client().call("echo", json!({ "text": "from upstream" })).await;
        assert_eq!(text(&called), expected, "{mode}");
    }
    let upstream = upstream().await;
    let stand = Setup::new().upstream("docs", &upstream).plugin("p", at_the_wrong_hook()).start().await;
    let called = stand.client().call("echo", json!({ "text": "x" })).await;
    assert!(text(&called).contains("PLUGIN_ERROR"), "{called}");
}

#[tokio::test]
async fn result_that_is_no_result_becomes_its_text_and_what_is_no_json_an_error() {
    for (served, expected) in [
        (Json::from(json!({ "degrees": 21 })), Some(r#"{"degrees":21}"#)),
        (Json::from(json!("warm")), Some("warm")),
        (Json::assume_valid(&b"{{"[..]), None),
    ] {
        let plugin = Native::new(served)
            .on::<ToolPreInvoke>(Needs::change(), |served, _, _| {
                Ok::<_, PluginError>(Verdict::Serve(served.clone()))
            })
            .into_plugin();
        let upstream = upstream().await;
        let stand = Setup::new().upstream("docs", &upstream).plugin("p", plugin).start().await;
        let called = stand.client().call("echo", json!({ "text": "x" })).await;
        match expected {
            Some(expected) => assert_eq!(text(&called), expected),
            None => assert!(called["error"]["message"].as_str().unwrap().contains("no JSON"), "{called}"),
        }
        assert_eq!(asked(&upstream), 0);
    }
}

#[tokio::test]
async fn cached_results_are_served_to_whom_they_belong() {
    let upstream = upstream().await;
    let cache = json!({
        "name": "cache", "kind": "builtin.cached_tool_result", "priority": 1,
        "config": { "cacheable_tools": ["echo"] },
    });
    let pii =
        json!({ "name": "pii", "kind": "builtin.pii_filter", "priority": 2, "hooks": ["tool_post_invoke"] });
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .app("ann", "token-of-ann", json!({ "user": "ann@example.com", "tenant": "acme" }))
        .app("bob", "token-of-bob", json!({ "user": "bob@example.com", "tenant": "acme" }))
        .entry(cache)
        .entry(pii)
        .start()
        .await;
    let (ann, bob) = (stand.client().token("token-of-ann"), stand.client().token("token-of-bob"));
    let arguments = || json!({ "text": "ask eve@example.com" });

    let mut answers = Vec::new();
    for (client, reached) in [(&ann, 1), (&ann, 1), (&bob, 2), (&bob, 2), (&ann, 2)] {
        answers.push(client.call("echo", arguments()).await["result"].clone());
        assert_eq!(upstream.count_of("tools/call"), reached);
    }
    ann.call("echo", json!({ "text": "something else" })).await;
    assert_eq!(upstream.count_of("tools/call"), 3);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert!(!answers[0].to_string().contains("eve@example.com"), "masked when served too: {}", answers[0]);
}
