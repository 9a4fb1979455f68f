//! Who calls: the same tokens and plugins as everywhere.

use mortise_plugin_api::{
    Native, Needs, Verdict, Violation,
    hooks::{
        AuthPostCheck, HttpAuthCheckPermission, HttpAuthResolveUser, HttpPostRequest, HttpPreRequest,
        http::{Permission, UserRecord},
    },
};
use mortise_testkit::mcp_server::scripted::Scripted;
use serde_json::{Map, Value, json};

use super::{asked, at, error, gateway, guarded, setup};
use crate::{
    program,
    vendor::{Vendor, chat},
};

#[tokio::test]
async fn token_comes_as_bearer_or_in_the_query() {
    let stand = guarded().await;
    for client in [
        at(&stand, "/private/x").token("sesame"),
        at(&stand, "/private/x").with("authorization", "sesame"),
        at(&stand, "/private/x").with("x-api-key", "sesame"),
        at(&stand, "/private/x?token=sesame"),
        at(&stand, "/private/x?a=b&token=sesame"),
    ] {
        assert_eq!(asked(&client, "GET", None).await["app"]["name"], "ci", "{client:?}");
    }
}

#[tokio::test]
async fn plugin_is_shown_what_the_client_sent_and_nothing_that_was_put_there() {
    let stand = guarded().await;
    let said = asked(&at(&stand, "/private/x?token=sesame"), "GET", None).await;
    assert_eq!(said["headers"].get("Authorization"), None);
    assert_eq!(said["query_string"], "token=sesame");
}

#[tokio::test]
async fn one_token_of_storage_opens_every_surface() {
    let (upstream, vendor) = (Scripted::start().await.unwrap(), Vendor::start([chat("hi")]).await);
    let asks = program::entry(&["-services=apps.read,credentials.validate"], &json!({}));
    let stand = setup()
        .upstream("docs", &upstream)
        .set("servers", json!({ "support": {} }))
        .set("llms", json!({ "gpt": { "endpoint": vendor.url(), "api_key": "sk-vendor" } }))
        .entry(asks)
        .start()
        .await;
    let admin = stand.admin();
    let make = async |path: &str, body: Value| {
        admin.at(path).send("POST", Some(body.to_string().as_bytes())).await.json()
    };
    let app =
        make("/api/v1/apps", json!({ "name": "ci", "owner": "ci@example.com", "is_admin": true })).await;
    let token = make("/api/v1/tokens", json!({ "app": app["id"], "scopes": ["read"] })).await;
    let question = json!({ "model": "gpt-5", "messages": [{ "role": "user", "content": "hi" }] }).to_string();
    let call = json!({ "name": "echo", "arguments": { "text": "x" } });

    for (known, status) in [(false, 401), (true, 200)] {
        let client =
            if known { stand.client().token(token["token"].as_str().unwrap()) } else { stand.client() };
        for path in ["/mcp", "/servers/support/mcp"] {
            assert_eq!(client.at(path).rpc("tools/call", call.clone()).await.status, status, "{path}");
        }
        let model = client.at("/llm/call/gpt/chat/completions").send("POST", Some(question.as_bytes())).await;
        assert_eq!(model.status, status, "{}", model.text());
        for path in ["/plugins/go/private/x", "/plugins/openapi.json", "/api/v1/apps"] {
            assert_eq!(client.get(path).await.status, status, "{path}");
        }
    }
    let client = stand.client().token(token["token"].as_str().unwrap());
    let said = asked(&client.at("/plugins/go/private/x"), "GET", None).await;
    assert_eq!((&said["app"]["name"], &said["scopes"]), (&json!("ci"), &json!(["read"])));
    let whose = format!("credential {}", token["token"].as_str().unwrap());
    assert_eq!(program::tell(&client, &whose).await, "ci");
}

#[tokio::test]
async fn without_apps_nobody_can_be_authenticated() {
    let stand = gateway().await;
    let answer = at(&stand, "/private/x").token("anything").send("GET", None).await;
    assert_eq!((answer.status, error(&answer).as_str()), (401, "authentication required"));
}

