use mortise_plugin_api::hooks::ToolPostInvoke;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{kind, repair::repair};
use crate::testing::{Bench, Outcome, computed};

fn result(result: Value) -> Outcome {
    Bench::new(&kind(), json!({})).call::<ToolPostInvoke>(json!({"name": "t", "result": result}))
}

#[test]
fn notation_is_repaired() {
    for (broken, repaired) in [
        ("{'a': 'b'}", r#"{"a": "b"}"#),
        (r#"{"a": [1, 2,], }"#, r#"{"a": [1, 2] }"#),
        (r#""a": 1, "b": {"c": 2}"#, r#"{"a": 1, "b": {"c": 2}}"#),
        ("'a': 1,", r#"{"a": 1}"#),
        ("{'a': True, 'b': None, 'c': False}", r#"{"a": true, "b": null, "c": false}"#),
        ("{a: 1, b_2: -1.5e+3}", r#"{"a": 1, "b_2": -1.5e+3}"#),
        (r#"{'say': 'a "word"', 'it': 'it\'s'}"#, r#"{"say": "a \"word\"", "it": "it's"}"#),
        ("  {\"a\": \"two\nlines\"}\n", r#"{"a": "two\nlines"}"#),
        ("{'a': 123456789012345678901234567890}", r#"{"a": 123456789012345678901234567890}"#),
        ("{'a,}': '[1,]'}", r#"{"a,}": "[1,]"}"#),
    ] {
        assert_eq!(repair(broken).as_deref(), Some(repaired));
    }
}

#[test]
fn json_prose_and_what_is_cut_off_are_left_alone() {
    for text in [
        "",
        " ",
        "5",
        "\"a\"",
        "null",
        "{}",
        "[1, 2]",
        r#"{"a": "b"}"#,
        "Total: 5",
        "a: 1",
        "see [1] and {2}",
        "[draft] text",
        "[1] a footnote",
        "{name} is missing",
        "'quoted' prose",
        "\"a\": prose",
        "{'a': 'b'",
        r#"{"a": [1, 2"#,
        r#"{"a": "cut"#,
        "{'it': 'it's'}",
        "{1 2}",
        "{'a' 1}",
        "[1,,]",
        "{'a': 0x1f}",
        "{'a': NaN}",
        "{'a': \u{1}}",
        "{/* comment */}",
        "['\\x41']",
    ] {
        assert_eq!(repair(text), None, "{text}");
    }
}

#[test]
fn texts_of_a_result_are_repaired_and_nothing_else() {
    let outcome = result(json!({
        "content": [{"type": "text", "text": "{'a': 1}"}, {"type": "text", "text": "it's fine"}],
        "structuredContent": {"text": "{'a': 1}", "rows": [{"text": "[1,]"}]},
        "isError": false,
    }));
    assert_eq!((outcome.metadata("repaired"), outcome.metadata("repaired_texts")), (json!(true), json!(1)));
    let changed = outcome.changed.unwrap()["result"].clone();
    assert_eq!(changed["content"][0]["text"], "{\"a\": 1}");
    assert_eq!(changed["content"][1]["text"], "it's fine");
    assert_eq!(changed["structuredContent"], json!({"text": "{'a': 1}", "rows": [{"text": "[1,]"}]}));
    assert_eq!(result(json!("['a']")).changed.unwrap()["result"], "[\"a\"]");
    assert!(result(json!({"content": [{"type": "text", "text": "{\"a\": 1}"}]})).passed());
}

#[test]
fn texts_over_the_limit_are_left_alone() {
    let call = |config: Value| {
        Bench::new(&kind(), config).call::<ToolPostInvoke>(json!({"name": "t", "result": "{'a': 1}"}))
    };
    assert!(call(json!({"max_text_bytes": 7})).passed());
    assert!(call(json!({"max_text_bytes": 8})).changed.is_some());
    let large = format!("{{'a': '{}'}}", "x".repeat(10_000_000));
    assert!(result(json!(large)).passed());
}

#[test]
fn hostile_texts_are_withstood() {
    for unit in ["[", "{'", "'", "\"", ",", ", ", "a ", "\\", "{a:", "'\\'", "a   :", "é", "]"] {
        for start in ["{", "'"] {
            // Work that grew faster than the text would take minutes.
            let text = start.to_owned() + &unit.repeat((2 << 20) / unit.len());
            let begun = computed();
            drop(repair(&text));
            assert!((computed() - begun).as_secs() < 30, "{start}{unit:?}: {:?}", (computed() - begun));
        }
    }
    let deep = format!("{}1,{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert!(repair(&deep).is_some_and(|repaired| repaired.len() == deep.len() - 1));
    let many = vec![json!({"type": "text", "text": "[1,]"}); 100_000];
    let outcome = result(json!({"content": many, "structuredContent": {}}));
    assert!(outcome.changed.is_some(), "beyond the budget texts stay as they are");
}

proptest! {
    #[test]
    fn what_is_repaired_is_json_and_stays_as_it_is(text in "[\\[{'\"a:,1 \\\\}\\]nT\n]{0,24}") {
        if let Some(repaired) = repair(&text) {
            prop_assert!(serde_json::from_str::<Value>(&repaired).is_ok_and(|v| v.is_object() || v.is_array()));
            prop_assert_eq!(repair(&repaired), None);
        }
    }

    #[test]
    fn python_notation_of_strings_comes_back(words in proptest::collection::vec("[a-z \"é,:{}]{0,8}", 0..5)) {
        let written = format!("[{}]", words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(", "));
        let read = repair(&written).unwrap_or(written);
        prop_assert_eq!(serde_json::from_str::<Vec<String>>(&read).unwrap(), words);
    }
}
