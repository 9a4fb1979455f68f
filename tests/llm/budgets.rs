//! What apps may use: money in a month, calls in a minute.

use serde_json::json;

use crate::{
    chat_at, post, question, setup,
    vendor::{Vendor, chat},
};

#[tokio::test]
async fn budget_is_spent_by_price_and_refused_past_its_end_also_after_a_restart() {
    let vendor = Vendor::start([chat("hi")]).await;
    let prices = json!({ "prices": [{ "model": "gpt-*", "input": 1000.0, "output": 2000.0 }] });
    let make = |setup: mortise_tests::Setup| {
        setup.app("poor", "token-poor", json!({ "monthly_budget": 3.0 })).app("rich", "token-rich", json!({}))
    };
    let stand = make(setup(&vendor, prices.clone())).start().await;
    let poor = chat_at(&stand).token("token-poor");
    // 1,000 tokens in and 500 out: 2 each.
    assert_eq!(post(&poor, &question("hi", false)).await.status, 200);
    assert_eq!(post(&poor, &question("hi", false)).await.status, 200);
    let answer = post(&poor, &question("hi", false)).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (403, Some("insufficient_quota")));
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(answer.json()["error"]["message"], "Budget limit exceeded");
    assert_eq!(post(&chat_at(&stand).token("token-rich"), &question("hi", false)).await.status, 200);

    let folder = stand.stop().await;
    let llm = json!({ "endpoint": vendor.url(), "api_key": "sk-vendor", "prices": prices["prices"] });
    let again = mortise_tests::Setup::in_folder(folder).set("llms", json!({ "gpt": llm }));
    let stand = make(again).start().await;
    assert_eq!(post(&chat_at(&stand).token("token-poor"), &question("hi", false)).await.status, 403);
    assert_eq!(vendor.asked().len(), 3);
}

#[tokio::test]
async fn calls_past_the_rate_are_refused_with_the_time_to_wait() {
    let vendor = Vendor::start([chat("hi")]).await;
    let stand = setup(&vendor, json!({})).app("slow", "token-slow", json!({ "rate_limit": 2 })).start().await;
    let client = chat_at(&stand).token("token-slow");
    for _ in 0..2 {
        assert_eq!(post(&client, &question("hi", false)).await.status, 200);
    }
    let answer = post(&client, &question("hi", false)).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (429, Some("rate_limit_exceeded")));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(vendor.asked().len(), 2);
}
