//! The app that an authenticated request is told of, field by field.

use serde_json::{Value, json};

use super::{asked, at, guarded};

async fn app() -> Value {
    let stand = guarded().await;
    asked(&at(&stand, "/private/x").token("sesame"), "GET", None).await["app"].clone()
}

#[tokio::test]
async fn app_id_is_a_number_that_stays() {
    let stand = guarded().await;
    let client = at(&stand, "/private/x").token("sesame");
    let first = asked(&client, "GET", None).await["app"]["id"].clone();
    assert!(first.as_u64().unwrap() > 0);
    assert_eq!(asked(&client, "GET", None).await["app"]["id"], first);
}

#[tokio::test]
async fn app_name_is_its_name() {
    assert_eq!(app().await["name"], "ci");
}

#[tokio::test]
async fn app_description_is_empty_where_it_has_none() {
    assert_eq!(app().await["description"], "");
}

#[tokio::test]
async fn app_owner_email_is_who_it_belongs_to() {
    assert_eq!(app().await["owner_email"], "ann@example.com");
}

#[tokio::test]
async fn app_is_active_where_it_may_call() {
    assert_eq!(app().await["is_active"], true);
}

#[tokio::test]
async fn app_monthly_budget_is_its_limit() {
    assert_eq!(app().await["monthly_budget"], 12.5);
}

#[tokio::test]
async fn app_rate_limit_is_requests_a_minute() {
    assert_eq!(app().await["rate_limit"], 600);
}

#[tokio::test]
async fn app_metadata_are_texts() {
    let expected = json!({
        "mcp_access": "allowed", "level": "3", "ratio": "0.5", "on": "true", "list": "[\"GET\"]", "none": "",
    });
    assert_eq!(app().await["metadata"], expected);
}
