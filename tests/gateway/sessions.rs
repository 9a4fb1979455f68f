//! Sessions of clients: whose they are, where they hold, and that none is needed.

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, text};
use serde_json::json;

#[tokio::test]
async fn session_holds_for_its_own_caller_and_path_until_it_is_ended() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .set("servers", json!({ "support": {} }))
        .app("ann", "token-of-ann", json!({}))
        .app("bob", "token-of-bob", json!({}))
        .start()
        .await;
    let ann = stand.client().token("token-of-ann").open_session().await;
    let status = async |client: &mortise_tests::Client| client.rpc("tools/list", json!({})).await.status;

    assert_eq!(status(&ann).await, 200);
    assert_eq!(status(&ann.token("token-of-bob")).await, 404, "a session of another app");
    assert_eq!(status(&ann.at("/servers/support/mcp")).await, 404, "a session of another path");
    assert_eq!(status(&ann.with("mcp-session-id", "unheard-of")).await, 404);
    assert_eq!(ann.token("token-of-bob").send("DELETE", None).await.status, 404);
    assert_eq!(status(&ann).await, 200, "nobody else can end it");
    assert_eq!(ann.send("DELETE", None).await.status, 200);
    assert_eq!(status(&ann).await, 404);
}

#[tokio::test]
async fn tools_can_be_called_with_and_without_a_session() {
    let upstream = Scripted::start().await.unwrap();
    upstream.require_session(true);
    let stand = Setup::new().upstream("docs", &upstream).start().await;

    let without = stand.client().call("echo", json!({ "text": "hello" })).await;
    let session = stand.client().open_session().await;
    let within = session.call("echo", json!({ "text": "hello" })).await;

    assert_eq!((text(&without), text(&within)), ("hello", "hello"));
    let calls = upstream.received_of("tools/call");
    let id = |at: usize| calls[at].header("mcp-session-id").map(str::to_owned);
    assert!(id(0).is_some() && id(1).is_some());
    assert_ne!(id(0), id(1), "a client's session has upstream sessions of its own");
}

#[tokio::test]
async fn upstream_that_forgot_its_sessions_is_asked_again_in_a_new_one() {
    let upstream = Scripted::start().await.unwrap();
    upstream.require_session(true);
    let stand = Setup::new().upstream("docs", &upstream).start().await;
    let session = stand.client().open_session().await;
    for client in [&stand.client(), &session] {
        client.call("echo", json!({ "text": "before" })).await;
    }

    upstream.forget_sessions();

    for client in [&stand.client(), &session] {
        assert_eq!(text(&client.call("echo", json!({ "text": "after" })).await), "after");
    }
}
