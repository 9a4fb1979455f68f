use mortise_plugin_api::hooks::{PromptPreFetch, ToolPostInvoke, ToolPreInvoke};
use serde_json::{Value, json};

use super::kind;
use crate::testing::service::{Desk, answer};

/// As the endpoint answers: a text is of each category whose name it contains.
fn moderate(question: &Value) -> Value {
    let of = |text: &str| {
        let has = |word: &str| text.contains(word);
        json!({
            "flagged": has("hate") || has("intent"),
            "categories": {"hate": has("hate"), "violence": false, "self-harm/intent": has("intent"), "illicit": null},
            "category_scores": {
                "hate": if has("hate") { 0.91 } else { 0.02 },
                "violence": if has("violence") { 0.55 } else { 0.01 },
                "self-harm/intent": if has("intent") { 0.8 } else { 0.0 },
                "illicit": null,
            },
        })
    };
    let results: Vec<Value> =
        question["input"].as_array().unwrap().iter().map(|text| of(text.as_str().unwrap())).collect();
    json!({"id": "modr-1", "model": "omni-moderation-latest", "results": results})
}

fn desk(config: Value) -> Desk {
    Desk::new(&kind(), config, |question| moderate(&question))
}

fn args(args: Value) -> Value {
    json!({"name": "post", "args": args})
}

#[test]
fn every_text_is_judged_by_the_services_own_word() {
    let desk = desk(json!({"api_key": "sk-1"}));
    assert!(desk.call::<ToolPreInvoke>(args(json!({"a": "hello", "b": ["you", "there"], "n": 1}))).passed());
    let asked = &desk.asked()[0];
    assert_eq!(asked["input"], json!(["hello", "you", "there"]));
    assert_eq!(asked["model"], "omni-moderation-latest");
    let sent = &desk.requests()[0];
    assert_eq!(sent.url, "https://api.openai.com/v1/moderations");
    assert_eq!(sent.headers.get("authorization"), Some("Bearer sk-1"));

    let violation =
        desk.call::<ToolPreInvoke>(args(json!({"a": "hello", "b": "I hate it"}))).violation.unwrap();
    assert_eq!((violation.code.as_str(), violation.http_status_code), ("CONTENT_MODERATION", Some(422)));
    assert_eq!(violation.details["categories"], json!(["hate"]));
    assert_eq!(violation.details["scores"]["hate"], 0.91);
    assert!(!format!("{violation:?}").contains("I hate it"), "the text is not repeated");
    assert!(desk.call::<ToolPreInvoke>(args(json!({"a": "violence"}))).passed(), "it is not flagged");
}

#[test]
fn thresholds_and_actions_go_by_category() {
    let categories = json!({
        "violence": {"threshold": 0.5, "action": "redact"},
        "self_harm": {"action": "block"},
        "hate": {"threshold": 0.95},
    });
    let desk = desk(json!({"categories": categories, "redaction_text": "(gone)"}));
    let outcome = desk.call::<ToolPreInvoke>(args(json!({"a": "hello", "b": "violence and hate"})));
    assert_eq!(outcome.changed.as_ref().unwrap()["args"], json!({"a": "hello", "b": "(gone)"}));
    assert_eq!(outcome.metadata("content_moderation")["action"], "redact");
    let outcome = desk.call::<ToolPreInvoke>(args(json!({"a": "intent"})));
    assert_eq!(outcome.violation.unwrap().details["categories"], json!(["self-harm/intent"]));
}

#[test]
fn under_audit_calls_pass_with_metadata() {
    let desk = desk(json!({"action": "audit", "audit_decisions": true}));
    let outcome = desk.call::<ToolPreInvoke>(args(json!({"a": "hate"})));
    assert!(outcome.passed());
    assert_eq!(outcome.metadata("content_moderation")["action"], "warn");
    assert_eq!(desk.log().len(), 1);
}

#[test]
fn what_was_said_of_a_text_is_kept_by_the_text() {
    let desk = desk(json!({}));
    desk.call::<ToolPreInvoke>(args(json!({"a": "one", "b": "two"})));
    desk.call::<PromptPreFetch>(json!({"prompt_id": "p", "args": {"x": "two", "y": "three"}}));
    desk.call::<ToolPreInvoke>(args(json!({"a": "three", "b": "one"})));
    let asked: Vec<Value> = desk.asked().into_iter().map(|mut asked| asked["input"].take()).collect();
    assert_eq!(asked, [json!(["one", "two"]), json!(["three"])]);
}

