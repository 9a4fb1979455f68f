use mortise_plugin_api::hooks::{ToolPostInvoke, ToolPreInvoke};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{
    category::Categories,
    config::{Config, Settings},
    json_text, kind,
    scanner::{CustomPattern, Scanner},
};
use crate::testing::{Bench, growth};

/// Eight times the text may take a little more than eight times as long, never 64 times.
const LINEAR: f64 = 24.0;

#[test]
fn time_is_linear_in_texts_made_to_hurt() {
    let scanner = Scanner::new(Categories::ALL, &[], &[]).unwrap();
    for unit in [
        "@", "1", "a", "a@", "@a", "a.", "1.", "1-", "1 ", "+1", "+1-", ":", "::", "1:", "f:", "f", "(1",
        "a@a.a@", "GB82 ", "AKIA", "sk-", "api_key=", "ssn ", "ssn 1", "number ", "/1", "4111 ", "123-45-",
        "born 1 ", "\\n", "é", "-", "A1", "DL D1-",
    ] {
        let make = |n: usize| unit.repeat(n / unit.len());
        let ratio = growth(make, |text| drop(scanner.find(text, "")), 1 << 15);
        assert!(ratio < LINEAR, "{unit:?} repeated: {ratio:.1} times for eight times the text");
    }
}

#[test]
fn time_is_linear_in_json_texts_made_to_hurt() {
    let settings = Settings::new(&Config::default()).unwrap();
    for unit in [r#"["\u0040","#, r#""\/","#, r#"\""#, "[", r#""a\u0040b.co","#, "4111111111111111,"] {
        let make = |n: usize| format!("[{}", unit.repeat(n / unit.len()));
        let ratio = growth(make, |text| drop(json_text::mask(&settings, text, "", 32)), 1 << 14);
        assert!(ratio < LINEAR, "{unit:?} repeated: {ratio:.1} times for eight times the text");
    }
}

#[test]
fn ten_megabytes_are_scanned() {
    let mut text = "a".repeat(10_000_000);
    text.push_str(" 123-45-6789");
    let outcome =
        Bench::new(&kind(), json!({})).call::<ToolPreInvoke>(json!({"name": "t", "args": {"x": text}}));
    assert!(outcome.changed.unwrap()["args"]["x"].as_str().unwrap().ends_with(" [REDACTED]"));
}

#[test]
fn patterns_that_would_backtrack_elsewhere_do_not_here() {
    let custom = |pattern: &str| CustomPattern {
        owner: "custom_patterns[0].pattern".into(),
        index: 0,
        category: super::super::category::Category::Custom,
        pattern: pattern.into(),
    };
    for pattern in ["(a+)+$", "(a|aa)+b", "(.*)*x"] {
        let scanner = Scanner::new(Categories::NONE, &[custom(pattern)], &[]).unwrap();
        let ratio = growth(|n| "a".repeat(n) + "!", |text| drop(scanner.find(text, "")), 1 << 10);
        // The search for all matches of such a pattern may restart at every place, so n squared is its bound.
        assert!(ratio < 120.0, "{pattern}: {ratio:.1}");
    }
}

#[test]
fn deep_nesting_is_searched_to_the_bottom() {
    let deep = (0..100).fold(json!("a@example.com"), |inner, _| json!([inner]));
    let outcome =
        Bench::new(&kind(), json!({})).call::<ToolPreInvoke>(json!({"name": "t", "args": {"x": deep}}));
    assert!(outcome.changed.unwrap().to_string().contains("[REDACTED]"));
}

#[test]
fn json_within_json_is_followed_to_its_limit_and_no_further() {
    let mut text = r#"{"m": "a\u0040example.com"}"#.to_owned();
    for _ in 0..3 {
        text = json!({ "in": text }).to_string();
    }
    let run = |depth| {
        let outcome = Bench::new(&kind(), json!({ "max_nested_depth": depth }))
            .call::<ToolPostInvoke>(json!({"name": "t", "result": text}));
        outcome.changed.is_some()
    };
    assert!(run(32));
    assert!(!run(0));
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let odd = "\u{0}\u{7f}\u{fffd}\u{202e}@\u{10ffff}.\u{d7}1-1\\";
    let outcome =
        Bench::new(&kind(), json!({})).call::<ToolPreInvoke>(json!({"name": "t", "args": {"x": odd}}));
    assert!(outcome.passed());
}

proptest! {
    #[test]
    fn any_text_is_masked_without_panic_and_masking_again_finds_no_more_of_it(text in "\\PC{0,200}") {
        let settings = Settings::new(&Config::default()).unwrap();
        let masked = json_text::mask(&settings, &text, "key", 4);
        prop_assert_eq!(masked.found.is_empty(), masked.replacements.is_empty());
        json_text::apply(&text, &masked.replacements);
    }

    #[test]
    fn texts_of_the_bytes_matchers_look_for_are_scanned_without_panic(
        text in "[0-9a-fA-F@:.+() \\-/_\"\\\\ntéSNBGDLk{}\\[\\],]{0,300}",
    ) {
        let settings = Settings::new(&Config::default()).unwrap();
        let masked = json_text::mask(&settings, &text, "ssn", 4);
        let out = json_text::apply(&text, &masked.replacements);
        if serde_json::from_str::<Value>(&text).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&out).is_ok(), "{} became {}", text, out);
        }
    }
}
