//! The plugin as the one who tells who calls.

use mortise_plugin_api::hooks::MCP_HOOKS;
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Recorder, Setup};
use serde_json::{Value, json};

use crate::program::entry;

async fn gateway(upstream: &Scripted, recorder: &Recorder, more: Value) -> mortise_tests::Stand {
    Setup::new()
        .process()
        .upstream("docs", upstream)
        .plugin("recorder", recorder.plugin(MCP_HOOKS))
        .entry(entry(&["-hooks=auth"], &more))
        .start()
        .await
}

#[tokio::test]
async fn caller_is_who_the_plugin_says_and_others_are_rejected() {
    let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
    let stand = gateway(&upstream, &recorder, json!({})).await;
    let client = stand.client();

    client.token("token-of-ann").call("echo", json!({})).await;
    client.with("x-api-key", "token-of-bob").call("echo", json!({})).await;
    let unknown = client.token("guessed").rpc("tools/call", json!({ "name": "echo" })).await;
    let nobody = client.rpc("tools/call", json!({ "name": "echo" })).await;

    let callers: Vec<_> =
        recorder.at("tool_pre_invoke").into_iter().map(|seen| (seen.user, seen.tenant)).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(callers, [(some("ann@example.com"), some("acme")), (some("bob@example.com"), some("acme"))]);
    assert_eq!((unknown.status, nobody.status), (401, 401));
    assert!(unknown.text().contains("nobody knows this token"), "{}", unknown.text());
    assert_eq!(upstream.received_of("tools/call").len(), 2);
}

#[tokio::test]
async fn authenticator_that_does_not_start_lets_nobody_in() {
    let (upstream, recorder) = (Scripted::start().await.unwrap(), Recorder::new());
    let stand = gateway(&upstream, &recorder, json!({ "config": { "refuse": "no licence" } })).await;

    let answer = stand.client().token("token-of-ann").rpc("tools/call", json!({ "name": "echo" })).await;

    assert!((400..600).contains(&answer.status), "{}", answer.status);
    assert_eq!(upstream.received_of("tools/call").len(), 0);
    let ready = stand.client().get("/ready").await.text();
    assert!(ready.contains("plugin initialization failed: no licence"), "{ready}");
}
