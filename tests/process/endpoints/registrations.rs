//! The fields of a registration, and how a plugin with endpoints is configured.

use mortise_tests::Setup;
use serde_json::json;

use super::{at, entry, gateway, guarded};

#[tokio::test]
async fn option_path_is_relative_to_the_slug() {
    let stand = gateway().await;
    assert_eq!(at(&stand, "/token").send("POST", None).await.status, 200);
    assert_eq!(at(&stand, "/anything/at/all").send("GET", None).await.status, 200, "`/*` takes everything");
    let elsewhere = stand.client().at("/plugins/token").send("POST", None).await;
    assert_eq!(elsewhere.status, 404, "{}", elsewhere.text());
}

#[tokio::test]
async fn option_methods_are_those_it_is_served_with() {
    let stand = gateway().await;
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
        assert_eq!(at(&stand, "/echo/x").send(method, None).await.status, 200, "{method}");
    }
    assert_eq!(at(&stand, "/only").send("PUT", None).await.status, 200);
    assert_eq!(at(&stand, "/only").send("DELETE", None).await.status, 404);
    // `post` is registered in lower case, `TRACE` is no method that an endpoint can have.
    assert_eq!(at(&stand, "/token").send("POST", None).await.status, 200);
    assert_eq!(at(&stand, "/token").send("TRACE", None).await.status, 404);
}

#[tokio::test]
async fn option_description_is_shown_where_endpoints_are_listed() {
    let stand = gateway().await;
    let listed = stand.client().get("/plugins/openapi.json").await.json();
    assert_eq!(listed["paths"]["/plugins/go/token"]["post"]["summary"], "what a test asks for");
}

#[tokio::test]
async fn option_require_auth_has_the_gateway_validate_the_token() {
    let stand = guarded().await;
    assert_eq!(at(&stand, "/userinfo").send("GET", None).await.status, 401);
    assert_eq!(at(&stand, "/userinfo").token("guessed").send("GET", None).await.status, 401);
    assert_eq!(at(&stand, "/userinfo").token("sesame").send("GET", None).await.status, 200);
    assert_eq!(at(&stand, "/token").send("POST", None).await.status, 200, "without it, everyone may");
}

#[tokio::test]
async fn option_stream_response_has_it_answered_piece_by_piece() {
    let stand = gateway().await;
    let answer = at(&stand, "/stream").send("GET", None).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(at(&stand, "/token").send("POST", None).await.header("transfer-encoding"), None);
}

#[tokio::test]
async fn option_metadata_is_the_plugins_own() {
    let stand = gateway().await;
    let listed = stand.client().get("/plugins/openapi.json").await.json();
    let path = "/plugins/go/.well-known/openid-configuration";
    assert_eq!(listed["paths"][path]["get"]["x-metadata"], json!({ "owner": "tests" }));
}

#[tokio::test]
async fn hook_type_custom_endpoint_in_the_manifest_is_enough_where_the_entry_says_nothing() {
    let mut quiet = entry(&[], &json!({}));
    quiet.as_object_mut().unwrap().remove("offers");
    let stand = Setup::new().process().entry(quiet).start().await;
    assert_eq!(at(&stand, "/token").send("POST", None).await.status, 200);
    assert_eq!(stand.client().rpc("tools/list", json!({})).await.status, 200, "it guards nothing");
}

#[tokio::test]
async fn hook_types_beside_custom_endpoint_are_the_same_process() {
    let mut both = entry(&["-hooks=custom_endpoint,pre_auth"], &json!({}));
    both.as_object_mut().unwrap().remove("offers");
    let stand = Setup::new().process().entry(both).start().await;
    let pid = at(&stand, "/x").send("GET", None).await.json()["pid"].to_string();
    assert_eq!(crate::program::pid(&stand.client()).await, pid);
    let blocked = at(&stand, "/x").with("x-block", "429").send("GET", None).await;
    assert_eq!(blocked.status, 429, "its own hook before authentication guards its endpoints too");
}

#[tokio::test]
async fn config_must_include_a_slug() {
    let mut entry = entry(&[], &json!({}));
    entry["config"].as_object_mut().unwrap().remove("slug");
    let setup = Setup::new().process().entry(entry);
    let settled = setup.load(&setup.framework()).unwrap();
    let notices: Vec<String> = settled.notices.iter().map(|notice| notice.message.clone()).collect();
    let told = "Plugin has endpoint registrations but no 'slug' in config";
    assert!(notices.iter().any(|notice| notice.starts_with(told)), "{notices:?}");
    let stand = setup.start().await;
    assert_eq!(at(&stand, "/token").send("POST", None).await.status, 404);
}

#[tokio::test]
async fn two_plugins_that_claim_a_slug_are_an_error_with_both_places() {
    let mut second = entry(&[], &json!({}));
    second["name"] = json!("second");
    let setup = super::setup().entry(second);
    let errors = setup.load(&setup.framework()).unwrap_err();
    let shown = errors.render(false);
    assert!(
        shown.contains("two plugins have the slug `go`") && shown.contains("the first is here"),
        "{shown}"
    );
}

#[tokio::test]
async fn names_of_the_gateways_own_are_no_slugs() {
    for slug in ["stats", "reload", "openapi.json", "a/b", ""] {
        let setup = Setup::new().process().entry(entry(&[], &json!({ "slug": slug })));
        let errors = setup.load(&setup.framework()).expect_err(slug).render(false);
        assert!(errors.contains("plugins[0].config.slug"), "{errors}");
    }
}

#[tokio::test]
async fn plugin_of_an_older_make_has_no_endpoints_and_runs() {
    let entry = crate::program::entry(&["-hooks=pre_auth"], &json!({ "config": { "slug": "go" } }));
    let stand = Setup::new().process().entry(entry).start().await;
    assert_eq!(at(&stand, "/token").send("POST", None).await.status, 404);
    assert_eq!(stand.client().with("x-block", "429").rpc("tools/list", json!({})).await.status, 429);
}

#[tokio::test]
async fn management_below_plugins_stays_where_the_documents_have_it() {
    let stand = gateway().await;
    assert!(stand.client().get("/plugins").await.json().is_array());
    assert_eq!(stand.client().get("/plugins/stats").await.status, 200);
    assert_eq!(stand.admin().at("/plugins/reload/go").send("POST", None).await.status, 200);
    assert_eq!(at(&stand, "/token").send("POST", None).await.status, 200);
}
