//! The guardrail contract.

use mortise_testkit::{mcp_server::scripted::Scripted, services::Service};
use mortise_tests::text;
use serde_json::json;

use super::{entry, setup, stand};

#[tokio::test]
async fn a_guardrail_sees_changes_and_blocks_what_passes() {
    let (upstream, service) = (Scripted::start().await.unwrap(), Service::guardrail().await.unwrap());
    let config = json!({ "url": format!("{}/check", service.url()), "api_key": "s3cret" });
    let stand = stand(&upstream, &service, entry("http_guardrail", config)).await;
    let client = stand.client();

    assert_eq!(text(&client.call("echo", json!({ "text": "hello" })).await), "hello");
    assert_eq!(text(&client.call("echo", json!({ "text": "ünd a secret!" })).await), "ünd a ******!");
    let blocked = client.call("echo", json!({ "text": "forbidden" })).await;
    assert_eq!(blocked["result"]["isError"], true);
    assert_eq!(
        text(&blocked),
        "tool_pre_invoke blocked by plugin guard: FORBIDDEN_WORD - A forbidden word (A forbidden word)"
    );

    assert_eq!(upstream.received_of("tools/call").len(), 2, "what is blocked does not go on");
    let asked = service.asked();
    assert_eq!(asked.len(), 5, "two before, two after, one that was blocked");
    assert_eq!(asked[0].headers["authorization"], "Bearer s3cret");
    assert_eq!(asked[0].body["texts"][0]["text"], "hello");
    assert_eq!(
        (&asked[0].body["hook"], &asked[1].body["hook"]),
        (&json!("tool_pre_invoke"), &json!("tool_post_invoke"))
    );
}

#[tokio::test]
async fn verdicts_are_kept_for_each_caller_apart() {
    let (upstream, service) = (Scripted::start().await.unwrap(), Service::guardrail().await.unwrap());
    let config = json!({ "url": service.url(), "cache_seconds": 60 });
    let mut entry = entry("http_guardrail", config);
    entry["hooks"] = json!(["tool_pre_invoke"]);
    let stand = setup(&upstream, &service)
        .app("one", "token-one", json!({ "tenant": "acme" }))
        .app("two", "token-two", json!({ "tenant": "globex" }))
        .entry(entry)
        .start()
        .await;
    let (one, two) = (stand.client().token("token-one"), stand.client().token("token-two"));

    for client in [&one, &one, &two, &one, &two] {
        assert_eq!(text(&client.call("echo", json!({ "text": "hello" })).await), "hello");
    }

    let tenants: Vec<_> =
        service.asked().into_iter().map(|mut asked| asked.body["caller"]["tenant"].take()).collect();
    assert_eq!(tenants, ["acme", "globex"]);
}
