//! Who may call: tokens, what an app may reach, loopback, and pages in browsers.

use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Setup, Stand};
use serde_json::json;

const TOKEN: &str = "token-of-ci";
const LIMITED: &str = "token-of-support";

async fn guarded(upstream: &Scripted) -> Stand {
    Setup::new()
        .upstream("docs", upstream)
        .set("servers", json!({ "support": {}, "other": {} }))
        .app("ci", TOKEN, json!({}))
        .app("support", LIMITED, json!({ "servers": ["support"] }))
        .start()
        .await
}

#[tokio::test]
async fn calls_without_a_good_token_are_refused_and_reach_nothing() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new()
        .upstream("docs", &upstream)
        .app("ci", TOKEN, json!({}))
        .set(
            "apps",
            json!([
                { "name": "ci", "tokens": [{ "sha256": sha256(TOKEN) }] },
                { "name": "old", "tokens": [{ "sha256": sha256("token-of-old"), "expires": "2020-01-31" }] },
                { "name": "none" },
            ]),
        )
        .start()
        .await;
    let client = stand.client();
    let call = json!({ "name": "echo", "arguments": { "text": "x" } });

    for (refused, word) in [
        (client.clone(), "a token is needed"),
        (client.token("wrong"), "not valid"),
        (client.token("token-of-old"), "expired"),
        (client.token(""), "a token is needed"),
        (client.with("authorization", &format!("Basic {TOKEN}")), "a token is needed"),
    ] {
        let answer = refused.rpc("tools/call", call.clone()).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")));
        assert!(answer.json()["detail"].as_str().unwrap().contains(word), "{}", answer.text());
        assert!(!answer.text().contains(TOKEN));
    }
    assert_eq!(upstream.received_of("tools/call").len(), 0);
    assert_eq!(client.token(TOKEN).rpc("tools/call", call.clone()).await.status, 200);
    assert_eq!(client.with("x-api-key", TOKEN).rpc("tools/call", call).await.status, 200);
}

fn sha256(token: &str) -> String {
    mortise_gateway::config::TokenDigest::of(token.as_bytes()).to_hex()
}

#[tokio::test]
async fn app_limited_to_servers_reaches_these_and_nothing_else() {
    let upstream = Scripted::start().await.unwrap();
    let stand = guarded(&upstream).await;
    let limited = stand.client().token(LIMITED);

    for (path, limited_status, free_status) in [
        ("/servers/support/mcp", 200, 200),
        ("/servers/other/mcp", 403, 200),
        ("/mcp", 403, 200),
        ("/servers/unheard-of/mcp", 403, 404),
    ] {
        assert_eq!(limited.at(path).rpc("tools/list", json!({})).await.status, limited_status, "{path}");
        let free = stand.client().token(TOKEN).at(path);
        assert_eq!(free.rpc("tools/list", json!({})).await.status, free_status, "{path}");
    }
}

#[tokio::test]
async fn listening_beyond_loopback_without_apps_is_refused_by_the_configuration() {
    let open = Setup::new().set("listen", json!({ "address": "0.0.0.0:0" }));
    let errors = open.load(&open.framework()).unwrap_err();
    assert_eq!(errors.list().len(), 1, "{}", errors.render(false));
    assert_eq!(errors.list()[0].path, "listen.address");
    assert!(errors.list()[0].message.contains("0.0.0.0"), "{}", errors.render(false));

    let guarded = open.app("ci", TOKEN, json!({}));
    assert!(guarded.load(&guarded.framework()).is_ok());
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_unless_listed() {
    let upstream = Scripted::start().await.unwrap();
    let stand = Setup::new()
        .set("listen", json!({ "allowed_origins": ["https://app.example.com"] }))
        .upstream("docs", &upstream)
        .start()
        .await;
    let own = format!("http://{}", stand.address());

    for (origin, status, shared) in [
        ("https://evil.example", 403, None),
        ("null", 403, None),
        (own.as_str(), 200, None),
        ("https://app.example.com", 200, Some("https://app.example.com")),
    ] {
        let answer = stand.client().with("origin", origin).rpc("tools/list", json!({})).await;
        assert_eq!(answer.status, status, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), shared, "{origin}");
    }
    // A page may point its own host name at this machine.
    assert_eq!(stand.client().with("host", "evil.example").rpc("tools/list", json!({})).await.status, 403);
    assert_eq!(stand.client().with("origin", "https://evil.example").get("/plugins").await.status, 403);
}
