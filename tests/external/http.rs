//! Servers over streamable HTTP.

use bytes::Bytes;
use mortise_testkit::mcp_server::scripted::{Behaviour, Gate, Scripted};
use mortise_tests::{Setup, Stand, eventually, text};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A text result that holds this JSON.
fn says(value: &Value) -> Behaviour {
    Behaviour::Answer(json!({ "content": [{ "type": "text", "text": value.to_string() }] }))
}

fn passes() -> Behaviour {
    says(&json!({ "result": { "continue_processing": true } }))
}

/// A server of the newer generation with the plugin `guard` at `tool_pre_invoke`.
async fn server() -> Scripted {
    let server = Scripted::start().await.unwrap();
    server.set_tools(&["get_plugin_config", "invoke_hook"]);
    server.on_tool("get_plugin_config", says(&json!({ "name": "guard", "hooks": ["tool_pre_invoke"] })));
    server.on_tool("invoke_hook", passes());
    server
}

fn entry(server: &Scripted, more: &Value) -> Value {
    let mut mcp = json!({ "proto": "http", "url": server.url(), "reconnect_delay": 0.05 });
    mcp.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "name": "guard", "kind": "external", "mcp": mcp })
}

async fn stand(server: &Scripted, upstream: &Scripted, more: &Value) -> Stand {
    Setup::new().external().upstream("docs", upstream).entry(entry(server, more)).start().await
}

async fn echo(stand: &Stand, words: &str) -> String {
    let answer = stand.client().call("echo", json!({ "text": words })).await;
    text(&answer).to_owned()
}

#[tokio::test]
async fn plugin_blocks_changes_and_is_shown_the_caller() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    let stand = stand(&server, &upstream, &json!({ "auth": { "type": "bearer", "token": "t0k" } })).await;

    assert_eq!(echo(&stand, "plain").await, "plain");
    let calls = server.received_of("tools/call");
    let asked = &calls.last().unwrap().params()["arguments"];
    assert_eq!((&asked["hook_type"], &asked["plugin_name"]), (&json!("tool_pre_invoke"), &json!("guard")));
    assert_eq!(asked["payload"]["args"]["text"], "plain");
    assert_eq!(asked["context"]["global_context"]["server_id"], "docs");
    assert_eq!(calls.last().unwrap().header("authorization"), Some("Bearer t0k"));

    let changed = json!({ "name": "echo", "args": { "text": "changed" } });
    server.on_tool("invoke_hook", says(&json!({ "result": { "modified_payload": changed } })));
    assert_eq!(echo(&stand, "plain").await, "changed");

    let violation = json!({ "reason": "no", "description": "not this", "code": "NO" });
    let block = json!({ "continue_processing": false, "violation": violation });
    server.on_tool("invoke_hook", says(&block));
    assert!(echo(&stand, "plain").await.contains("blocked by plugin guard: NO"));
}

#[tokio::test]
async fn hooks_the_server_does_not_have_are_not_guarded_and_listed_ones_are_an_error() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
    let stand = stand(&server, &upstream, &json!({})).await;
    let prompt = stand.client().ask("prompts/get", json!({ "name": "greet" })).await;
    assert!(prompt["result"].is_object(), "{prompt}");

    let mut entry = entry(&server, &json!({}));
    entry["hooks"] = json!(["tool_pre_invoke", "tool_post_invoke"]);
    let stand = Setup::new().external().upstream("docs", &upstream).entry(entry).start().await;
    let listed = stand.client().get("/plugins").await.json();
    let reason = listed[0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("does not offer the hooks `tool_post_invoke`"), "{listed}");
    assert!(echo(&stand, "x").await.contains("PLUGIN_UNAVAILABLE"));
}

#[tokio::test]
async fn answers_that_are_none_cost_their_call_only() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    let stand = stand(&server, &upstream, &json!({ "max_response_size_mb": 1 })).await;
    for behaviour in [
        Behaviour::Garbage(Bytes::from_static(b"{ no json")),
        Behaviour::Garbage(Bytes::from_static(b"[1,2")),
        Behaviour::Oversized(50 << 20),
        Behaviour::CloseMidAnswer,
        Behaviour::StreamWithoutResult,
        Behaviour::Status(500),
        Behaviour::RpcError(-32603, "broken".to_owned()),
        Behaviour::ToolError("Unknown tool".to_owned()),
        says(&json!({ "error": { "message": "ValueError('boom')", "plugin_name": "guard" } })),
        says(&json!({ "result": { "continue_processing": "maybe" } })),
    ] {
        let named = format!("{behaviour:?}").chars().take(60).collect::<String>();
        server.on_tool("invoke_hook", behaviour);
        let blocked = echo(&stand, "x").await;
        assert!(blocked.contains("blocked by plugin guard: PLUGIN_"), "{named}: {blocked}");
        server.on_tool("invoke_hook", passes());
        assert_eq!(echo(&stand, "next").await, "next", "{named}");
    }
    assert_eq!(upstream.received_of("tools/call").len(), 10, "no call of a blocked one came through");
}

