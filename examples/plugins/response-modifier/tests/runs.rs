//! The program as the gateway's runtime starts it, asked at the hooks it has.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted ends it")]

use std::sync::Arc;

use mortise_framework::{Contexts, Framework, Pipelines, Plan, config::PluginEntry};
use mortise_plugin_api::{
    Hook, Json, Payload, Request, Revision,
    hooks::{HttpPostForwardingCall, LlmOutput, http::ForwardingPayload, llm::LlmOutputPayload},
};
use mortise_runtime_process::ProcessRuntime;
use serde_json::json;

async fn changed<H: Hook>(pipelines: &Arc<Pipelines>, payload: impl Payload) -> Arc<Revision> {
    let chain = pipelines.chain(H::ID).unwrap();
    let payload = Revision::new(Box::new(payload));
    let outcome = chain.run(pipelines, &Request::new("r1"), &mut Contexts::new(), &payload).await;
    outcome.changed.unwrap()
}

#[tokio::test]
async fn answer_of_a_model_is_changed_in_text_and_headers() {
    let framework = Framework::builder().runtime(ProcessRuntime::new()).build();
    let config = json!({ "replace": { "Hello": "Goodbye" }, "header": "x-seen" });
    let mut entry = PluginEntry::new("modifier", "process").with_config(config.as_object().unwrap().clone());
    entry.command = vec![env!("CARGO_BIN_EXE_response-modifier").to_owned()];
    let plan = Plan { enabled: true, entries: vec![entry], ..Plan::default() };
    let (pipelines, _) = framework.build(&plan).await.unwrap();

    let forwarded = ForwardingPayload { upstream: "gpt".to_owned(), ..ForwardingPayload::default() };
    let forwarded = changed::<HttpPostForwardingCall>(&pipelines, forwarded).await;
    let headers = &forwarded.get::<ForwardingPayload>().unwrap().headers;
    assert_eq!(headers.get("x-seen"), Some("response-modifier"));

    let answered = LlmOutputPayload {
        llm: "gpt".to_owned(),
        vendor: "openai".to_owned(),
        model: None,
        status_code: Some(200),
        headers: [("x-upstream", "1")].into_iter().collect(),
        streamed: false,
        body: Json::from(
            json!({ "choices": [{ "message": { "role": "assistant", "content": "Hello Ann" } }] }),
        ),
    };
    let answered = changed::<LlmOutput>(&pipelines, answered).await;
    let answered = answered.get::<LlmOutputPayload>().unwrap();
    assert_eq!(answered.body.value().unwrap()["choices"][0]["message"]["content"], "Goodbye Ann");
    assert_eq!(answered.headers.get("x-upstream"), Some("1"), "headers stay");
    framework.stop(&pipelines).await;
}
