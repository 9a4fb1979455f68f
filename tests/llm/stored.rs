//! LLMs and apps that are kept in storage, made while the gateway runs.

use mortise_tests::{Setup, Stand};
use serde_json::{Value, json};

use crate::{
    chat_at, post, question,
    vendor::{Vendor, chat},
};

async fn ask(stand: &Stand, method: &str, path: &str, body: Value) -> Value {
    let body = body.to_string();
    let answer = stand.admin().at(path).send(method, Some(body.as_bytes())).await;
    assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text());
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

#[tokio::test]
async fn llm_and_app_made_while_the_gateway_runs_are_served_as_those_of_files() {
    let vendor = Vendor::start([chat("hi")]).await;
    let stand = Setup::new().start().await;
    std::fs::write(stand.folder().join("key"), "sk-of-a-file\n").unwrap();
    assert_eq!(post(&chat_at(&stand), &question("hi", false)).await.status, 404);

    let llm = json!({
        "name": "gpt", "vendor": "openai", "endpoint": vendor.url(), "api_key": "${file:key}", "models": ["gpt-*"],
        "entry": { "retries": 1 },
    });
    let made = ask(&stand, "POST", "/api/v1/llms", llm).await;
    assert_eq!(made["api_key"], "${file:key}", "where the key is, never the key");

    assert_eq!(post(&chat_at(&stand), &question("hi", false)).await.status, 200);
    assert_eq!(vendor.last().header("authorization"), Some("Bearer sk-of-a-file"));
    for (name, llms, status) in [("may", json!(["gpt"]), 200), ("may_not", json!([]), 403)] {
        ask(&stand, "POST", "/api/v1/apps", json!({ "name": name, "llms": llms })).await;
        let token = ask(&stand, "POST", "/api/v1/tokens", json!({ "app": name })).await;
        let client = chat_at(&stand).token(token["token"].as_str().unwrap());
        assert_eq!(post(&client, &question("hi", false)).await.status, status, "{name}");
    }
    assert_eq!(post(&chat_at(&stand), &question("hi", false)).await.status, 401);
    let one = format!("/api/v1/llms/{}", made["id"]);
    let refused = stand.admin().at(&one).send("PATCH", Some(br#"{"vendor": "opnai"}"#)).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("opnai"), "{}", refused.text());
    ask(&stand, "DELETE", &one, json!({})).await;
    let boss = ask(&stand, "POST", "/api/v1/tokens", json!({ "app": "may" })).await;
    let client = chat_at(&stand).token(boss["token"].as_str().unwrap());
    assert_eq!(post(&client, &question("hi", false)).await.status, 404);
}