#[tokio::test]
async fn call_that_takes_too_long_is_cancelled_on_the_wire_and_its_late_answer_is_nobodys() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    let stand = stand(&server, &upstream, &json!({ "timeout_ms": 300 })).await;
    let gate = Gate::new();
    server.on_tool("invoke_hook", Behaviour::Wait(gate.clone()));

    let late = echo(&stand, "slow").await;

    assert!(late.contains("PLUGIN_TIMEOUT"), "{late}");
    let told = server.wait_for("notifications/cancelled", 1).await.unwrap();
    let asked = server.received_of("tools/call").pop().unwrap();
    assert_eq!(told[0].params()["requestId"], asked.message["id"]);
    gate.open();
    server.on_tool("invoke_hook", passes());
    assert_eq!(echo(&stand, "next").await, "next");
}

#[tokio::test]
async fn client_that_leaves_cancels_the_call_of_the_plugin() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    let stand = stand(&server, &upstream, &json!({})).await;
    server.on_tool("invoke_hook", Behaviour::Hang);
    let params = json!({ "name": "echo", "arguments": { "text": "x" } });
    let leaving = stand.client().begin(7, "tools/call", params).await;
    eventually("the call at the server", async || {
        let calls = server.received_of("tools/call");
        calls.iter().any(|call| call.params()["name"] == "invoke_hook").then_some(())
    })
    .await;

    drop(leaving);

    server.wait_for("notifications/cancelled", 1).await.unwrap();
    server.wait_for_abandoned(1).await.unwrap();
    assert_eq!(upstream.received_of("tools/call").len(), 0);
}

#[tokio::test]
async fn forgotten_session_is_opened_anew_and_the_call_goes_on() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    server.require_session(true);
    let stand = stand(&server, &upstream, &json!({})).await;
    assert_eq!(echo(&stand, "one").await, "one");

    server.forget_sessions();

    assert_eq!(echo(&stand, "two").await, "two");
    assert_eq!(server.count_of("initialize"), 2);
}

#[tokio::test]
async fn server_that_goes_away_and_comes_back_is_used_again() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    let stand = stand(&server, &upstream, &json!({})).await;
    assert_eq!(echo(&stand, "one").await, "one");

    server.down().await;
    // More often than a breaker would bear, were being away a failure.
    for _ in 0..8 {
        let away = echo(&stand, "two").await;
        assert!(away.contains("PLUGIN_UNAVAILABLE"), "{away}");
    }
    server.up().await.unwrap();

    eventually("the server in use", async || (echo(&stand, "three").await == "three").then_some(())).await;
    assert_eq!(upstream.received_of("tools/call").len(), 2);
}

#[tokio::test]
async fn server_that_is_not_there_at_the_start_is_waited_for_and_its_mode_decides() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
    server.down().await;
    for (mode, blocks) in [("enforce", true), ("permissive", false)] {
        let mut entry = entry(&server, &json!({ "reconnect_attempts": 1 }));
        entry["mode"] = json!(mode);
        let stand = Setup::new().external().upstream("docs", &upstream).entry(entry).start().await;
        let said = echo(&stand, "x").await;
        assert_eq!(said.contains("PLUGIN_UNAVAILABLE"), blocks, "{mode}: {said}");
        // Where it will guard is not known yet: prompts count as guarded.
        let prompt = stand.client().ask("prompts/get", json!({ "name": "greet" })).await;
        assert_eq!(prompt["error"].is_object(), blocks, "{mode}: {prompt}");
        let ready = stand.client().get("/ready").await.json();
        assert!(ready["degraded"][0]["reason"].as_str().unwrap().contains("is away"), "{ready}");

        server.up().await.unwrap();
        eventually("the server in use", async || {
            let prompt = stand.client().ask("prompts/get", json!({ "name": "greet" })).await;
            (prompt["result"].is_object() && server.count_of("initialize") > 0).then_some(())
        })
        .await;
        eventually("the plugin asked", async || {
            let before = server.count_of("tools/call");
            (echo(&stand, "y").await == "y" && server.count_of("tools/call") > before).then_some(())
        })
        .await;
        server.down().await;
    }
}

#[tokio::test]
async fn answers_are_kept_for_equal_questions_of_the_same_caller_only() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    let cached = entry(&server, &json!({ "cache_ttl_seconds": 60 }));
    let setup = Setup::new().external().upstream("docs", &upstream).entry(cached);
    let who = |user: &str| json!({ "user": user });
    let stand =
        setup.app("ann", "ann-0123456789", who("ann")).app("bob", "bob-0123456789", who("bob")).start().await;
    let asked = || {
        let calls = server.received_of("tools/call");
        calls.iter().filter(|call| call.params()["name"] == "invoke_hook").count()
    };
    for (token, words, expected) in [
        ("ann-0123456789", "one", 1),
        ("ann-0123456789", "one", 1),
        ("ann-0123456789", "two", 2),
        ("bob-0123456789", "one", 3),
    ] {
        let answer = stand.client().token(token).call("echo", json!({ "text": words })).await;
        assert_eq!(text(&answer), words);
        assert_eq!(asked(), expected, "{token} {words}");
    }
}

