//! What no plugin looks at goes through as it is, in both directions, as it comes.

use std::sync::Arc;

use mortise_tests::eventually;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    begin, chat_at, post, question, setup,
    vendor::{Answer, Vendor, chat, completion, delta, last, spoken},
};

#[tokio::test]
async fn bytes_go_on_unchanged_and_keys_stay_on_their_sides() {
    let vendor = Vendor::start([chat("hi")]).await;
    let stand = setup(&vendor, json!({ "headers": { "x-org": "acme" } })).start().await;
    let body = r#"{ "messages":[{"role":"user","content":"\u0041 12345678901234567890"}],  "model": "gpt-5", "x_new": 1.0 }"#;
    let client = chat_at(&stand)
        .with("authorization", "Bearer sk-client")
        .with("x-api-key", "sk-client")
        .with("cookie", "s=sk-client")
        .with("openai-beta", "assistants=v2")
        .with("x-secret-token", "sk-client")
        .with("connection", "close");

    let answer = client.send("POST", Some(body.as_bytes())).await;

    assert_eq!((answer.status, answer.json()), (200, completion("hi")));
    assert_eq!(answer.header("x-ratelimit-left"), Some("7"));
    assert_eq!(answer.header("set-cookie"), None);
    assert!(!answer.headers.iter().any(|(_, value)| value.contains("sk-vendor")));
    let asked = vendor.last();
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(asked.body, body.as_bytes());
    assert_eq!(asked.header("authorization"), Some("Bearer sk-vendor"));
    assert_eq!(asked.header("openai-beta"), Some("assistants=v2"));
    assert_eq!(asked.header("x-org"), Some("acme"));
    assert!(!asked.text().contains("sk-client"), "{}", asked.text());
}

#[tokio::test]
async fn every_door_leads_to_the_same_path_and_a_version_is_written_once() {
    let vendor = Vendor::start([chat("hi")]).await;
    let stand = setup(&vendor, json!({ "models": ["gpt-*", "text-*"] })).start().await;
    for path in [
        "/llm/rest/gpt/chat/completions",
        "/llm/call/gpt/v1/chat/completions",
        "/llm/stream/gpt//chat/completions",
        "/llm/call/GPT/chat/completions?x=1&key=abc",
        "/ai/gpt/v1/chat/completions",
        "/v1/chat/completions",
    ] {
        let answer = post(&stand.client().at(path), &question("hi", false)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let query = if path.contains('?') { "?x=1" } else { "" };
        assert_eq!(vendor.last().target, format!("/v1/chat/completions{query}"), "{path}");
    }
    let at = |path: &str| stand.client().at(path);
    let answer = post(&at("/llm/call/gpt/../admin"), &question("hi", false)).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(at("/llm/call/gpt/files").send("DELETE", None).await.status, 405);
    assert_eq!(vendor.asked().len(), 6);
}

#[tokio::test]
async fn model_is_set_where_none_is_named_and_told_by_its_qualified_name() {
    let vendor = Vendor::start([chat("hi")]).await;
    let stand = setup(&vendor, json!({ "models": ["gpt-*"], "default_model": "gpt-mini" })).start().await;
    let answer = post(&chat_at(&stand), &json!({ "messages": [] })).await;
    assert_eq!((answer.status, vendor.last().json()["model"].as_str()), (200, Some("gpt-mini")));
    let at = stand.client().at("/v1/chat/completions");
    let answer = post(&at, &json!({ "model": "gpt/gpt-5", "messages": [] })).await;
    assert_eq!((answer.status, vendor.last().json()["model"].as_str()), (200, Some("gpt-5")));
    let listed = stand.client().get("/v1/models").await.json();
    assert_eq!(listed["data"][0]["id"], "gpt-mini");
}

#[tokio::test]
async fn stream_goes_out_as_it_comes() {
    let gate = Arc::new(Semaphore::new(1));
    let pieces = vec![delta("one "), delta("two"), last()];
    let vendor = Vendor::start([Answer::Gated(pieces.clone(), gate.clone())]).await;
    let stand = setup(&vendor, json!({})).start().await;

    let mut answer = begin(&chat_at(&stand), &question("hi", true)).await;

    let came = answer.wait_for("one ").await;
    assert!(came.contains("text/event-stream") && !came.contains("two"), "{came}");
    gate.add_permits(2);
    let rest = answer.wait_for("[DONE]").await;
    assert_eq!(spoken(&format!("{}{rest}", pieces[0])), "one two");
}

#[tokio::test]
async fn client_that_leaves_ends_the_call_upstream() {
    let gate = Arc::new(Semaphore::new(1));
    let vendor = Vendor::start([Answer::Gated(vec![delta("one"), delta("two"), last()], gate)]).await;
    let stand = setup(&vendor, json!({})).start().await;
    let mut answer = begin(&chat_at(&stand), &question("hi", true)).await;
    answer.wait_for("one").await;
    drop(answer);
    eventually("the vendor to be left", async || (vendor.left() == 1).then_some(())).await;

    vendor.answers([Answer::Hang]);
    let waiting = begin(&chat_at(&stand), &question("hi", false)).await;
    eventually("the question at the vendor", async || (vendor.asked().len() == 2).then_some(())).await;
    drop(waiting);
    eventually("the vendor to be left", async || (vendor.left() == 2).then_some(())).await;
}

#[tokio::test]
async fn body_beyond_the_limit_is_refused_in_the_vendors_shape() {
    let vendor = Vendor::start([chat("hi")]).await;
    let stand = setup(&vendor, json!({}))
        .set("listen", json!({ "max_body_bytes": 1000 }))
        .set("limits", json!({ "max_content_bytes": 1000 }))
        .start()
        .await;
    let answer = post(&chat_at(&stand), &question(&"x".repeat(2000), false)).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (413, Some("request_too_large")));
    assert!(vendor.asked().is_empty());
}
