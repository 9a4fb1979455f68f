//! The plugin as a caller of its gateway: its values, and events.

use std::time::Duration;

use serde_json::json;

use crate::program::{gone, kill, pid, stand, tell};

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
    let missing = tell(&usual.client(), "apps").await;
    assert!(missing.contains("Unimplemented") && missing.contains("apps"), "{missing}");
}