#[tokio::test]
async fn health_of_a_server_is_looked_at_where_it_says() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    let keys = json!({ "health_check_endpoint": "/health", "health_check_interval": 0.05 });
    let stand = stand(&server, &upstream, &keys).await;
    eventually("a look", async || {
        server.received().iter().any(|seen| seen.http_method == "GET" && seen.method.is_empty()).then_some(())
    })
    .await;
    assert_eq!(echo(&stand, "x").await, "x");
}

#[tokio::test]
async fn mistakes_in_the_transport_are_told_where_they_stand() {
    let framework = Setup::new().external();
    for (mcp, path) in [
        (json!({ "proto": "pigeon", "url": "http://h/mcp" }), "plugins[0].mcp.proto"),
        (json!({ "proto": "http" }), "plugins[0].mcp.url"),
        (
            json!({ "proto": "http", "url": "http://h/mcp", "timeout_ms": "soon" }),
            "plugins[0].mcp.timeout_ms",
        ),
        (json!({ "proto": "http", "url": "http://h/mcp", "tmeout_ms": 1 }), "plugins[0].mcp.tmeout_ms"),
    ] {
        let setup = Setup::new().external().entry(json!({ "name": "guard", "kind": "external", "mcp": mcp }));
        let Err(errors) = setup.load(&framework.framework()) else { panic!("{path} is accepted") };
        let paths: Vec<&str> = errors.list().iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, [path], "{}", errors.render(false));
    }
}

#[tokio::test]
async fn what_the_entry_does_not_name_is_as_the_server_has_it() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    let violation = json!({ "reason": "no", "description": "not this", "code": "NO" });
    server.on_tool("invoke_hook", says(&json!({ "continue_processing": false, "violation": violation })));
    let hooks = json!(["tool_pre_invoke"]);
    for (served, own, blocks) in [
        (json!({ "mode": "permissive" }), json!({}), false),
        (json!({ "mode": "permissive" }), json!({ "mode": "enforce" }), true),
        (
            json!({ "mode": "enforce", "conditions": [{ "tools": ["other"], "prompts": null }] }),
            json!({}),
            false,
        ),
        (json!({ "conditions": [{ "tools": ["other"] }] }), json!({ "conditions": [] }), true),
        (json!({ "mode": "disabled" }), json!({}), false),
    ] {
        let mut told = json!({ "name": "guard", "hooks": hooks });
        told.as_object_mut().unwrap().extend(served.as_object().unwrap().clone());
        server.on_tool("get_plugin_config", says(&told));
        let mut entry = entry(&server, &json!({}));
        entry.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let stand = Setup::new().external().upstream("docs", &upstream).entry(entry).start().await;
        let said = echo(&stand, "x").await;
        assert_eq!(said.contains("blocked by plugin guard: NO"), blocks, "{served} under {own}: {said}");
    }
}

#[tokio::test]
async fn server_brings_hooks_that_no_one_guessed() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    server.on_tool("get_plugin_config", says(&json!({ "name": "guard", "hooks": ["http_post_request"] })));
    server.on_tool(
        "invoke_hook",
        says(&json!({ "result": { "modified_payload": { "x-guard": "was here" } } })),
    );
    let stand = stand(&server, &upstream, &json!({})).await;
    let answer =
        stand.client().rpc("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } })).await;
    assert_eq!(answer.header("x-guard"), Some("was here"), "{}", answer.text());
}

#[tokio::test]
async fn call_that_nobody_has_seen_is_sent_again_where_the_entry_says_so() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    let stand = stand(&server, &upstream, &json!({ "retry_attempts": 3 })).await;
    assert_eq!(echo(&stand, "one").await, "one");
    server.down().await;
    let (said, ()) = tokio::join!(echo(&stand, "two"), async { server.up().await.unwrap() });
    assert_eq!(said, "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_lost_under_load_ends_each_call_once_and_lets_none_pass() {
    let (server, upstream) = (server().await, Scripted::start().await.unwrap());
    let stand = stand(&server, &upstream, &json!({})).await;
    let gate = Gate::new();
    server.on_tool("invoke_hook", Behaviour::Wait(gate.clone()));
    let mut calls = JoinSet::new();
    for at in 0..32 {
        let client = stand.client();
        calls.spawn(async move { client.call("echo", json!({ "text": format!("call-{at}") })).await });
    }
    gate.arrived(32).await;

    server.down().await;

    while let Some(answer) = calls.join_next().await {
        let answer = answer.unwrap();
        assert!(text(&answer).contains("blocked by plugin guard: PLUGIN_"), "{answer}");
    }
    assert_eq!(upstream.received_of("tools/call").len(), 0);
    let asked = server.received_of("tools/call");
    let asked = asked.iter().filter(|call| call.params()["name"] == "invoke_hook");
    assert_eq!(asked.count(), 32, "a call that may have been looked at is never repeated");
}