#[test]
fn long_texts_are_judged_in_pieces_and_many_in_batches() {
    let desk = desk(json!({"max_text_length": 10}));
    let outcome = desk.call::<ToolPreInvoke>(args(json!({"a": format!("{}hate", " ab".repeat(60))})));
    assert_eq!(outcome.code(), "CONTENT_MODERATION", "what stands behind the limit is seen");
    let many: Vec<String> = (0..100).map(|n| format!("text {n}")).collect();
    let before = desk.requests().len();
    assert!(desk.call::<ToolPreInvoke>(args(json!({"many": many}))).passed());
    assert_eq!(desk.requests().len() - before, 4);
}

#[test]
fn answers_that_are_none_are_errors() {
    for garbage in [
        json!({}),
        json!({"results": []}),
        json!({"results": [{}]}),
        json!({"results": [{"flagged": "no"}]}),
        json!({"results": [{"flagged": false}, {"flagged": false}]}),
        json!({"error": {"message": "quota"}}),
    ] {
        let desk = Desk::new(&kind(), json!({}), move |_| garbage.clone());
        let error = desk.try_call::<ToolPreInvoke>(args(json!({"a": "x"}))).unwrap_err();
        assert_eq!(error.kind(), "invalid_answer");
    }
    let flagged = |_| json!({"results": [{"flagged": true}]});
    let desk = Desk::new(&kind(), json!({}), flagged);
    assert_eq!(desk.call::<ToolPreInvoke>(args(json!({"a": "x"}))).code(), "CONTENT_MODERATION");
}

#[test]
fn a_failure_blocks_unless_it_may_pass() {
    let desk = Desk::raw(&kind(), json!({}), |_| answer(429, "{}")).unwrap();
    assert!(desk.try_call::<ToolPreInvoke>(args(json!({"a": "x"}))).is_err());
    let desk = Desk::raw(&kind(), json!({"on_failure": "pass"}), |_| answer(429, "{}")).unwrap();
    assert!(desk.call::<ToolPreInvoke>(args(json!({"a": "x"}))).passed());
}

/// As ContextForge's own configuration has it.
fn foreign(more: Value) -> Value {
    let mut config = json!({
        "provider": "openai",
        "fallback_on_error": "warn",
        "openai": {"api_key": "sk-2", "api_url": "https://moderation.test/v1/moderations", "model": "m", "timeout": 10},
        "categories": {"hate": {"threshold": 0.7, "action": "block"}, "toxic": {"threshold": 0.6, "action": "warn"}},
        "audit_decisions": true, "enable_caching": true, "cache_ttl": 3600, "max_text_length": 10000,
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

#[test]
fn configurations_of_contextforge_mean_what_they_mean_there() {
    let desk = desk(foreign(json!({})));
    assert!(desk.start().is_ok());
    assert_eq!(
        desk.call::<ToolPostInvoke>(json!({"name": "t", "result": "I hate it"})).code(),
        "CONTENT_MODERATION"
    );
    let sent = &desk.requests()[0];
    assert_eq!(sent.url, "https://moderation.test/v1/moderations");
    assert_eq!((sent.headers.get("authorization"), sent.timeout.as_secs()), (Some("Bearer sk-2"), 10));
    let outcome = desk.call::<ToolPreInvoke>(args(json!({"a": "intent"})));
    assert!(outcome.passed(), "categories that name no action are warned of there");
    assert_eq!(outcome.metadata("content_moderation")["categories"]["self-harm/intent"], 0.8);
    desk.respond(|_| answer(500, ""));
    assert!(desk.call::<ToolPreInvoke>(args(json!({"a": "new"}))).passed(), "fallback_on_error: warn");
}

#[test]
fn providers_that_are_not_here_make_it_unavailable() {
    let one = desk(foreign(json!({"provider": "ibm_watson"})));
    assert!(one.start().unwrap_err().to_string().contains("ibm_watson"));
    let two = desk(foreign(json!({"provider": "ibm_watson", "fallback_provider": "openai"})));
    assert!(two.start().is_ok());
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    for (config, field) in [
        (json!({"url": "x"}), "url"),
        (json!({"categories": {"hate": {"threshold": 1.5}}}), "categories.hate.threshold"),
        (json!({"max_text_length": 0}), "max_text_length"),
    ] {
        assert_eq!((kind().build)(&config).err().unwrap().field, field, "{config}");
    }
}
