//! Plugins that cannot run: their mode decides, the gateway runs, and whoever asks is told.

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, Stand, text};
use serde_json::{Value, json};

async fn with(upstream: &Scripted, entry: Value) -> Stand {
    Setup::new().upstream("docs", upstream).entry(entry).start().await
}

fn external(mode: &str) -> Value {
    let mcp = json!({ "proto": "STREAMABLEHTTP", "url": "http://127.0.0.1:9/mcp" });
    json!({ "name": "remote", "kind": "external", "mode": mode, "mcp": mcp })
}

#[tokio::test]
async fn unavailable_plugin_under_enforce_blocks_every_guarded_call() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_list("prompts", vec![json!({ "name": "greet" })]);
    let stand = with(&upstream, external("enforce")).await;

    let tool = stand.client().call("echo", json!({ "text": "x" })).await;
    let prompt = stand.client().ask("prompts/get", json!({ "name": "greet" })).await;
    let resource = stand.client().ask("resources/read", json!({ "uri": "file:///a" })).await;

    assert_eq!(tool["result"]["isError"], true);
    assert!(text(&tool).contains("blocked by plugin remote: PLUGIN_UNAVAILABLE"), "{tool}");
    for answer in [prompt, resource] {
        assert_eq!(answer["error"]["data"]["plugin_error_code"], "PLUGIN_UNAVAILABLE", "{answer}");
    }
    for method in ["tools/call", "prompts/get", "resources/read"] {
        assert_eq!(upstream.received_of(method).len(), 0, "{method}");
    }
}

#[tokio::test]
async fn unavailable_plugin_under_lenient_modes_lets_calls_pass() {
    let upstream = Scripted::start().await.unwrap();
    for mode in ["permissive", "enforce_ignore_error", "audit", "fire_and_forget", "disabled"] {
        let stand = with(&upstream, external(mode)).await;
        assert_eq!(text(&stand.client().call("echo", json!({ "text": mode })).await), mode);
    }
}

#[tokio::test]
async fn unavailable_plugin_is_listed_with_what_it_waits_for() {
    let upstream = Scripted::start().await.unwrap();
    let waiting = [
        (external("permissive"), "external plugin servers"),
        (json!({ "name": "remote", "kind": "plugins.watchdog.watchdog.WatchdogPlugin" }), "Watchdog"),
        (json!({ "name": "remote", "kind": "acme.guard.Guard" }), "Python"),
        (json!({ "name": "remote", "kind": "builtin.test_start_fails" }), "does not start"),
    ];
    for (entry, word) in waiting {
        let stand = with(&upstream, entry).await;

        let ready = stand.client().get("/ready").await;
        let listed = stand.client().get("/plugins").await.json();

        assert_eq!(ready.status, 200);
        let ready = ready.json();
        assert_eq!(ready["status"], "degraded");
        let degraded = &ready["degraded"][0];
        assert_eq!((&degraded["kind"], &degraded["name"]), (&json!("plugin"), &json!("remote")));
        assert!(degraded["reason"].as_str().unwrap().contains(word), "{word}: {ready}");
        assert_eq!(listed[0]["status"], "unavailable");
        assert!(listed[0]["reason"].as_str().unwrap().contains(word), "{word}: {listed}");
    }
}

#[tokio::test]
async fn plugin_that_fails_blocks_or_passes_by_its_mode() {
    let upstream = Scripted::start().await.unwrap();
    for (kind, code) in [
        ("test_fail", "PLUGIN_ERROR"),
        ("test_panic_now", "PLUGIN_ERROR"),
        ("test_wrong_type", "PLUGIN_ERROR"),
    ] {
        for (mode, blocks) in [("enforce", true), ("enforce_ignore_error", false), ("permissive", false)] {
            let hooks = json!(["tool_pre_invoke"]);
            let entry =
                json!({ "name": "bad", "kind": format!("builtin.{kind}"), "mode": mode, "hooks": hooks });
            let stand = with(&upstream, entry).await;

            let answer = stand.client().call("echo", json!({ "text": "x" })).await;

            assert_eq!(answer["result"]["isError"], blocks, "{kind} {mode}: {answer}");
            assert_eq!(text(&answer).contains(code), blocks, "{kind} {mode}: {answer}");
        }
    }
}
