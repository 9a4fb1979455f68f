use mortise_plugin_api::hooks::{PromptPreFetch, ToolPreInvoke};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{config::Config, kind, normal::Normalizer};
use crate::testing::{Bench, growth};

fn normal(config: Value, text: &str) -> String {
    let config: Config = serde_json::from_value(config).unwrap();
    Normalizer::new(&config).unwrap().normalize("x", text).into_owned()
}

#[track_caller]
fn assert_stays(text: &str) {
    assert_eq!(normal(json!({}), text), text);
}

#[test]
fn unicode_takes_the_chosen_form() {
    assert_eq!(normal(json!({}), "e\u{301}"), "é");
    assert_eq!(normal(json!({"unicode_form": "NFD"}), "é"), "e\u{301}");
    assert_eq!(normal(json!({"unicode_form": "NFKC"}), "ｆｉ①"), "fi1");
    assert_eq!(normal(json!({"enable_unicode": false}), "e\u{301}\u{7}"), "e\u{301}\u{7}");
    assert_eq!(normal(json!({}), "a\u{0}b\u{85}c\td"), "abc d");
    assert_eq!(normal(json!({"remove_control_chars": false}), "a\u{1}"), "a\u{1}");
}

#[test]
fn white_space_is_tidied() {
    assert_eq!(normal(json!({}), "  a \t b\r\nc\rd\u{a0}\u{a0}e  "), "a b\nc\nd e");
    assert_eq!(normal(json!({"trim": false}), " a "), " a ");
    assert_eq!(normal(json!({"collapse_internal": false}), "a  b"), "a  b");
    assert_eq!(normal(json!({"normalize_newlines": false}), "a\r\nb"), "a\r\nb");
    assert_eq!(normal(json!({"collapse_blank_lines": true}), "a\n\n \n\nb\nc"), "a\n\nb\nc");
    assert_eq!(normal(json!({}), "a\n\n\nb"), "a\n\n\nb");
    assert_eq!(normal(json!({"enable_whitespace": false}), " a  b\r"), " a  b\r");
}

#[test]
fn letter_case_changes_only_when_enabled() {
    assert_eq!(normal(json!({"case_strategy": "upper"}), "aBc"), "aBc");
    let cased =
        |strategy: &str| normal(json!({"enable_casing": true, "case_strategy": strategy}), "don't SAY été");
    assert_eq!(cased("lower"), "don't say été");
    assert_eq!(cased("upper"), "DON'T SAY ÉTÉ");
    assert_eq!(cased("title"), "Don't Say Été");
    assert_eq!(cased("none"), "don't SAY été");
}

#[test]
fn dates_become_iso_dates() {
    assert_eq!(normal(json!({}), "on 3/4/2026."), "on 2026-03-04.");
    assert_eq!(normal(json!({"day_first": true}), "3/4/2026"), "2026-04-03");
    assert_eq!(normal(json!({}), "25/12/2026, 2026/1/2"), "2026-12-25, 2026-01-02");
    assert_eq!(normal(json!({}), "4.3.2026"), "2026-03-04");
    assert_eq!(normal(json!({}), "1/2/26"), "2026-01-02");
    assert_eq!(normal(json!({"year_first": true}), "26/3/4"), "2026-03-04");
    assert_eq!(normal(json!({"enable_dates": false}), "3/4/2026"), "3/4/2026");
    for other in
        ["1.2.26", "13/32/2026", "30/2/2026", "1/2/3/4", "a1/2/2026", "10.0.0.1", "1-2-3", "1/2", "12/2026/1"]
    {
        assert_stays(other);
    }
}

#[test]
fn numbers_lose_their_groups_and_keep_their_value() {
    for (text, plain) in [
        ("1,234,567.89", "1234567.89"),
        ("1.234.567,89", "1234567.89"),
        ("1,234", "1234"),
        ("1,5", "1.5"),
        ("3,14159", "3.14159"),
        ("0,125", "0.125"),
        ("costs $1,234.50, or (-2,5)%", "costs $1234.50, or (-2.5)%"),
        ("12,345.", "12345."),
    ] {
        assert_eq!(normal(json!({}), text), plain, "{text}");
    }
    let with = |detection: &str, text: &str| {
        normal(json!({ "decimal_detection": detection, "enable_dates": false }), text)
    };
    assert_eq!(with("comma", "1.234"), "1234");
    assert_eq!(with("comma", "1,234"), "1.234");
    assert_eq!(with("dot", "1,234"), "1234");
    assert_eq!(with("dot", "1.234"), "1.234");
    assert_eq!(normal(json!({"enable_numbers": false}), "1,234"), "1,234");
    for other in [
        "1,2,3",
        "10.0.0.1",
        "v1,234",
        "1,234x",
        "1.234.567",
        "12,34,567",
        "1,234-5",
        "A-1,234",
        "1..2",
        "x=a,1",
    ] {
        assert_stays(other);
    }
}

