//! Vendors that fail: what is tried again, who stands in, and what a client is told.

use mortise_tests::Setup;
use serde_json::json;

use crate::{
    chat_at, post, question, setup,
    vendor::{Answer, Vendor, chat, completion, delta, last},
};

fn overloaded() -> Answer {
    Answer::Json(503, json!({ "error": { "message": "busy" } }))
}

#[tokio::test]
async fn request_is_sent_again_while_nothing_has_gone_to_the_client() {
    let vendor = Vendor::start([overloaded(), Answer::Close, chat("hi")]).await;
    let stand = setup(&vendor, json!({ "retries": 2 })).start().await;
    let answer = post(&chat_at(&stand), &question("hi", false)).await;
    assert_eq!((answer.status, answer.json()), (200, completion("hi")));
    assert!(vendor.asked().len() >= 3);

    vendor.answers([overloaded()]);
    let answer = post(&chat_at(&stand), &question("hi", false)).await;
    assert_eq!((answer.status, answer.json()["error"]["message"].as_str()), (503, Some("busy")));

    // What has begun is not begun anew, and what came of it goes out.
    let before = vendor.asked().len();
    vendor.answers([Answer::Break(vec![delta("one")])]);
    let answer = post(&chat_at(&stand), &question("hi", true)).await;
    assert_eq!((answer.status, crate::vendor::spoken(&answer.text()).as_str()), (200, "one"));
    assert_eq!(vendor.asked().len(), before + 1);
}

#[tokio::test]
async fn another_llm_stands_in_with_a_model_of_its_own() {
    let first = Vendor::start([overloaded()]).await;
    let second = Vendor::start([chat("from the second")]).await;
    let llms = json!({
        "gpt": { "endpoint": first.url(), "models": ["gpt-*"], "fallback": "spare" },
        "spare": { "endpoint": second.url(), "models": ["local"], "default_model": "local", "api_key": "sk-2" },
    });
    let stand = Setup::new().set("llms", llms).start().await;
    let answer = post(&chat_at(&stand).with("x-request-id", "r-1"), &question("hi", false)).await;
    assert_eq!((answer.status, answer.json()), (200, completion("from the second")));
    let explained = mortise_tests::eventually("the explanation", async || {
        let answer = stand.admin().get("/api/v1/calls/r-1").await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    let attempts = explained["attempts"].as_array().cloned().unwrap_or_default();
    let attempts: Vec<_> = attempts.iter().map(|one| (&one["upstream"], &one["came"])).collect();
    assert_eq!(attempts, [(&json!("gpt"), &json!("503")), (&json!("spare"), &json!("200"))]);
    let asked = second.last();
    assert_eq!(
        (asked.json()["model"].as_str(), asked.header("authorization")),
        (Some("local"), Some("Bearer sk-2"))
    );
}

#[tokio::test]
async fn several_llms_with_a_model_share_it_by_weight() {
    let (first, second) = (Vendor::start([chat("a")]).await, Vendor::start([chat("b")]).await);
    let llms = json!({
        "a": { "endpoint": first.url(), "models": ["gpt-*"], "weight": 3 },
        "b": { "endpoint": second.url(), "models": ["gpt-*"] },
        "any": { "endpoint": "http://127.0.0.1:1/v1" },
    });
    let stand = Setup::new().set("llms", llms).start().await;
    let client = stand.client().at("/v1/chat/completions");
    for _ in 0..8 {
        assert_eq!(post(&client, &question("hi", false)).await.status, 200);
    }
    assert_eq!((first.asked().len(), second.asked().len()), (6, 2));
}

#[tokio::test]
async fn silence_in_a_stream_ends_it() {
    let vendor = Vendor::start([Answer::Stall(vec![delta("one")])]).await;
    let guard = json!({
        "name": "pii", "kind": "builtin.pii_filter", "hooks": ["llm_output"], "config": { "detect_email": true },
    });
    let stand = setup(&vendor, json!({ "chunk_timeout": 0.3 })).entry(guard).start().await;
    let answer = post(&chat_at(&stand), &question("hi", true)).await;
    assert!(answer.text().contains(r#""code":"timeout""#), "{}", answer.text());
    assert!(answer.text().contains("one"), "what was held is let out: {}", answer.text());

    let stand = setup(&vendor, json!({ "chunk_timeout": 0.3 })).start().await;
    let before = vendor.left();
    post(&chat_at(&stand), &question("hi", true)).await;
    mortise_tests::eventually("the vendor to be left", async || (vendor.left() > before).then_some(())).await;
}

#[tokio::test]
async fn stream_that_breaks_or_is_none_is_told_as_an_error() {
    let vendor = Vendor::start([Answer::Break(vec![delta("one")])]).await;
    let guard = json!({
        "name": "pii", "kind": "builtin.pii_filter", "hooks": ["llm_output"], "config": { "detect_email": true },
    });
    let stand = setup(&vendor, json!({})).entry(guard).start().await;
    let answer = post(&chat_at(&stand), &question("hi", true)).await;
    assert!(answer.text().contains(r#""code":"upstream_error""#), "{}", answer.text());

    vendor.answers([Answer::Stream(vec![
        "data: {\"choices\":[{\"delta\":\n\n".to_owned(),
        "\0\0:::".to_owned(),
        last(),
    ])]);
    let answer = post(&chat_at(&stand), &question("hi", true)).await;
    assert_eq!(answer.status, 200, "garbage goes on as garbage");
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn reload_changes_llms_without_dropping_a_stream() {
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
    let vendor = Vendor::start([Answer::Gated(vec![delta("one"), delta("two"), last()], gate.clone())]).await;
    let mut stand = setup(&vendor, json!({})).start().await;
    let mut under_way = crate::begin(&chat_at(&stand), &question("hi", true)).await;
    under_way.wait_for("one").await;
    let url = vendor.url();
    stand.write(|config| {
        config.insert("llms".to_owned(), json!({ "renamed": { "endpoint": url } }));
    });
    mortise_tests::eventually("the change", async || {
        let answer = post(&stand.client().at("/llm/call/renamed/chat/completions"), &json!([])).await;
        (answer.status == 400).then_some(())
    })
    .await;
    gate.add_permits(100);
    under_way.wait_for("[DONE]").await;
}
