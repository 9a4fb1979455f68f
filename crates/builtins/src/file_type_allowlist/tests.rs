use mortise_plugin_api::hooks::{ResourcePostFetch, ResourcePreFetch};
use serde_json::json;

use super::kind;
use crate::testing::Bench;

fn reads(config: serde_json::Value, uri: &str) -> bool {
    let outcome = Bench::new(&kind(), config).call::<ResourcePreFetch>(json!({"uri": uri}));
    assert!(outcome.passed() || outcome.code() == "FILETYPE_BLOCK");
    outcome.passed()
}

#[test]
fn extensions_are_compared_in_any_spelling() {
    let config = || json!({"allowed_extensions": [".md", "TXT"]});
    for uri in [
        "file:///a/b.md",
        "file:///a/b.TXT",
        "https://h/x.md?v=1.exe#y.sh",
        "https://docs.exe/readme",
        "memo://x",
    ] {
        assert!(reads(config(), uri), "{uri}");
    }
    for uri in [
        "file:///a/b.exe",
        "file:///b.md.exe",
        "https://h/a.sh?x=.md",
        "file:///b%2Eexe",
        "file:///b.exe.",
        "file:///.bashrc",
        "file:///a\\b.exe",
    ] {
        assert!(!reads(config(), uri), "{uri}");
    }
    assert!(reads(json!({}), "file:///a.exe"), "an empty list checks nothing");
}

#[test]
fn types_of_all_contents_must_be_allowed() {
    let allows = |content: serde_json::Value| {
        let mut bench = Bench::new(&kind(), json!({"allowed_mime_types": ["text/plain", "image/*"]}));
        bench.call::<ResourcePostFetch>(json!({"uri": "file:///a", "content": content})).passed()
    };
    assert!(allows(json!({"mime_type": "Text/Plain; charset=utf-8", "text": "x"})));
    assert!(allows(json!({"mimeType": "image/png"})));
    assert!(allows(json!({"text": "no type is named"})));
    assert!(!allows(json!({"mime_type": "application/zip"})));
    assert!(!allows(json!([{"mime_type": "text/plain"}, {"mime_type": "text/html"}])));
    assert!(!allows(json!({"contents": [{"mimeType": "image"}]})));
    for odd in [json!(null), json!("text"), json!([[]]), json!({"mime_type": 5})] {
        assert!(allows(odd));
    }
}
