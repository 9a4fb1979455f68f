//! The document of all endpoints.

use serde_json::json;

use super::{gateway, guarded};

#[tokio::test]
async fn document_has_every_endpoint_that_is_served_and_no_other() {
    let stand = gateway().await;
    let document = stand.client().get("/plugins/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "/plugins/go/.well-known/openid-configuration",
            "/plugins/go/token",
            "/plugins/go/userinfo",
            "/plugins/go/stream",
            "/plugins/go/stream/private",
            "/plugins/go/only",
            "/plugins/go/echo/{path}",
            "/plugins/go/private/{path}",
            "/plugins/go/{path}",
        ]
    );
    let userinfo = &document["paths"]["/plugins/go/userinfo"]["get"];
    assert_eq!(userinfo["security"], json!([{ "token": [] }, { "query": [] }]));
    assert_eq!(userinfo["x-mortise-plugin"], "go");
    assert_eq!(document["paths"]["/plugins/go/stream"]["get"]["x-mortise-stream"], true);
}

#[tokio::test]
async fn document_is_for_those_who_may_call() {
    let stand = guarded().await;
    assert_eq!(stand.client().get("/plugins/openapi.json").await.status, 401);
    for client in [stand.client().token("sesame"), stand.admin()] {
        assert_eq!(client.get("/plugins/openapi.json").await.status, 200);
    }
    assert_eq!(stand.client().get("/plugins/openapi.json?token=sesame").await.status, 200);
    assert_eq!(
        stand.client().token("sesame").at("/plugins/openapi.json").send("POST", None).await.status,
        404
    );
}
