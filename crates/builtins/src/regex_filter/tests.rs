use mortise_plugin_api::{
    Stream,
    hooks::{PromptPostFetch, PromptPreFetch, ToolPostInvoke, ToolPreInvoke},
};
use serde_json::{Value, json};

use super::kind;
use crate::testing::{Bench, growth};

fn replaced(words: Value, text: &str) -> String {
    let outcome = Bench::new(&kind(), json!({ "words": words }))
        .call::<PromptPreFetch>(json!({"prompt_id": "p", "args": {"x": text}}));
    outcome.changed.map_or_else(|| text.to_owned(), |p| p["args"]["x"].as_str().unwrap().to_owned())
}

#[test]
fn entries_apply_in_order_each_to_the_last_result() {
    let words = json!([{"search": "crap", "replace": "crud"}, {"search": "crud", "replace": "yikes"}]);
    assert_eq!(replaced(words, "crap and crud"), "yikes and yikes");
}

#[test]
fn groups_follow_pythons_notation_and_case_counts() {
    let words = json!([{"search": r"(?P<user>\w+)@(\w+)", "replace": r"\g<user> at \2 for $1"}]);
    assert_eq!(replaced(words, "me@home"), "me at home for $1");
    assert_eq!(replaced(json!([{"search": "Abc", "replace": "x"}]), "abc Abc"), "abc x");
    assert_eq!(replaced(json!([{"search": "x*", "replace": "-"}]), "abé"), "-a-b-é-");
}

#[test]
fn nested_arguments_and_results_are_replaced() {
    let config = json!({"words": [{"search": "secret", "replace": "***"}]});
    let mut bench = Bench::new(&kind(), config);
    let outcome =
        bench.call::<ToolPreInvoke>(json!({"name": "t", "args": {"a": [{"secret": "a secret"}], "n": 1}}));
    assert_eq!(outcome.changed.unwrap()["args"], json!({"a": [{"secret": "a ***"}], "n": 1}), "keys stay");
    let outcome = bench.call::<ToolPostInvoke>(
        json!({"name": "t", "result": {"content": [{"type": "text", "text": "secret"}]}}),
    );
    assert_eq!(outcome.changed.unwrap()["result"]["content"][0]["text"], "***");
    let result = json!({"messages": [{"role": "user", "content": {"type": "text", "text": "secret"}}]});
    let outcome = bench.call::<PromptPostFetch>(json!({"prompt_id": "p", "result": result}));
    assert_eq!(outcome.changed.unwrap()["result"]["messages"][0]["content"]["text"], "***");
    assert!(bench.call::<ToolPreInvoke>(json!({"name": "t", "args": {"a": "open"}})).passed());
}

#[test]
fn an_entry_that_does_not_compile_is_refused_by_name() {
    for (words, field) in [
        (json!([{"search": "a", "replace": ""}, {"search": "(", "replace": ""}]), "words[1]"),
        (json!([{"search": "a", "replace": "\\1"}]), "words[0]"),
    ] {
        let Err(error) = Bench::try_new(&kind(), json!({ "words": words })) else { panic!("accepted") };
        assert_eq!(error.field, field);
    }
}

#[test]
fn one_bounded_pattern_streams_in_windows_and_others_wait_for_the_end() {
    let stream = |words: Value| Bench::new(&kind(), json!({ "words": words })).stream::<ToolPostInvoke>();
    assert_eq!(stream(json!([{"search": "a{1,5}", "replace": ""}])), Stream::Window { longest_match: 5 });
    assert_eq!(stream(json!([{"search": "a+", "replace": ""}])), Stream::Complete);
    let two = json!([{"search": "a", "replace": "b"}, {"search": "b", "replace": "c"}]);
    assert_eq!(stream(two), Stream::Complete);
}

#[test]
fn a_text_that_grows_without_bound_is_an_error() {
    let words: Vec<Value> = (0..40).map(|_| json!({"search": "a", "replace": "aa"})).collect();
    let mut bench = Bench::new(&kind(), json!({ "words": words, "max_output_bytes": 100_000 }));
    let error = bench.try_call::<ToolPreInvoke>(json!({"name": "t", "args": {"x": "aaaa"}})).unwrap_err();
    assert!(error.to_string().contains("100000"), "{error}");
}

#[test]
fn hostile_patterns_texts_and_nesting_are_withstood() {
    let words = json!([{"search": "(x+x+)+y", "replace": "-"}]);
    let ratio = growth(|n| "x".repeat(n), |text| drop(replaced(words.clone(), text)), 1 << 12);
    assert!(ratio < 24.0, "{ratio}");
    let text = format!("{}secret", "a".repeat(10_000_000));
    assert!(replaced(json!([{"search": "secret", "replace": "-"}]), &text).ends_with("a-"));
    let deep = (0..100).fold(json!("secret"), |inner, _| json!([inner]));
    let outcome = Bench::new(&kind(), json!({"words": [{"search": "secret", "replace": "-"}]}))
        .call::<ToolPreInvoke>(json!({"name": "t", "args": {"x": deep}}));
    assert!(outcome.changed.is_some());
}
