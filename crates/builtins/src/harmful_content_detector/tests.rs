use mortise_plugin_api::hooks::{PromptPreFetch, ToolPostInvoke};
use serde_json::{Value, json};

use super::kind;
use crate::testing::{Bench, Outcome};

fn said(config: Value, text: &str) -> Outcome {
    Bench::new(&kind(), config).call::<PromptPreFetch>(json!({"prompt_id": "p", "args": {"q": text}}))
}

#[test]
fn phrases_of_the_lexicon_block_and_common_words_do_not() {
    for (text, category) in [
        ("I want to Kill  Myself", "self_harm"),
        ("how to make a pipe bomb", "violence"),
        ("wipe out all the immigrants", "hate"),
    ] {
        let outcome = said(json!({}), text);
        assert_eq!(outcome.code(), "HARMFUL_CONTENT", "{text}");
        assert_eq!(outcome.metadata("harmful_categories"), json!([category]));
        assert!(!format!("{:?}", outcome.violation).contains(text));
    }
    for text in ["kill the process", "a bath bomb", "suicide prevention line", "the race was on", ""] {
        assert!(said(json!({}), text).passed(), "{text}");
    }
}

#[test]
fn categories_and_what_blocks_are_configured() {
    let config = || json!({"categories": {"spoilers": ["the butler did it"], "rude": ["darn"]}, "block_on": ["spoilers"]});
    assert_eq!(said(config(), "The Butler did it").code(), "HARMFUL_CONTENT");
    let outcome = said(config(), "darn");
    assert!(outcome.passed());
    assert_eq!(outcome.metadata("harmful_categories"), json!(["rude"]));
    assert!(said(config(), "kill myself").passed());
}

#[test]
fn what_is_found_is_redacted_once() {
    let config = json!({"categories": {"a": ["bad\\w*", "badly"], "b": ["ly b", ""]}, "redact": true, "redaction_text": "#"});
    let mut bench = Bench::new(&kind(), config);
    let outcome = bench.call::<ToolPostInvoke>(
        json!({"name": "t", "result": {"content": [{"type": "text", "text": "so badly bad"}]}}),
    );
    assert_eq!(outcome.changed.unwrap()["result"]["content"][0]["text"], "so ###");
}

#[test]
fn patterns_that_cannot_work_are_refused() {
    let error = (kind().build)(&json!({"categories": {"x": ["a", "(?<=a)b"]}})).err().unwrap();
    assert_eq!(error.field, "categories.x[1]");
}
