//! Plugins that are bound to an LLM: at hooks of HTTP, whoever its path names; and where a plugin may send a request.

use mortise_plugin_api::{
    Hook, Native, Needs, Verdict, Violation,
    hooks::{HttpAuthResolveUser, HttpPreRequest, LlmInput, http::UserRecord},
};
use mortise_testkit::mcp_server::scripted::Scripted;
use mortise_tests::{Recorder, Setup, Stand};
use serde_json::{Value, json};

use crate::{
    post, question,
    vendor::{Vendor, chat},
};

/// Two LLMs at one vendor.
fn two(vendor: &Vendor) -> Setup {
    let llm = |models: &str| json!({ "endpoint": vendor.url(), "api_key": "sk-vendor", "models": [models] });
    Setup::new().set("llms", json!({ "gpt": llm("gpt-*"), "other": llm("*") }))
}

async fn status(stand: &Stand, path: &str) -> u16 {
    post(&stand.client().at(path), &question("hi", false)).await.status
}

#[tokio::test]
async fn plugin_bound_to_an_llm_runs_before_requests_that_name_it_and_no_others() {
    let (docs, vendor) = (Scripted::start().await.unwrap(), Vendor::start([chat("hi")]).await);
    let guard = Native::new(()).on::<HttpPreRequest>(Needs::block(), |(), _, _| {
        Ok(Violation::new("CLOSED", "closed").describe("not today").into())
    });
    let stand = two(&vendor)
        // An upstream of the same name is no LLM.
        .upstream("gpt", &docs)
        .plugin_with("guard", guard.into_plugin(), json!({ "mode": "disabled" }))
        .set("bindings", json!([{ "plugin": "guard", "scope": { "llm": "gpt" }, "mode": "enforce" }]))
        .start()
        .await;
    for path in
        ["/llm/call/gpt/chat/completions", "/llm/call/GPT/chat/completions", "/ai/gpt/v1/chat/completions"]
    {
        assert_eq!(status(&stand, path).await, 403, "{path}");
    }
    assert!(vendor.asked().is_empty());
    assert_eq!(status(&stand, "/llm/call/other/chat/completions").await, 200);
    stand.client().call("echo", json!({ "text": "x" })).await;

    // Where the model is what leads to an LLM, it is not known in time: nobody gets round the plugin that way.
    assert_eq!(status(&stand, "/v1/chat/completions").await, 200);
    let named = json!({ "model": "gpt/gpt-5", "messages": [] });
    assert_eq!(post(&stand.client().at("/v1/chat/completions"), &named).await.status, 200);
    assert_eq!(vendor.last().json()["model"], "gpt/gpt-5", "the other LLM takes any model");
}

#[tokio::test]
async fn plugin_that_says_who_calls_may_be_one_llms_alone_and_its_app_is_held_to_what_is_stored() {
    let vendor = Vendor::start([chat("hi")]).await;
    let auth = Native::new(()).on::<HttpAuthResolveUser>(Needs::block(), |(), asked, _| {
        let app = asked.headers.get("x-app").map(str::to_owned);
        Ok(match app {
            Some(app) => {
                let record = json!({ "email": "ann@example.com", "app": app });
                Verdict::Change(UserRecord(record.as_object().cloned().unwrap_or_default()))
            }
            None => Verdict::Pass,
        })
    });
    let stand = two(&vendor)
        .plugin_with("auth", auth.into_plugin(), json!({ "mode": "disabled" }))
        .set("bindings", json!([{ "plugin": "auth", "scope": { "llm": "gpt" }, "mode": "enforce" }]))
        .start()
        .await;
    for app in [
        json!({ "name": "free", "llms": ["gpt"] }),
        json!({ "name": "slow", "rate_limit": 1 }),
        json!({ "name": "closed", "active": false }),
        json!({ "name": "elsewhere", "llms": ["other"] }),
    ] {
        let made = stand.admin().at("/api/v1/apps").send("POST", Some(app.to_string().as_bytes())).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let ask = async |app: &str, llm: &str| {
        let client = stand.client().at(&format!("/llm/call/{llm}/chat/completions")).with("x-app", app);
        post(&client, &question("hi", false)).await.status
    };
    for (app, llm, expected) in [
        ("free", "gpt", 200),
        ("slow", "gpt", 200),
        ("slow", "gpt", 429),
        ("closed", "gpt", 403),
        ("elsewhere", "gpt", 403),
        ("free", "other", 401),
    ] {
        assert_eq!(ask(app, llm).await, expected, "{app} {llm}");
    }
}

/// A plugin that has requests sent elsewhere.
fn sending_to(url: String) -> std::sync::Arc<dyn mortise_plugin_api::Plugin> {
    let plugin = Native::new(url).on::<LlmInput>(Needs::change(), |url, _, cx| {
        cx.context.set_shared("plugin_context", json!({ "upstream_override": url }));
        Ok(Verdict::Pass)
    });
    plugin.into_plugin()
}

fn elsewhere(vendor: &Vendor, allowed: &Value) -> Setup {
    let llm = json!({ "endpoint": vendor.url(), "api_key": "sk-vendor", "other_endpoints": allowed });
    Setup::new().set("llms", json!({ "gpt": llm }))
}

#[tokio::test]
async fn plugin_sends_a_request_to_another_address_of_the_llm_and_to_no_other() {
    let (vendor, second) = (Vendor::start([chat("a")]).await, Vendor::start([chat("b")]).await);
    let url = second.url();
    let stand = elsewhere(&vendor, &json!([url.clone()]))
        .plugin("route", sending_to(format!("{url}/")))
        .start()
        .await;
    let client = stand.client().at("/llm/call/gpt/v1/chat/completions");
    let answer = post(&client, &question("hi", false)).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "b", "{}", answer.text());
    let asked = second.last();
    assert_eq!(asked.target, "/v1/chat/completions");
    assert_eq!(asked.header("authorization"), Some("Bearer sk-vendor"));
    assert_eq!(asked.header("host"), url.strip_prefix("http://").and_then(|url| url.strip_suffix("/v1")));
    assert!(vendor.asked().is_empty());

    for wrong in
        [url.clone(), format!("{url}/x"), "http://169.254.169.254/v1".to_owned(), "no url".to_owned()]
    {
        let stand = elsewhere(&vendor, &json!([])).plugin("route", sending_to(wrong.clone())).start().await;
        let client = stand.client().at("/llm/call/gpt/v1/chat/completions");
        let answer = post(&client, &question("hi", false)).await;
        assert_eq!(answer.status, 502, "{wrong}: {}", answer.text());
    }
    assert_eq!((vendor.asked().len(), second.asked().len()), (0, 1));
}

#[tokio::test]
async fn records_are_shown_to_a_plugin_of_one_llm_alone() {
    let vendor = Vendor::start([chat("hi")]).await;
    let recorder = Recorder::new();
    let hooks = [mortise_plugin_api::hooks::RecordAnalytics::ID];
    let stand = two(&vendor)
        .plugin_with("recorder", recorder.plugin(&hooks), json!({ "mode": "disabled" }))
        .set("bindings", json!([{ "plugin": "recorder", "scope": { "llm": "gpt" }, "mode": "enforce" }]))
        .start()
        .await;
    for llm in ["other", "gpt"] {
        assert_eq!(status(&stand, &format!("/llm/call/{llm}/chat/completions")).await, 200);
    }
    let seen = recorder.wait_for("record_analytics", 1).await;
    assert_eq!(seen[0].payload["llm"], "gpt");
}
