use std::time::Duration;

use mortise_plugin_api::{
    PluginError,
    hooks::{LlmOutput, ToolPostInvoke, ToolPreInvoke},
};
use serde_json::{Value, json};

use super::kind;
use crate::testing::service::{Desk, answer};

const URL: &str = "http://guard.test/check";

fn desk(config: Value, verdict: Value) -> Desk {
    let mut whole = json!({"url": URL});
    whole.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    Desk::new(&kind(), whole, move |_| verdict.clone())
}

fn search(text: &str) -> Value {
    json!({"name": "search", "args": {"q": text, "n": 5}})
}

#[test]
fn the_service_is_shown_texts_caller_and_place() {
    let mut desk = desk(json!({"api_key": "s3cret", "headers": {"x-team": "a"}}), json!({"verdict": "pass"}));
    desk.caller(|caller| {
        caller.user = Some("ann@example.com".into());
        caller.tenant = Some("acme".into());
    });
    desk.request().upstream = Some("docs".into());

    assert!(desk.call::<ToolPreInvoke>(search("hello")).passed());

    let asked = &desk.asked()[0];
    assert_eq!(asked["version"], 1);
    assert_eq!(asked["hook"], "tool_pre_invoke");
    assert_eq!(asked["subject"], "search");
    assert_eq!(asked["request_id"], "r1");
    assert_eq!(asked["texts"], json!([{"id": 0, "key": "q", "text": "hello"}]));
    assert_eq!(
        (&asked["caller"]["user"], &asked["caller"]["tenant"]),
        (&json!("ann@example.com"), &json!("acme"))
    );
    assert_eq!(asked["request"]["upstream"], "docs");
    assert_eq!(asked.get("payload"), None);
    let sent = &desk.requests()[0];
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", URL));
    assert_eq!(sent.headers.get("authorization"), Some("Bearer s3cret"));
    assert_eq!(sent.headers.get("x-team"), Some("a"));
    assert_eq!(sent.timeout, Duration::from_secs(5));
}

#[test]
fn caller_and_payload_are_shown_as_configured() {
    let desk = desk(json!({"include_caller": false, "include_payload": true}), json!({"verdict": "pass"}));
    desk.call::<ToolPreInvoke>(json!({"name": "t", "args": {"n": 5}}));
    let asked = &desk.asked()[0];
    assert_eq!(asked.get("caller"), None);
    assert_eq!(asked["payload"]["args"]["n"], 5);
}

#[test]
fn a_call_without_text_is_not_asked_about() {
    let desk = desk(json!({}), json!({"verdict": "block"}));
    assert!(desk.call::<ToolPreInvoke>(json!({"name": "t", "args": {"n": 5}})).passed());
    assert!(desk.asked().is_empty());
}

#[test]
fn a_block_is_a_violation_with_what_the_service_says() {
    let refusal =
        json!({"code": "TOXIC", "reason": "Toxic", "description": "It is toxic", "details": {"score": 0.9}});
    let desk =
        desk(json!({}), json!({"verdict": "block", "violation": refusal, "metadata": {"model": "m1"}}));
    let outcome = desk.call::<ToolPreInvoke>(search("hello"));
    let violation = outcome.violation.clone().unwrap();
    assert_eq!((violation.code.as_str(), violation.reason.as_str()), ("TOXIC", "Toxic"));
    assert_eq!(violation.details["score"], 0.9);
    assert_eq!(outcome.metadata("guardrail"), json!({"model": "m1"}));

    let desk = self::desk(json!({}), json!({"verdict": "block"}));
    assert_eq!(desk.call::<ToolPreInvoke>(search("hello")).code(), "GUARDRAIL");
}

#[test]
fn replacements_count_characters() {
    let replacements = json!([
        {"id": 0, "start": 2, "end": 5, "text": "***"},
        {"id": 1, "text": "gone"},
    ]);
    let desk = desk(json!({}), json!({"verdict": "change", "replacements": replacements}));
    let outcome =
        desk.call::<ToolPreInvoke>(json!({"name": "t", "args": {"a": "üß€uro!", "b": "whole", "c": "c"}}));
    assert_eq!(outcome.changed.unwrap()["args"], json!({"a": "üß***o!", "b": "gone", "c": "c"}));
}

#[test]
fn under_audit_everything_passes_and_is_told() {
    for verdict in [
        json!({"verdict": "block", "violation": {"code": "TOXIC"}}),
        json!({"verdict": "change", "replacements": [{"id": 0, "text": "x"}]}),
    ] {
        let desk = desk(json!({"action": "audit"}), verdict);
        let outcome = desk.call::<ToolPreInvoke>(search("hello"));
        assert!(outcome.passed());
        assert!(outcome.notes.is_some());
        assert_eq!(desk.log().len(), 1);
    }
}

#[test]
fn answers_that_are_none_are_errors_and_never_a_pass() {
    for garbage in [
        "",
        "null",
        "[]",
        "{}",
        "\"pass\"",
        "{\"verdict\":\"PASS\"}",
        "{\"verdict\":\"pass\"",
        "<html>",
        "{\"verdict\":1}",
        "{\"verdict\":\"change\",\"replacements\":[{\"id\":0}]}",
        "{\"verdict\":\"change\",\"replacements\":[{\"id\":7,\"text\":\"x\"}]}",
        "{\"verdict\":\"change\",\"replacements\":[{\"id\":0,\"start\":3,\"end\":2,\"text\":\"x\"}]}",
        "{\"verdict\":\"change\",\"replacements\":[{\"id\":0,\"start\":6,\"text\":\"x\"}]}",
        "{\"verdict\":\"change\",\"replacements\":[{\"id\":0,\"end\":99999999999,\"text\":\"x\"}]}",
        "\u{feff}{\"verdict\":\"pass\"}",
    ] {
        let desk = Desk::raw(&kind(), json!({"url": URL}), move |_| answer(200, garbage)).unwrap();
        let error = desk.try_call::<ToolPreInvoke>(search("hello")).unwrap_err();
        assert_eq!(error.kind(), "invalid_answer", "{garbage}: {error}");
    }
    let deep = format!("{{\"verdict\":\"pass\",\"metadata\":{{\"a\":{}", "[".repeat(100_000));
    let desk = Desk::raw(&kind(), json!({"url": URL}), move |_| answer(200, deep.clone())).unwrap();
    assert!(desk.try_call::<ToolPreInvoke>(search("hello")).is_err());
}

