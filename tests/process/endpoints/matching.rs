//! Which registration a request fits.

use serde_json::json;

use super::{at, error, gateway, setup};

#[tokio::test]
async fn exact_match_goes_first() {
    let stand = gateway().await;
    // The exact registration is open, the wildcard below which it stands has no other method for it.
    let exact = at(&stand, "/stream").send("GET", None).await;
    assert_eq!(exact.header("content-type"), Some("text/event-stream"));
    assert_eq!(
        at(&stand, "/stream/").send("GET", None).await.header("content-type"),
        Some("application/json")
    );
}

#[tokio::test]
async fn wildcard_catch_all_takes_the_rest() {
    let stand = gateway().await;
    assert_eq!(at(&stand, "/.well-known/other").send("GET", None).await.status, 200);
    let other_method = at(&stand, "/.well-known/openid-configuration").send("POST", None).await;
    assert_eq!(other_method.status, 200, "the method is not registered there, and is below the wildcard");
}

#[tokio::test]
async fn longer_wildcard_goes_before_the_catch_all() {
    let stand = gateway().await;
    assert_eq!(at(&stand, "/private/x").send("GET", None).await.status, 401);
    assert_eq!(at(&stand, "/privately/x").send("GET", None).await.status, 200);
}

#[tokio::test]
async fn known_path_with_another_method_is_404_and_405_by_setting() {
    let stand = gateway().await;
    let answer = at(&stand, "/only").send("DELETE", None).await;
    assert_eq!(
        (answer.status, error(&answer)),
        (404, "no endpoint registered for DELETE /plugins/go/only".to_owned())
    );
    let strict = setup().set("endpoints", json!({ "method_not_allowed": true })).start().await;
    let answer = at(&strict, "/only").send("DELETE", None).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST, PUT")));
    assert_eq!(strict.client().at("/plugins/none/x").send("GET", None).await.status, 404);
}

#[tokio::test]
async fn path_that_leads_out_of_the_plugins_own_is_refused() {
    let stand = gateway().await;
    for path in ["/a/%2e%2e/b", "/.."] {
        let answer = at(&stand, path).send("GET", None).await;
        assert_eq!((answer.status, error(&answer)), (400, "path traversal not allowed".to_owned()), "{path}");
    }
}
