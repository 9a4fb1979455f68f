//! A program at every place of the chain, on requests to models: whole answers and streams.

use mortise_tests::{Client, HttpAnswer, Setup, eventually};
use serde_json::{Value, json};

use crate::{
    program::entry,
    vendor::{Answer, Vendor, chat, completion, delta, last},
};

async fn ask(client: &Client, text: &str, stream: bool) -> HttpAnswer {
    let body =
        json!({ "model": "gpt-5", "messages": [{ "role": "user", "content": text }], "stream": stream });
    client.send("POST", Some(body.to_string().as_bytes())).await
}

#[tokio::test]
async fn each_place_of_the_chain_acts_on_requests_to_models() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let written = || std::fs::read_to_string(&journal).unwrap_or_default();
    let vendor = Vendor::start([chat("a secret answer")]).await;
    let hooks = "-hooks=pre_auth,auth,post_auth,on_response,data_collection";
    let stand = Setup::new()
        .process()
        .set("llms", json!({ "gpt": { "endpoint": vendor.url(), "api_key": "sk-vendor" } }))
        .entry(entry(&[hooks], &json!({ "config": { "journal": journal } })))
        .start()
        .await;
    let stranger = stand.client().at("/llm/call/gpt/chat/completions");
    let client = stranger.with("x-api-key", "token-of-ann");

    // Before authentication: blocked with the plugin's own status, headers and body.
    let blocked = ask(&client.with("x-block", "451"), "hi", false).await;
    assert_eq!((blocked.status, blocked.text().as_str()), (451, "blocked by header"));
    assert_eq!(blocked.header("retry-after"), Some("7"));

    // Authentication, told in the vendor's shape.
    let refused = ask(&stranger.with("x-api-key", "wrong"), "hi", false).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("nobody knows this token"));

    // After it, before the model.
    let blocked = ask(&client, "forbidden", false).await;
    assert_eq!(blocked.status, 403, "{}", blocked.text());
    assert!(blocked.json()["error"]["message"].as_str().unwrap().contains("not for ann@example.com"));
    assert!(vendor.asked().is_empty());
    ask(&client, "replace me", false).await;
    assert_eq!(vendor.last().json(), json!({ "model": "small" }));

    // The answer: its headers, then its body.
    let answer = ask(&client.with("x-request-id", "whole-1"), "hi", false).await;
    assert_eq!((answer.status, answer.json()), (200, completion("a ****** answer")));
    assert_eq!(answer.header("x-canonical"), Some("application/json"));

    // A stream goes out as it is, and is shown as its bytes when it is over.
    let pieces = [delta("a sec"), delta("ret stream"), last()];
    vendor.answers([Answer::Stream(pieces.to_vec())]);
    let answer = ask(&client.with("x-request-id", "stream-1"), "hi", true).await;
    assert_eq!((answer.text(), answer.header("x-canonical")), (pieces.concat(), None));
    eventually("the stream at the plugin", async || {
        written().contains(&format!("stream: {}", pieces.concat())).then_some(())
    })
    .await;

    // After the fact.
    eventually("the logs", async || {
        let text = written();
        (text.contains("log: 200 whole-1") && text.contains("log: 200 stream-1")).then_some(())
    })
    .await;
    assert_eq!(vendor.last().header("authorization"), Some("Bearer sk-vendor"));
    let _: Value = vendor.last().json();
}