#[test]
fn overrides_hold_for_arguments_whose_name_matches() {
    let config = json!({"field_overrides": [
        {"pattern": "(?i)email", "enable_casing": true, "case_strategy": "lower"},
        {"pattern": "^code$", "enable_numbers": false, "enable_dates": false, "trim": false}]});
    let args =
        json!({"userEmail": "ME@X.ORG", "code": " 1,234 ", "n": " 1,234 ", "deep": {"email": ["A"]}, "k": 5});
    let outcome = Bench::new(&kind(), config).call::<ToolPreInvoke>(json!({"name": "t", "args": args}));
    let expected =
        json!({"userEmail": "me@x.org", "code": " 1,234 ", "n": "1234", "deep": {"email": ["a"]}, "k": 5});
    assert_eq!(outcome.changed.unwrap()["args"], expected);
}

#[test]
fn what_is_normal_passes_and_prompts_are_normalized_too() {
    let mut bench = Bench::new(&kind(), json!({}));
    assert!(
        bench
            .call::<ToolPreInvoke>(json!({"name": "t", "args": {"a": "all is well", "b": [1, true]}}))
            .passed()
    );
    let outcome = bench.call::<PromptPreFetch>(json!({"prompt_id": "p", "args": {"a": " x "}}));
    assert_eq!(outcome.changed.unwrap()["args"]["a"], "x");
}

#[test]
fn an_invalid_override_is_refused_by_name() {
    let config = json!({"field_overrides": [{"pattern": "ok"}, {"pattern": "["}]});
    let Err(error) = Bench::try_new(&kind(), config) else { panic!("accepted") };
    assert_eq!(error.field, "field_overrides[1].pattern");
}

#[test]
fn hostile_texts_and_nesting_are_withstood() {
    for unit in [
        " ",
        "\r",
        "\n",
        "1",
        "1/",
        "1,",
        "1.",
        "1-",
        "e\u{301}",
        "\u{0}",
        " \n",
        "1/1/2026 ",
        "1,234 ",
        "\u{300}",
    ] {
        let config = json!({"collapse_blank_lines": true, "enable_casing": true, "case_strategy": "title"});
        let normalizer = Normalizer::new(&serde_json::from_value(config).unwrap()).unwrap();
        let make = |n: usize| format!("a{}b", unit.repeat(n / unit.len()));
        let ratio = growth(make, |text| drop(normalizer.normalize("x", text)), 1 << 13);
        assert!(ratio < 24.0, "{unit:?} repeated: {ratio:.1} times for eight times the text");
    }
    assert_eq!(normal(json!({}), &" ".repeat(10_000_000)), "");
    let deep = (0..100).fold(json!(" x "), |inner, _| json!([inner]));
    let outcome =
        Bench::new(&kind(), json!({})).call::<ToolPreInvoke>(json!({"name": "t", "args": {"x": deep}}));
    assert!(outcome.changed.unwrap().to_string().contains("\"x\""));
}

proptest! {
    #[test]
    fn normalizing_twice_is_normalizing_once(text in "[ \\t\\r\\n0-9a-zA-Z/.,\\-éß\u{301}$%()]{0,60}") {
        let config = json!({"collapse_blank_lines": true});
        let once = normal(config.clone(), &text);
        prop_assert_eq!(normal(config, &once), once.clone());
    }

    #[test]
    fn any_text_is_normalized_without_panic(text in "\\PC{0,100}") {
        for form in ["NFC", "NFD", "NFKC", "NFKD"] {
            normal(json!({"unicode_form": form, "enable_casing": true, "case_strategy": "title"}), &text);
        }
    }
}
