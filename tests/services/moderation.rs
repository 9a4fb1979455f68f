//! Moderation: by category, and by a model that guards.

use mortise_testkit::{mcp_server::scripted::Scripted, services::Service};
use mortise_tests::text;
use serde_json::json;

use super::{entry, stand};

#[tokio::test]
async fn text_of_a_category_is_blocked_redacted_or_let_pass() {
    let (upstream, service) = (Scripted::start().await.unwrap(), Service::moderation().await.unwrap());
    let config = json!({
        "url": format!("{}/v1/moderations", service.url()),
        "api_key": "sk-test",
        "categories": { "hate": {}, "violence": { "threshold": 0.3, "action": "redact" } },
    });
    let stand = stand(&upstream, &service, entry("openai_moderation", config)).await;
    let client = stand.client();

    assert_eq!(text(&client.call("echo", json!({ "text": "hello" })).await), "hello");
    assert_eq!(
        text(&client.call("echo", json!({ "text": "sexual" })).await),
        "sexual",
        "not a category that counts"
    );
    assert_eq!(text(&client.call("echo", json!({ "text": "slightly violence" })).await), "[REDACTED]");
    let blocked = client.call("echo", json!({ "text": "hate" })).await;
    assert!(text(&blocked).contains("CONTENT_MODERATION"), "{blocked}");
    assert!(!text(&blocked).contains("0.9"), "{blocked}");

    let count = service.asked().len();
    assert_eq!(text(&client.call("echo", json!({ "text": "hello" })).await), "hello");
    assert_eq!(service.asked().len(), count, "what was said of a text is kept");
}

#[tokio::test]
async fn contextforges_own_configuration_runs() {
    let (upstream, service) = (Scripted::start().await.unwrap(), Service::moderation().await.unwrap());
    let config = json!({
        "provider": "openai",
        "fallback_on_error": "block",
        "openai": { "api_key": "sk-test", "api_url": format!("{}/v1/moderations", service.url()), "model": "m" },
        "categories": { "hate": { "threshold": 0.7, "action": "block" } },
    });
    let mut entry = entry("openai_moderation", config);
    entry["kind"] = json!("plugins.content_moderation.content_moderation.ContentModerationPlugin");
    let stand = stand(&upstream, &service, entry).await;

    let blocked = stand.client().call("echo", json!({ "text": "hate" })).await;
    assert!(text(&blocked).contains("CONTENT_MODERATION"), "{blocked}");
    assert_eq!(
        text(&stand.client().call("echo", json!({ "text": "violence" })).await),
        "violence",
        "only warned of"
    );
}

#[tokio::test]
async fn a_model_that_guards_blocks_hazards_that_are_not_allowed() {
    let (upstream, service) = (Scripted::start().await.unwrap(), Service::llama_guard().await.unwrap());
    let config = json!({ "url": format!("{}/v1", service.url()), "allowed_categories": ["S6"] });
    let stand = stand(&upstream, &service, entry("llama_guard", config)).await;
    let client = stand.client();

    assert_eq!(text(&client.call("echo", json!({ "text": "hello" })).await), "hello");
    assert_eq!(text(&client.call("echo", json!({ "text": "hazard 6" })).await), "hazard 6");
    let blocked = client.call("echo", json!({ "text": "hazard 9" })).await;
    assert_eq!(
        text(&blocked),
        "tool_pre_invoke blocked by plugin guard: CONTENT_MODERATION - Unsafe content \
         (The content was found to be unsafe: indiscriminate weapons)"
    );
}
