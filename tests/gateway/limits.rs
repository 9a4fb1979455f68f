//! Sizes: of requests, before anything is kept of them, and of payloads that plugins look at.

use mortise_plugin_api::hooks::MCP_HOOKS;
use mortise_testkit::{
    mcp_server::scripted::{Behaviour, Scripted},
    plugins,
};
use mortise_tests::{Setup, text};
use serde_json::json;

#[tokio::test]
async fn request_that_says_it_is_too_large_is_refused_before_its_body_comes() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).start().await;

    // No byte of the body is ever sent: a gateway that waited for it would not answer.
    let answer = stand.client().raw("POST", "content-length: 1000000000000\r\n", b"").await.answer().await;

    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn request_that_turns_out_too_large_is_refused() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new()
        .set("listen", json!({ "max_body_bytes": 1000 }))
        .upstream("docs", &upstream)
        .start()
        .await;
    let client = stand.client();

    let chunk = format!("320\r\n{}\r\n", "x".repeat(800));
    let body = format!("{chunk}{chunk}0\r\n\r\n");
    let answer = client.raw("POST", "transfer-encoding: chunked\r\n", body.as_bytes()).await.answer().await;

    assert_eq!(answer.status, 413);
    assert_eq!(text(&client.call("echo", json!({ "text": "x".repeat(500) })).await).len(), 500);
}

#[tokio::test]
async fn arguments_over_the_limit_are_refused_where_a_plugin_looks_whatever_its_mode() {
    let upstream = Scripted::start().await.unwrap();
    let setup =
        || Setup::new().upstream("docs", &upstream).set("limits", json!({ "max_argument_bytes": 1000 }));
    let large = json!({ "text": "x".repeat(2000) });

    for mode in ["enforce", "permissive"] {
        let noop = plugins::noop(MCP_HOOKS);
        let stand = setup().plugin_with("looker", noop, json!({ "mode": mode })).start().await;
        let refused = stand.client().call("echo", large.clone()).await;
        assert_eq!(refused["result"]["isError"], true, "{mode}");
        assert!(text(&refused).contains("PAYLOAD_TOO_LARGE"), "{refused}");
        assert_eq!(text(&stand.client().call("echo", json!({ "text": "small" })).await), "small");
        let reached = upstream.received_of("tools/call");
        assert!(reached.iter().all(|call| call.params()["arguments"]["text"] == "small"), "{mode}");
    }
    let unguarded = setup().start().await;
    assert_eq!(text(&unguarded.client().call("echo", large).await).len(), 2000);
}

#[tokio::test]
async fn result_over_the_limit_is_withheld_where_a_plugin_looks() {
    let upstream = Scripted::start().await.unwrap();
    upstream.on_tool("echo", Behaviour::Oversized(5000));
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("limits", json!({ "max_argument_bytes": 1000 }))
        .plugin("looker", plugins::noop(MCP_HOOKS))
        .start()
        .await;

    let withheld = stand.client().call("echo", json!({})).await;

    assert_eq!(withheld["result"]["isError"], true);
    assert!(text(&withheld).contains("tool_post_invoke") && text(&withheld).contains("PAYLOAD_TOO_LARGE"));
    assert!(!withheld.to_string().contains("xxxx"));
}