#[test]
fn a_service_that_is_away_blocks_or_lets_pass_as_configured() {
    let failures: [fn() -> Result<_, PluginError>; 4] = [
        || answer(500, "no"),
        || answer(302, "there"),
        || Err(PluginError::Timeout(Duration::from_secs(5))),
        || answer(200, vec![b' '; 2_000_000]),
    ];
    for failure in failures {
        let desk = Desk::raw(&kind(), json!({"url": URL}), move |_| failure()).unwrap();
        assert!(desk.try_call::<ToolPreInvoke>(search("x")).is_err());
        assert!(desk.health().is_err());

        let desk = Desk::raw(&kind(), json!({"url": URL, "on_failure": "pass"}), move |_| failure()).unwrap();
        let outcome = desk.call::<ToolPreInvoke>(search("x"));
        assert!(outcome.passed());
        assert_ne!(outcome.metadata("unjudged"), Value::Null);
        desk.respond(|_| answer(200, r#"{"verdict":"pass"}"#));
        desk.call::<ToolPreInvoke>(search("x"));
        assert!(desk.health().is_ok());
    }
}

#[test]
fn under_pass_a_service_that_fails_is_not_waited_for_by_every_call() {
    let desk = Desk::raw(&kind(), json!({"url": URL, "on_failure": "pass"}), |_| answer(500, "")).unwrap();
    for _ in 0..20 {
        assert!(desk.call::<ToolPreInvoke>(search("x")).passed());
    }
    assert_eq!(desk.requests().len(), 5);
    assert_eq!(desk.log().len(), 1, "one line, not twenty");
    desk.advance(Duration::from_secs(31));
    desk.call::<ToolPreInvoke>(search("x"));
    assert_eq!(desk.requests().len(), 6);
}

#[test]
fn kept_verdicts_are_of_one_caller_and_one_text() {
    let mut desk = desk(json!({"cache_seconds": 60}), json!({"verdict": "block"}));
    for _ in 0..3 {
        assert_eq!(desk.call::<ToolPreInvoke>(search("x")).code(), "GUARDRAIL");
    }
    assert_eq!(desk.requests().len(), 1);
    desk.call::<ToolPreInvoke>(search("y"));
    desk.call::<ToolPostInvoke>(
        json!({"name": "search", "result": {"content": [{"type": "text", "text": "x"}]}}),
    );
    assert_eq!(desk.requests().len(), 3, "another text, another hook");
    desk.caller(|caller| caller.tenant = Some("acme".into()));
    desk.call::<ToolPreInvoke>(search("x"));
    assert_eq!(desk.requests().len(), 4, "another caller");
    desk.request().id = "r2".into();
    desk.call::<ToolPreInvoke>(search("x"));
    assert_eq!(desk.requests().len(), 4, "another request of the same");
    desk.advance(Duration::from_secs(61));
    desk.call::<ToolPreInvoke>(search("x"));
    assert_eq!(desk.requests().len(), 5, "its time is over");
}

#[test]
fn the_service_may_ask_for_less_time_and_failures_are_not_kept() {
    let desk = desk(json!({"cache_seconds": 60}), json!({"verdict": "pass", "cache_seconds": 0}));
    desk.call::<ToolPreInvoke>(search("x"));
    desk.call::<ToolPreInvoke>(search("x"));
    assert_eq!(desk.requests().len(), 2);
    desk.respond(|_| answer(503, ""));
    assert!(desk.try_call::<ToolPreInvoke>(search("x")).is_err());
    desk.respond(|_| answer(200, r#"{"verdict":"pass"}"#));
    assert!(desk.call::<ToolPreInvoke>(search("x")).passed());
}

#[test]
fn more_text_than_is_judged_is_no_verdict() {
    let desk = desk(json!({"max_text_bytes": 10}), json!({"verdict": "pass"}));
    assert!(desk.try_call::<ToolPreInvoke>(search("more than ten bytes")).is_err());
    assert!(desk.requests().is_empty());
}

#[test]
fn answers_of_models_are_judged_too() {
    let desk = desk(json!({}), json!({"verdict": "change", "replacements": [{"id": 0, "text": "-"}]}));
    let outcome =
        desk.call::<LlmOutput>(json!({"llm": "gpt", "body": {"choices": [{"message": {"content": "hi"}}]}}));
    assert_eq!(outcome.changed.unwrap()["body"]["choices"][0]["message"]["content"], "-");
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    for (config, field) in [
        (json!({"url": "guard"}), "url"),
        (json!({"url": URL, "timeout_ms": 0}), "timeout_ms"),
        (json!({"url": URL, "max_answer_bytes": 0}), "max_answer_bytes"),
        (json!({"url": URL, "api_key": "a\nb"}), "api_key"),
        (json!({"url": URL, "headers": {"a b": "c"}}), "headers.a b"),
        (json!({"url": URL, "cache_seconds": 100_000_000}), "cache_seconds"),
    ] {
        let error = (kind().build)(&config).err().unwrap();
        assert_eq!(error.field, field, "{config}");
    }
    assert!((kind().build)(&json!({})).is_err());
}
