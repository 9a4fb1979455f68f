//! LLMs and apps that are kept in storage, made while the gateway runs.

use mortise_plugin_api::Hook;
use mortise_tests::{Setup, Stand, eventually};
use serde_json::{Value, json};

use crate::{
    chat_at, post, question,
    vendor::{Vendor, chat},
};

async fn ask(stand: &Stand, method: &str, path: &str, body: Value) -> Value {
    let body = body.to_string();
    let answer = stand.admin().at(path).send(method, Some(body.as_bytes())).await;
    assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text());
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

#[tokio::test]
async fn llm_and_app_made_while_the_gateway_runs_are_served_as_those_of_files() {
    let vendor = Vendor::start([chat("hi")]).await;
    let stand = Setup::new().start().await;
    let named =
        json!({ "name": "GPT of ours", "slug": "ours", "vendor": "openai", "endpoint": vendor.url() });
    ask(&stand, "POST", "/api/v1/llms", named).await;
    let ours = stand.client().at("/llm/call/ours/chat/completions");
    assert_eq!(post(&ours, &question("hi", false)).await.status, 200);
    std::fs::write(stand.folder().join("key"), "sk-of-a-file\n").unwrap();
    assert_eq!(post(&chat_at(&stand), &question("hi", false)).await.status, 404);

    let llm = json!({
        "name": "gpt", "vendor": "openai", "endpoint": vendor.url(), "api_key": "${file:key}", "models": ["gpt-*"],
        "entry": { "retries": 1 },
    });
    let made = ask(&stand, "POST", "/api/v1/llms", llm).await;
    assert_eq!(made["api_key"], "${file:key}", "where the key is, never the key");

    assert_eq!(post(&chat_at(&stand), &question("hi", false)).await.status, 200);
    assert_eq!(vendor.last().header("authorization"), Some("Bearer sk-of-a-file"));
    for (name, llms, status) in [("may", json!(["gpt"]), 200), ("may_not", json!([]), 403)] {
        ask(&stand, "POST", "/api/v1/apps", json!({ "name": name, "llms": llms })).await;
        let token = ask(&stand, "POST", "/api/v1/tokens", json!({ "app": name })).await;
        let client = chat_at(&stand).token(token["token"].as_str().unwrap());
        assert_eq!(post(&client, &question("hi", false)).await.status, status, "{name}");
    }
    assert_eq!(post(&chat_at(&stand), &question("hi", false)).await.status, 401);
    let one = format!("/api/v1/llms/{}", made["id"]);
    let refused = stand.admin().at(&one).send("PATCH", Some(br#"{"vendor": "opnai"}"#)).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("opnai"), "{}", refused.text());
    ask(&stand, "DELETE", &one, json!({})).await;
    let boss = ask(&stand, "POST", "/api/v1/tokens", json!({ "app": "may" })).await;
    let client = chat_at(&stand).token(boss["token"].as_str().unwrap());
    assert_eq!(post(&client, &question("hi", false)).await.status, 404);
}

#[tokio::test]
async fn app_of_a_file_may_be_granted_an_llm_that_is_stored() {
    let vendor = Vendor::start([chat("hi")]).await;
    let grants = json!({ "llms": ["kept"] });
    let stand = Setup::new().set("storage", json!({})).app("ci", "token-ci", grants.clone()).start().await;
    for name in ["kept", "another"] {
        let llm = json!({ "name": name, "vendor": "openai", "endpoint": vendor.url(), "rate_limit": 1 });
        ask(&stand, "POST", "/api/v1/llms", llm).await;
    }
    let at = |stand: &Stand, llm: &str| {
        stand.client().at(&format!("/llm/call/{llm}/chat/completions")).token("token-ci")
    };
    assert_eq!(post(&at(&stand, "kept"), &question("hi", false)).await.status, 200);
    assert_eq!(post(&at(&stand, "kept"), &question("hi", false)).await.status, 429, "its limit holds");
    assert_eq!(post(&at(&stand, "another"), &question("hi", false)).await.status, 403);

    let folder = stand.stop().await;
    let again = Setup::in_folder(folder).set("storage", json!({})).app("ci", "token-ci", grants.clone());
    let stand = again.start().await;
    assert_eq!(post(&at(&stand, "kept"), &question("hi", false)).await.status, 429, "also after a restart");

    let nowhere = Setup::new().app("ci", "token-ci", grants);
    let error = nowhere.load(&nowhere.framework()).unwrap_err();
    assert!(error.to_string().contains("there is no LLM `kept`"), "{error}");
}

#[tokio::test]
async fn records_and_spending_are_kept_and_priced_by_what_is_stored() {
    let vendor = Vendor::start([chat("hi")]).await;
    let recorder = mortise_tests::Recorder::new();
    let hooks = [mortise_plugin_api::hooks::RecordAnalytics::ID];
    let make = |setup: Setup, records: Value| {
        let llm = json!({ "endpoint": vendor.url(), "api_key": "sk-vendor" });
        setup
            .set("llms", json!({ "gpt": llm }))
            .set("storage", json!({ "records": records }))
            .app("ci", "token-ci", json!({}))
            .app("boss", "token-boss", json!({ "is_admin": true }))
    };
    let all = json!({ "keep": ["analytics", "budget_usage", "proxy_log"] });
    let stand = make(Setup::new(), all).start().await;
    let price = json!({ "vendor": "openai", "model": "gpt-*", "input": 0.001, "output": 0.002 });
    let made = ask(&stand, "POST", "/api/v1/prices", price).await;
    let call = async |stand: &Stand, id: &str| {
        let client = chat_at(stand).token("token-ci").with("x-request-id", id);
        assert_eq!(post(&client, &question("hi", false)).await.status, 200);
    };
    call(&stand, "r-1").await;
    let get = async |stand: &Stand, path: &str| stand.client().token("token-boss").get(path).await;
    let list = async |stand: &Stand, query: &str| {
        let answer = get(stand, &format!("/api/v1/{query}")).await;
        answer.json()["items"].as_array().cloned().unwrap()
    };
    let record = eventually("the record", async || list(&stand, "records?app=ci").await.pop()).await;
    let told = &record["record"];
    assert_eq!(
        (&record["llm"], &told["request_id"], &told["cost"]),
        (&json!("gpt"), &json!("r-1"), &json!(2.0))
    );
    let log = eventually("the log", async || list(&stand, "records?kind=proxy_log").await.pop()).await;
    assert!(log["record"]["request_body"].as_str().unwrap().contains("messages"), "{log}");
    ask(&stand, "PATCH", &format!("/api/v1/prices/{}", made["id"]), json!({ "output": 0.004 })).await;
    call(&stand, "r-2").await;

    // From now on a plugin takes what calls took, in the place of the database.
    let folder = stand.stop().await;
    let stand = make(Setup::in_folder(folder), json!({ "replaced_by": "recorder" }))
        .plugin("recorder", recorder.plugin(&hooks))
        .start()
        .await;
    let spending = get(&stand, "/api/v1/spending?app=ci").await.json();
    assert_eq!((&spending["total"]["cost"], &spending["total"]["requests"]), (&json!(5.0), &json!(2)));
    assert_eq!(
        (&spending["items"][0]["llm"], &spending["items"][0]["input_tokens"]),
        (&json!("gpt"), &json!(2000))
    );
    call(&stand, "r-3").await;
    recorder.wait_for("record_analytics", 1).await;
    let folder = stand.stop().await;
    let stand = make(Setup::in_folder(folder), json!({})).start().await;
    let kept = list(&stand, "records").await;
    let ids: Vec<_> = kept.iter().map(|kept| kept["record"]["request_id"].clone()).collect();
    assert_eq!(ids, ["r-2", "r-1"]);
    let spending = get(&stand, "/api/v1/spending").await.json();
    assert_eq!(spending["total"]["requests"], 3, "what was spent is added up all the same");
    let refused = get(&stand, "/api/v1/spending?from=soon").await;
    assert_eq!(refused.status, 400);
}
