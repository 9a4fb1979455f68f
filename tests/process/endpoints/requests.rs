//! The fields of a request, and the segments of its path.

use serde_json::json;

use super::{asked, at, gateway, guarded};

#[tokio::test]
async fn field_method_is_the_http_method() {
    let stand = gateway().await;
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        assert_eq!(asked(&at(&stand, "/echo/x"), method, None).await["method"], method);
    }
    let head = at(&stand, "/echo/x").send("HEAD", None).await;
    assert_eq!((head.status, head.body.len()), (200, 0), "HEAD is served where it is registered");
}

#[tokio::test]
async fn field_path_is_the_full_request_path() {
    let stand = gateway().await;
    assert_eq!(asked(&at(&stand, "/users/123"), "GET", None).await["path"], "/plugins/go/users/123");
    assert_eq!(asked(&at(&stand, "/a%20b?x=1"), "GET", None).await["path"], "/plugins/go/a b");
}

#[tokio::test]
async fn field_relative_path_is_relative_to_the_plugins_mount() {
    let stand = gateway().await;
    assert_eq!(asked(&at(&stand, "/users/123"), "GET", None).await["relative_path"], "/users/123");
}

#[tokio::test]
async fn field_path_segments_are_pre_split() {
    let stand = gateway().await;
    assert_eq!(asked(&at(&stand, "/users/123"), "GET", None).await["path_segments"], json!(["users", "123"]));
}

#[tokio::test]
async fn field_headers_are_the_request_headers_as_go_spells_them() {
    let stand = gateway().await;
    let client = at(&stand, "/x").with("x-webhook-signature", "abc").with("mcp-session-id", "7");
    let headers = asked(&client, "GET", None).await["headers"].clone();
    assert_eq!(headers["X-Webhook-Signature"], "abc");
    assert_eq!(headers["Mcp-Session-Id"], "7");
    assert!(headers["Accept"].as_str().unwrap().contains("text/event-stream"));
    assert_eq!(headers.get("Host"), None, "it has a field of its own");
    let twice = at(&stand, "/x").raw("GET", "X-Many: one\r\nX-Many: two\r\n", b"").await.answer().await;
    assert_eq!(twice.json()["headers"]["X-Many"], "one", "the first of several values");
}

#[tokio::test]
async fn field_body_is_the_request_body() {
    let stand = gateway().await;
    assert_eq!(asked(&at(&stand, "/x"), "POST", Some(b"{\"a\": 1}")).await["body"], "{\"a\": 1}");
    assert_eq!(asked(&at(&stand, "/x"), "POST", None).await["body"], "");
}

#[tokio::test]
async fn field_query_string_is_the_raw_query() {
    let stand = gateway().await;
    assert_eq!(
        asked(&at(&stand, "/x?foo=bar&baz=%31"), "GET", None).await["query_string"],
        "foo=bar&baz=%31"
    );
    assert_eq!(asked(&at(&stand, "/x"), "GET", None).await["query_string"], "");
}

#[tokio::test]
async fn field_remote_addr_is_the_clients_address() {
    let stand = gateway().await;
    assert_eq!(asked(&at(&stand, "/x"), "GET", None).await["remote_addr"], "127.0.0.1");
    let proxied = super::setup().set("listen", json!({ "trusted_proxies": ["127.0.0.1"] })).start().await;
    let client = at(&proxied, "/x").with("x-forwarded-for", "192.0.2.7");
    assert_eq!(asked(&client, "GET", None).await["remote_addr"], "192.0.2.7");
}

#[tokio::test]
async fn field_host_is_the_host_header() {
    let stand = gateway().await;
    assert_eq!(asked(&at(&stand, "/x"), "GET", None).await["host"], stand.address().to_string());
}

#[tokio::test]
async fn field_protocol_is_http() {
    let stand = gateway().await;
    assert_eq!(asked(&at(&stand, "/x"), "GET", None).await["protocol"], "http");
}

#[tokio::test]
async fn field_context_holds_the_request_id() {
    let stand = gateway().await;
    let answer = at(&stand, "/x").send("GET", None).await;
    assert_eq!(answer.json()["request_id"].as_str(), answer.header("x-request-id"));
}

#[tokio::test]
async fn field_authenticated_says_whether_the_request_was_authenticated() {
    let stand = guarded().await;
    let token = at(&stand, "/private/x").token("sesame");
    assert_eq!(asked(&token, "GET", None).await["authenticated"], true);
    let open = asked(&at(&stand, "/echo/x").token("sesame"), "GET", None).await;
    assert_eq!(
        (&open["authenticated"], open.get("app")),
        (&json!(false), None),
        "a token that nobody asked for"
    );
}

#[tokio::test]
async fn field_app_is_the_app_of_the_token() {
    let stand = guarded().await;
    assert_eq!(asked(&at(&stand, "/private/x").token("sesame"), "GET", None).await["app"]["name"], "ci");
}

#[tokio::test]
async fn field_scopes_are_those_of_the_token() {
    let digest = mortise_gateway::config::TokenDigest::of(b"sesame").to_hex();
    let tokens = json!([{ "sha256": digest, "scopes": ["read", "write"] }]);
    let stand = super::setup().app("ci", "other", json!({ "tokens": tokens })).start().await;
    let scopes = asked(&at(&stand, "/private/x").token("sesame"), "GET", None).await["scopes"].clone();
    assert_eq!(scopes, json!(["read", "write"]));
}

#[tokio::test]
async fn segments_of_the_mount_itself_are_none() {
    let stand = gateway().await;
    for path in ["/", ""] {
        let said = asked(&at(&stand, path), "GET", None).await;
        assert_eq!((&said["relative_path"], &said["path_segments"]), (&json!("/"), &json!([])), "{path}");
    }
}

#[tokio::test]
async fn segments_of_one_name_are_that_name() {
    let stand = gateway().await;
    let said = asked(&at(&stand, "/mcp"), "GET", None).await;
    assert_eq!((&said["relative_path"], &said["path_segments"]), (&json!("/mcp"), &json!(["mcp"])));
}

#[tokio::test]
async fn segments_of_users_123_profile_are_three() {
    let stand = gateway().await;
    let said = asked(&at(&stand, "/users/123/profile"), "GET", None).await;
    assert_eq!(said["relative_path"], "/users/123/profile");
    assert_eq!(said["path_segments"], json!(["users", "123", "profile"]));
}

#[tokio::test]
async fn segments_of_well_known_openid_configuration_are_two() {
    let stand = gateway().await;
    let said = asked(&at(&stand, "/.well-known/openid-configuration"), "GET", None).await;
    assert_eq!(said["relative_path"], "/.well-known/openid-configuration");
    assert_eq!(said["path_segments"], json!([".well-known", "openid-configuration"]));
}
