//! Tokens that a client brings along, each for its own upstream.

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, text};
use serde_json::json;

#[tokio::test]
async fn an_upstream_gets_its_own_token_and_never_the_header() {
    let (hub, other) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    let entry = json!({
        "name": "tokens",
        "kind": "builtin.vault",
        "config": { "upstreams": { "hub": ["system:github.com"] } },
    });
    let stand = Setup::new().upstream("hub", &hub).upstream("other", &other).entry(entry).start().await;
    let tokens = json!({ "github.com": "s3cret-hub", "other.example": "s3cret-other" }).to_string();
    let client = stand.client().with("x-vault-tokens", &tokens);

    for tool in ["hub-echo", "other-echo"] {
        assert_eq!(text(&client.call(tool, json!({ "text": "x" })).await), "x", "{tool}");
    }

    let seen = |upstream: &Scripted| upstream.received_of("tools/call").remove(0).headers;
    assert_eq!(seen(&hub)["authorization"], "Bearer s3cret-hub");
    assert_eq!(seen(&other).get("authorization"), None);
    assert!(seen(&hub).get("x-vault-tokens").is_none() && seen(&other).get("x-vault-tokens").is_none());
    assert_eq!(text(&stand.client().call("hub-echo", json!({ "text": "x" })).await), "x");
    let later = hub.received_of("tools/call");
    assert_eq!(later.last().unwrap().headers.get("authorization"), None, "another request has no token");
}
