//! What the plugin does to requests before they are authenticated.

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, text};
use serde_json::json;

use crate::program::{entry, stand, tell};

#[tokio::test]
async fn request_that_the_plugin_blocks_gets_its_status_headers_and_body() {
    let stand = stand(&[], json!({})).await;
    let client = stand.client();

    let blocked = client.with("x-block", "429").rpc("tools/list", json!({})).await;
    let plain = client.with("x-block", "0").rpc("tools/list", json!({})).await;

    assert_eq!((blocked.status, blocked.header("retry-after")), (429, Some("7")));
    assert_eq!((blocked.text().as_str(), blocked.header("content-type")), ("blocked by header", None));
    assert_eq!(plain.status, 403);
    assert_eq!(client.rpc("tools/list", json!({})).await.status, 200, "what it does not block passes");
    assert_eq!(tell(&client, "request").await, "POST /mcp true");
}

#[tokio::test]
async fn header_that_the_plugin_sets_counts_for_authentication() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new()
        .process()
        .upstream("docs", &upstream)
        .app("ci", "sesame", json!({}))
        .entry(entry(&[], &json!({})))
        .start()
        .await;
    let client = stand.client();

    assert_eq!(client.rpc("tools/list", json!({})).await.status, 401);
    let answer = client.with("x-partner-key", "sesame").call("echo", json!({ "text": "hi" })).await;
    assert_eq!(text(&answer), "hi");
}

#[tokio::test]
async fn configuration_reaches_the_plugin_as_the_texts_it_expects() {
    let config = json!({ "name": "a", "limit": 1_000_000, "ratio": 0.5, "on": true, "list": [1, 2] });
    let stand = stand(&[], json!({ "config": config })).await;
    let client = stand.client();

    for (key, expected) in [
        ("name", "a"),
        ("limit", "1000000"),
        ("ratio", "0.5"),
        ("on", "true"),
        ("list", "[1,2]"),
        ("_service_broker_id", "1"),
    ] {
        assert_eq!(tell(&client, &format!("config {key}")).await, expected, "{key}");
    }
    assert!(tell(&client, "config _plugin_id").await.parse::<u32>().unwrap() > 0);
}

#[tokio::test]
async fn environment_of_the_plugin_holds_nothing_of_the_gateways() {
    let stand = stand(&[], json!({})).await;

    let names = tell(&stand.client(), "environment").await;

    assert!(names.contains("PLUGIN_RUNTIME") && names.contains("PLUGIN_UNIX_SOCKET_DIR"), "{names}");
    // Cargo has given the gateway's process dozens of its own.
    assert!(!names.contains("CARGO"), "{names}");
}

#[tokio::test]
async fn answer_of_five_megabytes_comes_through() {
    let stand = stand(&[], json!({})).await;

    let answer = stand.client().with("x-large", &(5 << 20).to_string()).rpc("tools/list", json!({})).await;

    assert_eq!((answer.status, answer.body.len()), (418, 5 << 20));
}

#[tokio::test]
async fn noise_on_standard_output_holds_nothing_up() {
    let stand = stand(&["-greeting=not|a|handshake|at|all"], json!({})).await;
    let client = stand.client();

    for _ in 0..5 {
        // A megabyte each on output and error: more than any pipe holds.
        let answer = client.with("x-noise", "1000").rpc("tools/list", json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test]
async fn hooks_that_the_entry_lists_go_before_those_of_the_manifest() {
    // Of the manifest alone it would authenticate, and nobody without a token would come in.
    let stand = stand(&["-hooks=pre_auth,auth"], json!({ "hooks": ["pre_auth"] })).await;
    let client = stand.client();

    assert_eq!(client.rpc("tools/list", json!({})).await.status, 200);
    assert_eq!(client.with("x-block", "429").rpc("tools/list", json!({})).await.status, 429);
}

#[tokio::test]
async fn plugin_without_manifest_needs_its_hooks_in_the_entry() {
    let silent = stand(&["-hooks="], json!({})).await;
    let told = stand(&["-hooks="], json!({ "hooks": ["http_pre_request"] })).await;

    let ready = silent.client().get("/ready").await;
    assert!(ready.text().contains("list them in `hooks:`"), "{}", ready.text());
    // A guard that did not start is none that lets everything pass.
    assert_eq!(silent.client().rpc("tools/list", json!({})).await.status, 503);
    assert_eq!(told.client().with("x-block", "429").rpc("tools/list", json!({})).await.status, 429);
}
