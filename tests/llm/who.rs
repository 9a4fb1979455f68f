//! Who may ask which model, with which key, and what the others are told.

use mortise_tests::Setup;
use serde_json::json;

use crate::{
    post, question, setup,
    vendor::{Answer, Vendor, chat},
};

fn apps(setup: Setup) -> Setup {
    setup.app("all", "token-all", json!({})).app("none", "token-none", json!({ "llms": [] })).app(
        "some",
        "token-some",
        json!({ "llms": ["gpt"], "servers": [] }),
    )
}

#[tokio::test]
async fn keys_are_taken_where_each_vendors_library_puts_them() {
    let vendor = Vendor::start([chat("hi")]).await;
    let stand = apps(setup(&vendor, json!({}))).start().await;
    let at = |path: &str| stand.client().at(path);
    let path = "/llm/call/gpt/chat/completions";
    let clients = [
        at(path).token("token-all"),
        at(path).with("x-api-key", "token-all"),
        at(path).with("api-key", "token-some"),
        at(path).with("x-goog-api-key", "token-all"),
        at(&format!("{path}?alt=sse&key=token-all")),
        at("/v1/chat/completions").token("token-some"),
    ];
    for client in &clients {
        let answer = post(client, &question("hi", false)).await;
        assert_eq!(answer.status, 200, "{client:?}: {}", answer.text());
        let asked = vendor.last();
        assert!(!asked.text().contains("token-"), "{}", asked.text());
        assert_eq!(asked.header("authorization"), Some("Bearer sk-vendor"));
    }
    assert_eq!(vendor.asked().len(), clients.len());
}

#[tokio::test]
async fn who_may_not_is_told_in_the_shape_of_the_vendor() {
    let vendor = Vendor::start([chat("hi")]).await;
    let claude = json!({ "vendor": "anthropic", "endpoint": vendor.url(), "models": ["claude-*"] });
    let stand = apps(setup(&vendor, json!({ "models": ["gpt-*"] })))
        .set("llms", json!({ "claude": claude }))
        .start()
        .await;
    let at = |path: &str| stand.client().at(path);
    let openai = "/llm/call/gpt/chat/completions";
    let anthropic = "/llm/call/claude/v1/messages";
    for (client, body, status, place, word) in [
        (at(openai), question("hi", false), 401, "/error/code", "invalid_api_key"),
        (at(openai).token("wrong"), question("hi", false), 401, "/error/code", "invalid_api_key"),
        (at(openai).token("token-none"), question("hi", false), 403, "/error/code", "permission_denied"),
        (at(anthropic).with("x-api-key", "token-some"), json!({}), 403, "/error/type", "permission_error"),
        (at(anthropic), json!({}), 401, "/error/type", "authentication_error"),
        (
            at(openai).token("token-all"),
            json!({ "model": "o9", "messages": [] }),
            404,
            "/error/code",
            "model_not_found",
        ),
        (
            at("/v1/chat/completions").token("token-all"),
            json!({ "model": "o9" }),
            404,
            "/error/code",
            "model_not_found",
        ),
        (
            at("/v1/messages").token("token-none"),
            json!({ "model": "claude-5" }),
            404,
            "/error/type",
            "not_found_error",
        ),
        (at("/llm/call/nobody/x").token("token-all"), json!({}), 404, "/error/code", "model_not_found"),
        (at(openai).token("token-all"), json!({ "model": 5 }), 400, "/error/code", "invalid_request"),
        (at(openai).token("token-all"), json!([]), 400, "/error/code", "invalid_request"),
    ] {
        let answer = post(&client, &body).await;
        assert_eq!(answer.status, status, "{client:?} {body}: {}", answer.text());
        assert_eq!(answer.json().pointer(place).and_then(|v| v.as_str()), Some(word), "{}", answer.text());
    }
    assert!(vendor.asked().is_empty());
}

#[tokio::test]
async fn vendors_own_errors_reach_the_client_as_they_are() {
    let told = json!({ "error": { "message": "slow down", "type": "x", "code": "rate_limit_exceeded" } });
    let vendor = Vendor::start([Answer::With(429, "retry-after: 3\r\n", told.clone())]).await;
    let stand = setup(&vendor, json!({})).start().await;
    let answer = post(&crate::chat_at(&stand), &question("hi", false)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("3")));
    assert_eq!(answer.json(), told);
}

#[tokio::test]
async fn anthropic_gets_its_own_headers() {
    let vendor = Vendor::start([Answer::Json(200, json!({ "type": "message", "content": [] }))]).await;
    let claude = json!({ "vendor": "anthropic", "endpoint": vendor.url(), "api_key": "sk-ant" });
    let stand = Setup::new().set("llms", json!({ "claude": claude })).start().await;
    let client = stand.client().at("/v1/messages").with("anthropic-beta", "b1");
    let answer = post(&client, &json!({ "model": "claude-5", "max_tokens": 5, "messages": [] })).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let asked = vendor.last();
    assert_eq!((asked.target.as_str(), asked.header("x-api-key")), ("/v1/messages", Some("sk-ant")));
    assert_eq!(asked.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!((asked.header("anthropic-beta"), asked.header("authorization")), (Some("b1"), None));
}
