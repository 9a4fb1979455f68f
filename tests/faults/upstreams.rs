//! Upstreams over HTTP that are down, go away, come back, hang, or answer what is no answer.

use bytes::Bytes;
use mortise_testkit::mcp_server::scripted::{Behaviour, Scripted};
use mortise_tests::{Setup, Stand, eventually, text};
use serde_json::json;

async fn works_again(stand: &Stand, what: &str) {
    eventually(what, async || {
        let answer = stand.client().call("echo", json!({ "text": "again" })).await;
        (text(&answer) == "again").then_some(())
    })
    .await;
}

#[tokio::test]
async fn upstream_that_is_down_at_start_is_used_once_it_is_up() {
    let (docs, late) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    docs.set_tools(&["other"]);
    late.down().await;
    let stand = Setup::new().upstream("docs", &docs).upstream("late", &late).start().await;

    let ready = stand.client().get("/ready").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["degraded"][0]["name"], "late");
    assert_eq!(stand.client().tools().await, ["other"]);
    late.up().await.unwrap();

    works_again(&stand, "the late upstream").await;
    assert_eq!(stand.client().get("/ready").await.json()["status"], "ready");
}

#[tokio::test]
async fn upstream_that_goes_away_and_returns_is_followed_without_a_restart() {
    let (docs, other) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    other.set_tools(&["other"]);
    docs.require_session(true);
    let stand = Setup::new().upstream("docs", &docs).upstream("other", &other).start().await;
    works_again(&stand, "the first call").await;

    docs.down().await;
    let failed = stand.client().call("echo", json!({ "text": "x" })).await;
    assert_eq!(failed["result"]["isError"], true, "{failed}");
    assert!(text(&failed).contains("docs"), "the upstream is named: {failed}");
    let unharmed = stand.client().call("other", json!({ "text": "unharmed" })).await;
    assert_eq!(text(&unharmed), "unharmed");
    eventually("its absence at /ready", async || {
        let ready = stand.client().get("/ready").await.json();
        (ready["degraded"][0]["name"] == "docs").then_some(())
    })
    .await;
    docs.up().await.unwrap();

    works_again(&stand, "the upstream after its return").await;
}

#[tokio::test]
async fn call_during_a_short_absence_is_answered_when_upstream_is_back() {
    let upstream = Scripted::start().await.unwrap();
    upstream.require_session(true);
    let stand = Setup::new().upstream("docs", &upstream).start().await;
    works_again(&stand, "the first call").await;

    upstream.down().await;
    let call = stand
        .client()
        .begin(1, "tools/call", json!({ "name": "echo", "arguments": { "text": "late" } }))
        .await;
    upstream.up().await.unwrap();

    assert_eq!(text(&call.answer().await.message()), "late");
}

#[tokio::test]
async fn upstream_that_hangs_costs_its_call_and_no_other() {
    let upstream = Scripted::start().await.unwrap();
    upstream.set_tools(&["echo", "hang"]);
    upstream.on_tool("hang", Behaviour::Hang);
    let stand =
        Setup::new().upstream_with("docs", json!({ "url": upstream.url(), "timeout": 1 })).start().await;
    let hanging = stand.client().begin(5, "tools/call", json!({ "name": "hang", "arguments": {} })).await;
    upstream.wait_for("tools/call", 1).await.unwrap();

    assert_eq!(text(&stand.client().call("echo", json!({ "text": "x" })).await), "x");

    let answer = hanging.answer().await.message();
    assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(5), &json!(true)));
    assert_eq!(text(&answer), "Tool invocation timed out after 1s");
    upstream.wait_for_abandoned(1).await.unwrap();
}

#[tokio::test]
async fn answers_that_are_none_end_the_call_and_not_the_connection() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new().upstream("docs", &upstream).start().await;
    let bytes = |text: &'static [u8]| Behaviour::Garbage(Bytes::from_static(text));

    for (what, behaviour) in [
        ("no JSON", bytes(b"<html>502</html>")),
        ("no UTF-8", bytes(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"\xff\xfe\"}")),
        ("nothing", bytes(b"")),
        ("another's answer", bytes(br#"{"jsonrpc":"2.0","id":"nobody","result":{}}"#)),
        ("neither result nor error", bytes(br#"{"jsonrpc":"2.0","id":1}"#)),
        ("a broken connection", Behaviour::CloseMidAnswer),
        ("a stream without result", Behaviour::StreamWithoutResult),
        ("a status", Behaviour::Status(502)),
        ("far too much", Behaviour::Oversized(65 << 20)),
    ] {
        upstream.on_tool("echo", behaviour);
        let answer = stand.client().call("echo", json!({ "text": "x" })).await;
        assert_eq!(answer["result"]["isError"], true, "{what}: {answer}");
        assert!(answer.to_string().len() < 2000, "{what}: what came is not repeated");

        upstream.on_tool("echo", Behaviour::Good);
        let good = stand.client().call("echo", json!({ "text": "good" })).await;
        assert_eq!(text(&good), "good", "after {what}");
    }
}
