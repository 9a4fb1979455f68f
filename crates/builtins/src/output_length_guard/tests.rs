use mortise_plugin_api::hooks::{ResourcePostFetch, ToolPostInvoke};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::kind;
use crate::testing::{Bench, Outcome, growth};

fn guard(config: Value, result: Value) -> Outcome {
    Bench::new(&kind(), config).call::<ToolPostInvoke>(json!({"name": "t", "result": result}))
}

fn cut(config: Value, text: &str) -> String {
    guard(config, json!(text))
        .changed
        .map_or_else(|| text.to_owned(), |p| p["result"].as_str().unwrap().to_owned())
}

#[test]
fn long_texts_are_cut_with_the_ellipsis_inside_the_limit() {
    assert_eq!(cut(json!({"max_chars": 5}), "abcdefgh"), "abcd…");
    assert_eq!(cut(json!({"max_chars": 5, "ellipsis": "..."}), "abcdefgh"), "ab...");
    assert_eq!(cut(json!({"max_chars": 2, "ellipsis": "..."}), "abcdefgh"), "ab");
    assert_eq!(cut(json!({"max_chars": 5, "ellipsis": ""}), "abcdefgh"), "abcde");
    assert_eq!(cut(json!({"max_chars": 0}), "abc"), "");
    assert_eq!(cut(json!({"max_chars": 8}), "abcdefgh"), "abcdefgh");
    assert_eq!(cut(json!({}), &"a".repeat(10_000)), "a".repeat(10_000));
}

#[test]
fn length_is_counted_in_characters_and_what_reads_as_one_stays_whole() {
    assert_eq!(cut(json!({"max_chars": 4}), "äöüß"), "äöüß");
    assert_eq!(cut(json!({"max_chars": 3}), "äöüß"), "äö…");
    assert_eq!(cut(json!({"max_chars": 5, "ellipsis": ""}), "abce\u{301}\u{302}f"), "abc");
    assert_eq!(cut(json!({"max_chars": 4, "ellipsis": ""}), "ab👨\u{200d}👩\u{200d}👧cd"), "ab");
}

#[test]
fn words_stay_whole_where_a_space_is_near() {
    let config = || json!({"max_chars": 12, "word_boundary": true});
    assert_eq!(cut(config(), "the quick brown fox"), "the quick…");
    assert_eq!(cut(config(), "abcdefghijklmnopqrst"), "abcdefghijk…");
    assert_eq!(cut(config(), "hello brown fox"), "hello brown…");
}

#[test]
fn tokens_are_estimated_from_characters() {
    let config = || json!({"limit_mode": "token", "max_tokens": 2, "max_chars": 1, "ellipsis": ""});
    assert_eq!(cut(config(), "abcdefgh"), "abcdefgh");
    assert_eq!(cut(config(), "abcdefghi"), "abcdefgh");
    let block = json!({"limit_mode": "token", "max_tokens": 2, "chars_per_token": 3, "strategy": "block"});
    let details = guard(block, json!("abcdefghi")).violation.unwrap().details;
    assert_eq!(
        (&details["length"], &details["unit"], &details["max"]),
        (&json!(3), &json!("tokens"), &json!(2))
    );
}

#[test]
fn blocking_holds_for_too_long_and_too_short() {
    let config = || json!({"min_chars": 3, "max_chars": 5, "strategy": "block"});
    let outcome = guard(config(), json!({"content": [{"type": "text", "text": "abcdef"}]}));
    assert_eq!(outcome.code(), "OUTPUT_LENGTH_VIOLATION");
    let violation = outcome.violation.unwrap();
    assert_eq!(violation.reason, "Output length out of bounds");
    assert_eq!(violation.details["path"], "result.content[0].text");
    assert_eq!(guard(config(), json!("ab")).code(), "OUTPUT_LENGTH_VIOLATION");
    assert!(guard(config(), json!("abcd")).passed());
    assert!(
        guard(json!({"min_chars": 3}), json!("ab")).violation.is_none(),
        "a short text cannot be cut longer"
    );
}

#[test]
fn nested_texts_are_cut_each_by_itself() {
    let result = json!({
        "content": [{"type": "text", "text": "abcdef"}, {"type": "text", "text": "ok"}],
        "structuredContent": {"rows": [{"name": "abcdef", "n": 5}]},
    });
    let outcome = guard(json!({"max_chars": 3}), result);
    assert_eq!(outcome.metadata("truncated"), true);
    assert_eq!(outcome.metadata("truncated_texts"), 2);
    assert_eq!((outcome.metadata("original_length"), outcome.metadata("new_length")), (json!(6), json!(3)));
    let result = outcome.changed.unwrap()["result"].clone();
    assert_eq!(result["content"][0]["text"], "ab…");
    assert_eq!(result["content"][1]["text"], "ok");
    assert_eq!(result["structuredContent"]["rows"][0], json!({"name": "ab…", "n": 5}));
    let outcome = Bench::new(&kind(), json!({"max_chars": 3}))
        .call::<ResourcePostFetch>(json!({"uri": "a:b", "content": {"text": "abcdef"}}));
    assert_eq!(outcome.changed.unwrap()["content"]["text"], "ab…");
}

#[test]
fn impossible_limits_are_refused() {
    for (config, field) in [
        (json!({"min_chars": 5, "max_chars": 4}), "min_chars"),
        (json!({"min_tokens": 5, "max_tokens": 4}), "min_tokens"),
        (json!({"chars_per_token": 0}), "chars_per_token"),
    ] {
        let Err(error) = Bench::try_new(&kind(), config) else { panic!("{field} accepted") };
        assert_eq!(error.field, field);
    }
}

#[test]
fn the_hard_limit_holds_without_another() {
    assert_eq!(cut(json!({}), &"a".repeat(1_000_001)).chars().count(), 1_000_000);
    assert_eq!(
        guard(json!({"strategy": "block"}), json!("a".repeat(10_000_000))).code(),
        "OUTPUT_LENGTH_VIOLATION"
    );
}

#[test]
fn hostile_texts_and_nesting_are_withstood() {
    for unit in ["a", " ", "\u{301}", "👨\u{200d}", "\r\n", "🇩🇪"] {
        let make = |n: usize| "a".to_owned() + &unit.repeat(n / unit.len());
        let config = || json!({"max_chars": 100, "word_boundary": true});
        let ratio = growth(make, |text| drop(cut(config(), text)), 1 << 14);
        assert!(ratio < 24.0, "{unit:?}: {ratio}");
    }
    let deep = (0..100).fold(json!("abcdef"), |inner, _| json!([inner]));
    let outcome = guard(json!({"max_chars": 3}), json!({"structuredContent": {"x": deep}}));
    assert!(outcome.changed.unwrap().to_string().contains("ab…"));
}

proptest! {
    #[test]
    fn a_cut_text_is_within_its_limit_and_a_beginning_of_the_old(text in "\\PC{0,60}", max in 1usize..40, words: bool) {
        let out = cut(json!({"max_chars": max, "word_boundary": words}), &text);
        prop_assert!(out.chars().count() <= max);
        let kept = if out == text { out.as_str() } else { out.strip_suffix('…').unwrap_or(&out) };
        prop_assert!(text.starts_with(kept));
    }
}
