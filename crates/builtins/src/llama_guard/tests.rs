use mortise_plugin_api::hooks::{LlmOutput, ToolPostInvoke, ToolPreInvoke};
use serde_json::{Value, json};

use super::kind;
use crate::testing::service::{Desk, answer};

const URL: &str = "http://ollama.test:11434/v1";

fn completion(said: &Value) -> Value {
    json!({"id": "1", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]})
}

fn desk(config: Value) -> Desk {
    let mut whole = json!({"url": URL});
    whole.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    Desk::new(&kind(), whole, |question| {
        let text =
            question["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned();
        let said = if text.contains("bomb") {
            "unsafe\nS9,S1"
        } else if text.contains("lawyer") {
            "\n\nunsafe\nS6"
        } else {
            "safe"
        };
        completion(&json!(said))
    })
}

fn args(text: &str) -> Value {
    json!({"name": "ask", "args": {"q": text, "more": "please"}})
}

#[test]
fn a_call_is_judged_as_a_whole_by_one_question() {
    let desk = desk(json!({"api_key": "k", "model": "llama-guard3:1b"}));
    assert!(desk.call::<ToolPreInvoke>(args("hello")).passed());
    let sent = &desk.requests()[0];
    assert_eq!(sent.url, "http://ollama.test:11434/v1/chat/completions");
    assert_eq!(sent.headers.get("authorization"), Some("Bearer k"));
    let asked = &desk.asked()[0];
    assert_eq!(asked["model"], "llama-guard3:1b");
    assert_eq!(asked["messages"], json!([{"role": "user", "content": "hello\nplease"}]));
    assert_eq!(asked["stream"], false);
}

#[test]
fn unsafe_content_is_blocked_with_its_hazards() {
    let violation = desk(json!({})).call::<ToolPreInvoke>(args("a bomb")).violation.unwrap();
    assert_eq!((violation.code.as_str(), violation.http_status_code), ("CONTENT_MODERATION", Some(422)));
    assert_eq!(violation.details["categories"], json!(["S1", "S9"]));
    assert_eq!(violation.details["names"], json!(["violent crimes", "indiscriminate weapons"]));
    assert!(!format!("{violation:?}").contains("bomb"));
}

#[test]
fn allowed_hazards_pass_and_others_beside_them_do_not() {
    let desk = desk(json!({"allowed_categories": ["S6", "S9"]}));
    assert!(desk.call::<ToolPreInvoke>(args("a lawyer")).passed());
    let violation = desk.call::<ToolPreInvoke>(args("a bomb")).violation.unwrap();
    assert_eq!(violation.details["categories"], json!(["S1"]));
}

#[test]
fn under_audit_unsafe_calls_pass_with_metadata() {
    let desk = desk(json!({"action": "audit"}));
    let outcome = desk.call::<ToolPreInvoke>(args("a bomb"));
    assert!(outcome.passed());
    assert_eq!(outcome.metadata("llama_guard")["categories"], json!(["S1", "S9"]));
    assert_eq!(desk.log().len(), 1);
}

#[test]
fn what_a_model_said_is_judged_as_its_turn() {
    let desk = desk(json!({}));
    desk.call::<LlmOutput>(json!({"llm": "gpt", "body": {"choices": [{"message": {"content": "hi"}}]}}));
    let asked = &desk.asked()[0];
    assert_eq!(asked["messages"][0]["role"], "user");
    assert_eq!(asked["messages"][1], json!({"role": "assistant", "content": "hi"}));
    desk.call::<ToolPostInvoke>(json!({"name": "t", "result": "hi"}));
    assert_eq!(desk.requests().len(), 2, "a verdict on the one is none on the other");
}

#[test]
fn verdicts_are_kept_and_long_texts_seen_to_their_end() {
    let desk = desk(json!({"max_text_length": 50}));
    let long = format!("{} bomb", "word ".repeat(40));
    assert_eq!(desk.call::<ToolPreInvoke>(args(&long)).code(), "CONTENT_MODERATION");
    let asked = desk.requests().len();
    assert!(asked >= 3, "{asked}");
    assert_eq!(desk.call::<ToolPreInvoke>(args(&long)).code(), "CONTENT_MODERATION");
    assert_eq!(desk.requests().len(), asked);
}

#[test]
fn a_model_that_chats_gives_no_verdict() {
    for said in [json!("I am sorry"), json!(""), json!(null), json!("SAFE\nbut"), json!("safe or unsafe")] {
        let desk = Desk::new(&kind(), json!({"url": URL}), move |_| completion(&said));
        let error = desk.try_call::<ToolPreInvoke>(args("x")).unwrap_err();
        assert_eq!(error.kind(), "invalid_answer");
    }
    for garbage in [json!({}), json!({"choices": []}), json!({"choices": [{"text": "safe"}]}), json!("safe")]
    {
        let desk = Desk::new(&kind(), json!({"url": URL}), move |_| garbage.clone());
        assert!(desk.try_call::<ToolPreInvoke>(args("x")).is_err());
    }
    let desk = Desk::raw(&kind(), json!({"url": URL, "on_failure": "pass"}), |_| answer(500, "")).unwrap();
    assert!(desk.call::<ToolPreInvoke>(args("x")).passed());
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    for (config, field) in [
        (json!({"url": "x"}), "url"),
        (json!({"url": URL, "allowed_categories": ["S1", "violence"]}), "allowed_categories[1]"),
        (json!({"url": URL, "max_text_length": 5}), "max_text_length"),
    ] {
        assert_eq!((kind().build)(&config).err().unwrap().field, field, "{config}");
    }
    for url in ["http://a.test/v1/chat/completions", "http://a.test/v1/", "http://a.test/v1"] {
        let desk = Desk::new(&kind(), json!({"url": url}), |_| completion(&json!("safe")));
        desk.call::<ToolPreInvoke>(args("x"));
        assert_eq!(desk.requests()[0].url, "http://a.test/v1/chat/completions");
    }
}
