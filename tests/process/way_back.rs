//! The plugin as a caller of its gateway: its values, and events.

use std::time::Duration;

use serde_json::json;

use mortise_tests::Setup;

use crate::program::{entry, gone, kill, pid, stand, tell};

#[tokio::test]
async fn values_written_late_are_read_again_by_the_next_life() {
    let stand = stand(&[], json!({ "circuit_breaker_enabled": false })).await;
    let client = stand.client();
    // The library forgets after five seconds where the gateway is; the plugin first asks after that.
    tokio::time::sleep(Duration::from_millis(5500)).await;

    assert_eq!(tell(&client, "write colour blue").await, "", "no error");
    assert_eq!(tell(&client, "read colour").await, "blue");
    assert!(tell(&client, "read nothing").await.contains("key not found"));

    let before = pid(&client).await;
    kill(&before);
    gone(&before).await;
    mortise_tests::eventually("the plugin's return", async || {
        let answer = client.with("x-tell", "read colour").rpc("tools/list", json!({})).await;
        (answer.status == 418 && answer.text().contains("blue")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn event_that_the_plugin_publishes_comes_back_to_it_with_its_origin() {
    let stand = stand(&[], json!({})).await;

    let told = tell(&stand.client(), "event greetings").await;

    let (origin, rest) = told.split_once(' ').unwrap();
    assert!(origin.starts_with("plugin:") && origin.contains('@'), "{told}");
    assert_eq!(rest, "greetings hello");
}

#[tokio::test]
async fn what_the_manifest_does_not_ask_for_is_refused_and_what_is_missing_says_so() {
    let modest = stand(&["-services="], json!({})).await;
    let usual = stand(&[], json!({})).await;

    let refused = tell(&modest.client(), "write colour blue").await;
    assert!(refused.contains("PermissionDenied") && refused.contains("kv.readwrite"), "{refused}");
    let missing = tell(&usual.client(), "control").await;
    assert!(missing.contains("Unimplemented") && missing.contains("control plane"), "{missing}");
}

#[tokio::test]
async fn llms_prices_and_budgets_are_told_where_the_manifest_asks_for_them() {
    let asks = "-services=llms.read,pricing.read,apps.read,budget.read";
    let price = json!({ "model": "gpt-*", "input": 2.0, "output": 8.0 });
    let llm =
        json!({ "vendor": "openai", "endpoint": "https://models.test", "api_key": "k", "prices": [price] });
    let stand = Setup::new()
        .process()
        .set("llms", json!({ "gpt": llm }))
        .app("ci", "token-of-ci", json!({ "monthly_budget": 7.5 }))
        .entry(entry(&[asks], &json!({})))
        .start()
        .await;

    let told = tell(&stand.client().token("token-of-ci"), "models gpt-5").await;

    assert_eq!(told, "gpt/openai/true 1 2 8 7.5/7.5 false");
}

#[tokio::test]
async fn apps_and_whose_a_token_is_are_told_where_the_manifest_asks_for_it() {
    let asks = "-services=apps.read,credentials.validate";
    let stand = Setup::new()
        .process()
        .app("ci", "token-of-ci", json!({ "user": "ci@example.com", "monthly_budget": 7.5 }))
        .entry(entry(&[asks], &json!({})))
        .start()
        .await;
    let client = stand.client().token("token-of-ci");

    assert_eq!(tell(&client, "apps").await, "1 ci/ci@example.com/7.5");
    assert_eq!(tell(&client, "credential token-of-ci").await, "ci");
    assert_eq!(tell(&client, "credential wrong").await, "invalid");
    let refused = tell(&client, "read colour").await;
    assert!(refused.contains("PermissionDenied"), "{refused}");
}

#[tokio::test]
async fn stored_plugin_gets_the_services_that_were_approved_and_keeps_its_values_over_a_restart() {
    let stand = Setup::new().process().start().await;
    let admin = stand.admin();
    let ask = async |method: &str, path: &str, body: serde_json::Value| {
        let body = body.to_string();
        let answer = admin.at(path).send(method, Some(body.as_bytes())).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text());
    };
    let mut plugin = entry(&[], &json!({}));
    plugin["hook_types"] = json!(["pre_auth"]);
    ask("POST", "/api/v1/plugins", plugin).await;
    let refused = tell(&stand.client(), "write colour blue").await;
    assert!(refused.contains("PermissionDenied") && refused.contains("approved"), "{refused}");

    ask("POST", "/api/v1/plugins/plugin/approve-scopes", json!({ "approved": true })).await;

    assert_eq!(tell(&stand.client(), "write colour blue").await, "");
    let folder = stand.stop().await;
    let stand = Setup::in_folder(folder).process().start().await;
    assert_eq!(tell(&stand.client(), "read colour").await, "blue");
}
