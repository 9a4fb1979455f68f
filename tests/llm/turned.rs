//! Clients of one vendor's library in front of another vendor's model.

use mortise_tests::Setup;
use serde_json::{Value, json};

use crate::{
    post, question,
    vendor::{Answer, Vendor, spoken},
};

fn message(text: &str) -> Answer {
    Answer::Json(
        200,
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-5",
            "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": { "input_tokens": 10, "output_tokens": 5 }
        }),
    )
}

fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn stream(texts: &[&str]) -> Answer {
    let mut pieces = vec![
        event(
            "message_start",
            &json!({ "type": "message_start", "message": {
                "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-5", "content": [],
                "stop_reason": null, "usage": { "input_tokens": 10, "output_tokens": 1 }
            } }),
        ),
        event(
            "content_block_start",
            &json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        ),
    ];
    for text in texts {
        let delta = json!({ "type": "text_delta", "text": text });
        pieces.push(event(
            "content_block_delta",
            &json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        ));
    }
    pieces.push(event("content_block_stop", &json!({ "type": "content_block_stop", "index": 0 })));
    pieces.push(event(
        "message_delta",
        &json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 5 } }),
    ));
    pieces.push(event("message_stop", &json!({ "type": "message_stop" })));
    Answer::Stream(pieces)
}

#[tokio::test]
async fn openai_client_asks_a_model_of_anthropic_and_guards_see_its_text() {
    let vendor = Vendor::start([message("write to ann.lee@example.com")]).await;
    let pii = json!({
        "name": "pii", "kind": "builtin.pii_filter", "hooks": ["llm_input", "llm_output"],
        "config": { "detect_email": true, "default_mask_strategy": "redact", "redaction_text": "[REDACTED]" },
    });
    let claude = json!({
        "vendor": "anthropic", "endpoint": vendor.url(), "api_key": "sk-ant", "models": ["claude-*"],
        "default_model": "claude-5",
    });
    let stand = Setup::new().set("llms", json!({ "claude": claude })).entry(pii).start().await;
    let mut asked = question("hi", false);
    asked["model"] = "claude-5".into();
    for path in ["/ai/claude/v1/chat/completions", "/v1/chat/completions"] {
        vendor.answers([message("write to ann.lee@example.com")]);
        let answer = post(&stand.client().at(path), &asked).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let completion = answer.json();
        assert_eq!(completion["choices"][0]["message"]["content"], "write to [REDACTED]", "{completion}");
        assert_eq!(completion["choices"][0]["finish_reason"], "stop");
        assert_eq!(completion["usage"]["prompt_tokens"], 10);
        let sent = vendor.last();
        assert_eq!((sent.target.as_str(), sent.header("x-api-key")), ("/v1/messages", Some("sk-ant")));
        assert!(sent.json()["max_tokens"].as_u64().is_some(), "{}", sent.text());

        vendor.answers([stream(&["write to ann.l", "ee@exam", "ple.com"])]);
        let mut streamed = asked.clone();
        streamed["stream"] = true.into();
        let answer = post(&stand.client().at(path), &streamed).await;
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert_eq!(spoken(&answer.text()), "write to [REDACTED]", "{}", answer.text());
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
    let listed = stand.client().get("/ai/claude/v1/models").await.json();
    assert_eq!(listed["data"][0]["id"], "claude-5");
}

#[tokio::test]
async fn errors_are_turned_too_and_what_cannot_be_is_told() {
    let told = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "busy" } });
    let vendor = Vendor::start([Answer::Json(529, told)]).await;
    let claude = json!({ "vendor": "anthropic", "endpoint": vendor.url() });
    let stand = Setup::new().set("llms", json!({ "claude": claude })).start().await;
    let client = stand.client().at("/ai/claude/v1/chat/completions");
    let answer = post(&client, &question("hi", false)).await;
    assert_eq!(answer.status, 529);
    let error = &answer.json()["error"];
    assert_eq!((error["message"].as_str(), error["code"].as_str()), (Some("busy"), Some("unavailable")));

    let client = stand.client().at("/ai/claude/v1/embeddings");
    let answer = post(&client, &json!({ "model": "claude-5", "input": "hi" })).await;
    assert_eq!((answer.status, vendor.asked().len()), (400, 1), "{}", answer.text());
}
