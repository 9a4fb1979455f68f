use mortise_plugin_api::hooks::{PromptPreFetch, ToolPostInvoke, ToolPreInvoke};
use serde_json::{Value, json};

use super::{kind, words::Words};
use crate::testing::{Bench, Outcome, growth};

fn prompt(words: Value, args: Value) -> Outcome {
    Bench::new(&kind(), json!({ "words": words }))
        .call::<PromptPreFetch>(json!({"prompt_id": "p", "args": args}))
}

#[test]
fn a_denied_word_blocks_with_code_reason_and_places() {
    let outcome =
        prompt(json!(["innovative", "groundbreaking"]), json!({"user": {"note": "An INNOVATIVE idea"}}));
    let violation = outcome.violation.unwrap();
    assert_eq!((violation.code.as_str(), violation.reason.as_str()), ("deny", "Prompt not allowed"));
    assert_eq!(violation.details["violations"], json!(["args.user.note: contains 'innovative'"]));
}

#[test]
fn words_are_substrings_in_any_case_and_any_script() {
    assert_eq!(prompt(json!(["bad"]), json!({"x": "forbade"})).code(), "deny");
    assert_eq!(prompt(json!(["ÉTÉ"]), json!({"x": "un été"})).code(), "deny");
    assert_eq!(
        prompt(json!(["k"]), json!({"x": "\u{212a}"})).code(),
        "deny",
        "the Kelvin sign is a capital k"
    );
    assert!(prompt(json!(["bad"]), json!({"bad": "good", "n": 5})).passed(), "keys are not text");
    assert!(prompt(json!([]), json!({"x": "anything"})).passed());
}

#[test]
fn every_word_is_listed_once_per_text() {
    let outcome = prompt(json!(["ab", "bc", "abc"]), json!({"x": "abc abc", "y": ["bc"]}));
    let listed = outcome.violation.unwrap().details["violations"].clone();
    assert_eq!(
        listed,
        json!([
            "args.x: contains 'ab'",
            "args.x: contains 'bc'",
            "args.x: contains 'abc'",
            "args.y[0]: contains 'bc'"
        ])
    );
}

#[test]
fn it_guards_any_hook_that_carries_text() {
    let mut bench = Bench::new(&kind(), json!({"words": ["secret"]}));
    assert_eq!(bench.call::<ToolPreInvoke>(json!({"name": "t", "args": {"x": "secret"}})).code(), "deny");
    let outcome = bench.call::<ToolPostInvoke>(
        json!({"name": "t", "result": {"content": [{"type": "text", "text": "Secret"}]}}),
    );
    assert_eq!(outcome.violation.unwrap().reason, "Content not allowed");
}

#[test]
fn an_empty_word_is_refused() {
    let Err(error) = Bench::try_new(&kind(), json!({"words": ["a", ""]})) else { panic!("accepted") };
    assert_eq!(error.field, "words[1]");
}

#[test]
fn hostile_texts_and_nesting_are_withstood() {
    let words = Words::new(&["b".to_owned(), "a".repeat(30) + "b"]).unwrap();
    let ratio = growth(|n| "a".repeat(n), |text| drop(words.find(text)), 1 << 16);
    assert!(ratio < 24.0, "{ratio}");
    let text = format!("{}BAD", "é".repeat(5_000_000));
    assert_eq!(prompt(json!(["bad"]), json!({"x": text})).code(), "deny");
    let deep = (0..100).fold(json!("bad"), |inner, _| json!([inner]));
    assert_eq!(prompt(json!(["bad"]), json!({"x": deep})).code(), "deny");
}

#[test]
fn a_violation_lists_a_bounded_number_of_places() {
    let args: Vec<&str> = vec!["bad"; 10_000];
    let outcome = prompt(json!(["bad"]), json!({"x": args}));
    assert_eq!(outcome.violation.unwrap().details["violations"].as_array().unwrap().len(), 32);
}
