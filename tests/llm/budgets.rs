//! What apps and LLMs may use: money in a month, calls and tokens in a minute.

use mortise_tests::{HttpAnswer, Setup, Stand};
use serde_json::{Value, json};

use crate::{
    chat_at, post, question, setup,
    vendor::{Answer, Vendor, chat, delta, last},
};

/// 1,000 tokens in and 500 out come to 2.
fn prices() -> Value {
    json!([{ "model": "gpt-*", "input": 1000.0, "output": 2000.0 }])
}

async fn asked_by(stand: &Stand, app: &str) -> HttpAnswer {
    post(&chat_at(stand).token(&format!("token-{app}")), &question("hi", false)).await
}

/// The code of a refusal, and the seconds to wait.
fn refusal(answer: &HttpAnswer) -> (u16, String, u64) {
    let wait = answer.header("retry-after").and_then(|wait| wait.parse().ok());
    let code = answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
    (answer.status, code, wait.unwrap_or_default())
}

#[tokio::test]
async fn budget_is_spent_by_price_and_refused_past_its_end_also_after_a_restart() {
    let vendor = Vendor::start([chat("hi")]).await;
    let make = |setup: Setup| {
        setup.app("poor", "token-poor", json!({ "monthly_budget": 3.0 })).app("rich", "token-rich", json!({}))
    };
    let stand = make(setup(&vendor, json!({ "prices": prices() }))).start().await;
    assert_eq!(asked_by(&stand, "poor").await.status, 200);
    assert_eq!(asked_by(&stand, "poor").await.status, 200);
    let answer = asked_by(&stand, "poor").await;
    let (status, code, wait) = refusal(&answer);
    assert_eq!((status, code.as_str()), (403, "insufficient_quota"));
    assert!(wait > 0);
    assert_eq!(answer.json()["error"]["message"], "Budget limit exceeded");
    assert_eq!(asked_by(&stand, "rich").await.status, 200);

    let folder = stand.stop().await;
    let llm = json!({ "endpoint": vendor.url(), "api_key": "sk-vendor", "prices": prices() });
    let stand = make(Setup::in_folder(folder).set("llms", json!({ "gpt": llm }))).start().await;
    assert_eq!(asked_by(&stand, "poor").await.status, 403);
    assert_eq!(vendor.asked().len(), 3);
}

#[tokio::test]
async fn budget_of_an_llm_is_what_all_apps_spend_on_it() {
    let vendor = Vendor::start([chat("hi")]).await;
    let stand = setup(&vendor, json!({ "prices": prices(), "monthly_budget": 3.0 }))
        .app("a", "token-a", json!({}))
        .app("b", "token-b", json!({}))
        .start()
        .await;
    assert_eq!(asked_by(&stand, "a").await.status, 200);
    assert_eq!(asked_by(&stand, "b").await.status, 200);
    assert_eq!(refusal(&asked_by(&stand, "a").await).0, 403);
}

#[tokio::test]
async fn calls_past_the_rate_are_refused_with_the_time_to_wait_also_after_a_restart() {
    let vendor = Vendor::start([chat("hi")]).await;
    let make = |setup: Setup| setup.app("slow", "token-slow", json!({ "rate_limit": 2 }));
    let stand = make(setup(&vendor, json!({}))).start().await;
    for _ in 0..2 {
        assert_eq!(asked_by(&stand, "slow").await.status, 200);
    }
    let (status, code, wait) = refusal(&asked_by(&stand, "slow").await);
    assert_eq!((status, code.as_str()), (429, "rate_limit_exceeded"));
    assert!((1..=30).contains(&wait), "{wait}");

    let folder = stand.stop().await;
    let llm = json!({ "endpoint": vendor.url(), "api_key": "sk-vendor" });
    let stand = make(Setup::in_folder(folder).set("llms", json!({ "gpt": llm }))).start().await;
    assert_eq!(refusal(&asked_by(&stand, "slow").await).0, 429);
    assert_eq!(vendor.asked().len(), 2);
}

#[tokio::test]
async fn tokens_past_those_of_a_minute_are_refused_in_the_vendors_own_shape() {
    let vendor = Vendor::start([chat("hi")]).await;
    let claude = json!({ "vendor": "anthropic", "endpoint": vendor.url(), "token_limit": 1_000 });
    let stand = setup(&vendor, json!({}))
        .set("llms", json!({ "claude": claude }))
        .app("small", "token-small", json!({ "token_limit": 2_000 }))
        .app("large", "token-large", json!({}))
        .start()
        .await;
    // 1,500 each, counted when it is over, of streams too.
    assert_eq!(asked_by(&stand, "small").await.status, 200);
    vendor.answers([Answer::Stream(vec![delta("one"), last()])]);
    let client = chat_at(&stand).token("token-small");
    assert_eq!(post(&client, &question("hi", true)).await.status, 200);
    let refused = mortise_tests::eventually("the stream to be counted", async || {
        let answer = post(&client, &question("hi", false)).await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    let (_, code, wait) = refusal(&refused);
    assert_eq!(code, "rate_limit_exceeded");
    assert!((1..=60).contains(&wait), "{wait}");
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("this app has used its 2000 tokens a minute"), "{message}");

    let usage = json!({ "input_tokens": 900, "output_tokens": 200 });
    vendor.answers([Answer::Json(200, json!({ "type": "message", "content": [], "usage": usage }))]);
    let claude = stand.client().at("/llm/call/claude/v1/messages").token("token-large");
    let body = json!({ "model": "claude-5", "max_tokens": 5, "messages": [] });
    assert_eq!(post(&claude, &body).await.status, 200);
    let answer = post(&claude, &body).await;
    assert_eq!((answer.status, answer.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    assert!(answer.header("retry-after").is_some());
    assert!(answer.text().contains("the LLM `claude` has used its 1000 tokens"), "{}", answer.text());
}

#[tokio::test]
async fn what_a_failed_call_was_thought_to_take_is_given_back() {
    let vendor = Vendor::start([Answer::Json(400, json!({ "error": { "message": "no" } }))]).await;
    let stand =
        setup(&vendor, json!({})).app("small", "token-small", json!({ "token_limit": 10 })).start().await;
    let client = chat_at(&stand).token("token-small");
    for _ in 0..3 {
        assert_eq!(post(&client, &question(&"long ".repeat(100), false)).await.status, 400);
    }
}

#[tokio::test]
async fn llm_that_has_used_up_its_limit_stands_in_for_no_other() {
    let busy = Answer::Json(503, json!({ "error": { "message": "busy" } }));
    let (first, second) = (Vendor::start([busy]).await, Vendor::start([chat("b")]).await);
    let llms = json!({
        "gpt": { "endpoint": first.url(), "fallback": "spare" },
        "spare": { "endpoint": second.url(), "rate_limit": 1 },
    });
    let stand = Setup::new().set("llms", llms).start().await;
    assert_eq!(post(&chat_at(&stand), &question("hi", false)).await.status, 200);
    assert_eq!(post(&chat_at(&stand), &question("hi", false)).await.status, 503);
    assert_eq!(second.asked().len(), 1);
}