#[tokio::test]
async fn native_plugin_authenticates_a_custom_endpoint() {
    let gatekeeper =
        Native::new(()).on::<HttpAuthResolveUser>(Needs::change().without_body(), |(), asked, _| {
            let known =
                asked.credentials.as_ref().is_some_and(|given| given.credentials == "from-the-plugin");
            if !known {
                return Ok(Verdict::Pass);
            }
            let record =
                json!({ "email": "bob@example.com", "app": "partner", "metadata": { "plan": "gold" } });
            let Some(record) = record.as_object() else { return Ok(Verdict::Pass) };
            Ok(Verdict::Change(UserRecord(Map::clone(record))))
        });
    let stand =
        setup().app("ci", "sesame", json!({})).plugin("gatekeeper", gatekeeper.into_plugin()).start().await;

    let said = asked(&at(&stand, "/private/x?token=from-the-plugin"), "GET", None).await;
    assert_eq!(
        (&said["app"]["name"], &said["app"]["owner_email"]),
        (&json!("partner"), &json!("bob@example.com"))
    );
    assert_eq!(said["app"]["metadata"], json!({ "plan": "gold" }));
    let token = asked(&at(&stand, "/private/x").token("sesame"), "GET", None).await;
    assert_eq!(token["app"]["name"], "ci", "where it abstains, tokens decide");
    assert_eq!(at(&stand, "/private/x").token("guessed").send("GET", None).await.status, 401);
}

#[tokio::test]
async fn process_plugin_authenticates_a_custom_endpoint_of_another() {
    let auth = crate::program::entry(&["-hooks=auth"], &json!({ "name": "auth" }));
    let stand = setup().entry(auth).start().await;
    let said = asked(&at(&stand, "/private/x").token("token-of-ann"), "GET", None).await;
    assert_eq!((&said["authenticated"], &said["app"]["id"]), (&json!(true), &json!(7)));
    let rejected = at(&stand, "/private/x").token("guessed").send("GET", None).await;
    assert_eq!(rejected.status, 401, "{}", rejected.text());
    assert_eq!(at(&stand, "/echo/x").send("GET", None).await.status, 200, "open ones are not its business");
}

#[tokio::test]
async fn hooks_around_authentication_fire_for_endpoints() {
    let guard = Native::new(())
        .on::<HttpPreRequest>(Needs::change().without_body(), |(), asked, _| {
            let blocked = asked.path.ends_with("/blocked");
            Ok(if blocked { Violation::new("NO", "not here").into() } else { Verdict::Pass })
        })
        .on::<AuthPostCheck>(Needs::change().without_body(), |(), asked, _| {
            let out = asked.headers.get("x-out").is_some();
            Ok(if out { Violation::new("OUT", "out of office").into() } else { Verdict::Pass })
        })
        .on::<HttpAuthCheckPermission>(Needs::change().without_body(), |(), asked, _| {
            let granted = asked.user_email != "mallory@example.com";
            assert_eq!(asked.permission, "endpoints.call");
            Ok(Verdict::Change(Permission { granted, reason: Some("on the list".to_owned()) }))
        })
        .on::<HttpPostRequest>(Needs::change().without_body(), |(), _, _| {
            Ok(Verdict::Change([("x-served-by", "mortise")].into_iter().collect()))
        });
    let stand = setup()
        .app("ci", "sesame", json!({ "user": "ann@example.com" }))
        .app("evil", "open", json!({ "user": "mallory@example.com" }))
        .plugin("guard", guard.into_plugin())
        .start()
        .await;

    assert_eq!(at(&stand, "/echo/blocked").send("GET", None).await.status, 403, "before authentication");
    let token = at(&stand, "/private/x").token("sesame");
    assert_eq!(token.with("x-out", "1").send("GET", None).await.status, 403, "after authentication");
    let denied = at(&stand, "/private/x").token("open").send("GET", None).await;
    assert_eq!(
        (denied.status, error(&denied).as_str()),
        (403, "Permission denied: endpoints.call: on the list")
    );
    let served = token.send("GET", None).await;
    assert_eq!(
        (served.status, served.header("x-served-by")),
        (200, Some("mortise")),
        "when the answer leaves"
    );
    let streamed = at(&stand, "/stream").send("GET", None).await;
    assert_eq!(streamed.header("x-served-by"), Some("mortise"), "streamed answers too");
}
