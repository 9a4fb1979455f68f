use mortise_plugin_api::hooks::{AgentPreInvoke, ResourcePreFetch, ToolPreInvoke};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::kind;
use crate::testing::{Bench, Outcome};

fn read(config: Value, payload: Value) -> Outcome {
    Bench::new(&kind(), config).call::<ResourcePreFetch>(payload)
}

fn injected(config: Value, uri: &str) -> bool {
    read(config, json!({"uri": uri, "metadata": {}})).changed.is_some()
}

#[test]
fn headers_are_merged_into_those_of_the_metadata() {
    let config = json!({"headers": {"User-Agent": "Mortise/1", "X-Team": "a b"}});
    let metadata = json!({"own": 1, "headers": {"user-agent": "old", "Accept": "*/*"}});
    let changed = read(config, json!({"uri": "https://x.example/", "metadata": metadata})).changed.unwrap();
    let expected =
        json!({"own": 1, "headers": {"Accept": "*/*", "User-Agent": "Mortise/1", "X-Team": "a b"}});
    assert_eq!(changed, json!({"uri": "https://x.example/", "metadata": expected}));
}

#[test]
fn nothing_changes_without_headers_or_at_other_uris() {
    assert!(!injected(json!({}), "https://a.example/"));
    let config =
        || json!({"headers": {"A": "1"}, "uri_prefixes": ["https://api.example/v1", "file:///data/re"]});
    assert!(!injected(config(), "https://other.example/v1"));
    assert!(!injected(config(), "HTTPS://api.example/v1"));
    assert!(injected(config(), "https://api.example/v1/a"));
    assert!(injected(config(), "file:///data/report"));
    assert!(!injected(json!({"headers": {"A": "1"}, "uri_prefixes": []}), "https://api.example/"));
    assert!(injected(json!({"headers": {"A": "1"}, "uri_prefixes": null}), "https://api.example/"));
}

#[test]
fn prefix_that_ends_in_a_host_means_the_whole_host() {
    let config = || json!({"headers": {"A": "1"}, "uri_prefixes": ["https://api.example"]});
    for uri in [
        "https://api.example",
        "https://api.example/x",
        "https://api.example:8443/x",
        "https://api.example?q",
    ] {
        assert!(injected(config(), uri), "{uri}");
    }
    for uri in [
        "https://api.example.evil.test/",
        "https://api.example@evil.test/",
        "https://api.example:x@evil.test/",
        "https://api.example:1@evil.test/",
    ] {
        assert!(!injected(config(), uri), "{uri}");
    }
    assert!(injected(json!({"headers": {"A": "1"}, "uri_prefixes": ["https://"]}), "https://any.example/"));
}

#[test]
fn tools_and_agents_get_them_where_the_entry_lists_their_hooks() {
    let mut bench = Bench::new(&kind(), json!({"headers": {"X-Team": "a"}}));
    let tool = json!({"name": "t", "args": {"n": 1}, "headers": {"x-team": "b", "x-own": "1"}});
    let changed = bench.call::<ToolPreInvoke>(tool).changed.unwrap();
    assert_eq!(changed, json!({"name": "t", "args": {"n": 1}, "headers": {"x-team": "a", "x-own": "1"}}));
    let changed = bench.call::<AgentPreInvoke>(json!({"agent_id": "a", "messages": []})).changed.unwrap();
    assert_eq!(changed["headers"], json!({"x-team": "a"}));
    let mut none = Bench::new(&kind(), json!({}));
    assert!(none.call::<ToolPreInvoke>(json!({"name": "t", "args": {}})).passed());
    assert_eq!(kind().hooks.len(), 1, "reads alone unless asked");
}

#[test]
fn what_cannot_be_a_header_or_may_not_is_refused_without_its_value() {
    for (name, value) in [
        ("", "secret"),
        ("bad name", "secret"),
        ("a:b", "secret"),
        ("é", "secret"),
        ("X-A", "secret\r\nX-B: 1"),
        ("X-A", "secret\0"),
        ("Content-Length", "secret"),
        ("transfer-encoding", "secret"),
        ("HOST", "secret"),
    ] {
        let Err(error) = (kind().build)(&json!({"headers": {name: value}})) else {
            panic!("{name}: accepted")
        };
        assert!(error.field.starts_with("headers.") && !error.message.contains("secret"), "{error}");
    }
    assert!((kind().build)(&json!({"headers": {"X-A": "1", "x-a": "2"}})).is_err());
    assert!((kind().build)(&json!({"headers": {"X-A": 1}})).is_err());
    assert!((kind().build)(&json!({"header": {}})).is_err());
}

#[test]
fn odd_metadata_is_replaced() {
    for metadata in [json!(null), json!([1]), json!("x"), json!({"headers": [1]}), json!({"headers": null})] {
        let payload = json!({"uri": "a:b", "metadata": metadata});
        let changed = read(json!({"headers": {"A": "1"}}), payload).changed.unwrap();
        assert_eq!(changed["metadata"], json!({"headers": {"A": "1"}}));
    }
}

proptest! {
    #[test]
    fn any_uri_is_answered_without_panic(uri in "\\PC{0,60}", prefix in "\\PC{0,20}") {
        injected(json!({"headers": {"A": "1"}, "uri_prefixes": [prefix, "https://a"]}), &uri);
    }
}
