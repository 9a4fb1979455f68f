use mortise_plugin_api::hooks::{ResourcePostFetch, ResourcePreFetch};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::kind;
use crate::testing::{Bench, Outcome};

fn read(config: Value, uri: &str) -> Outcome {
    Bench::new(&kind(), config).call::<ResourcePreFetch>(json!({"uri": uri, "metadata": {"own": 1}}))
}

fn fetched(config: Value, content: Value) -> Outcome {
    Bench::new(&kind(), config).call::<ResourcePostFetch>(json!({"uri": "file:///x", "content": content}))
}

#[test]
fn an_allowed_uri_is_marked_as_validated() {
    let outcome = read(json!({"max_content_size": 5}), "https://example.com/a");
    let metadata = outcome.changed.unwrap()["metadata"].clone();
    let expected = json!({"own": 1, "validated": true, "protocol": "https", "request_id": "r1", "user": null, "allowed_size": 5});
    assert_eq!(metadata, expected);
}

#[test]
fn protocols_are_an_allow_list() {
    let outcome = read(json!({}), "ftp://example.com/a");
    assert_eq!(outcome.code(), "PROTOCOL_BLOCKED");
    let details = outcome.violation.unwrap().details;
    assert_eq!((&details["protocol"], &details["uri"]), (&json!("ftp"), &json!("ftp://example.com/a")));
    assert!(read(json!({"allowed_protocols": ["TEST"]}), "test://x").violation.is_none());
    assert_eq!(read(json!({"allowed_protocols": []}), "file:///etc/passwd").code(), "PROTOCOL_BLOCKED");
}

#[test]
fn what_is_no_uri_is_refused() {
    for bad in ["", "no scheme", "/etc/passwd", "http://", "http://[::1"] {
        assert_eq!(read(json!({}), bad).code(), "INVALID_URI", "{bad}");
    }
}

#[test]
fn blocked_domains_are_blocked_in_every_spelling() {
    let config = || json!({"blocked_domains": ["Evil.example", "*.bad.test"], "allowed_protocols": ["http", "https", "custom"]});
    for uri in [
        "http://evil.example/x",
        "https://EVIL.example.:8443/",
        "http://sub.evil.example",
        "http://good.test@evil.example/",
        "http://ev%69l.example/",
        "custom://EVIL.example/x",
        "custom://ev%69l.example/x",
        "http://a.bad.test",
        "http://ｅvil.example/",
    ] {
        assert_eq!(read(config(), uri).code(), "DOMAIN_BLOCKED", "{uri}");
    }
    for uri in ["http://notevil.example/", "http://evil.example.org/", "http://good.test/?u=evil.example"] {
        assert!(read(config(), uri).violation.is_none(), "{uri}");
    }
}

#[test]
fn content_over_the_limit_is_blocked_by_what_it_holds() {
    let outcome =
        fetched(json!({"max_content_size": 10}), json!({"type": "resource", "text": "é".repeat(6)}));
    assert_eq!(outcome.code(), "CONTENT_TOO_LARGE");
    let details = outcome.violation.unwrap().details;
    assert_eq!((&details["size"], &details["limit"]), (&json!(12), &json!(10)));
    assert!(fetched(json!({"max_content_size": 10}), json!({"text": "0123456789"})).passed());
    assert!(
        fetched(json!({"max_content_size": 10}), json!({"text": "\n".repeat(10)})).passed(),
        "escapes do not count"
    );
    let blob = json!({"contents": [{"text": "a"}, {"blob": "A".repeat(40)}]});
    assert_eq!(fetched(json!({"max_content_size": 10}), blob).code(), "CONTENT_TOO_LARGE");
}

#[test]
fn content_filters_redact_in_any_case() {
    let config = json!({"content_filters": [
        {"pattern": r"password\s*[:=]\s*\S+", "replacement": "password: [REDACTED]"}, {"pattern": "k-\\d+"}]});
    let outcome = fetched(config.clone(), json!({"text": "PASSWORD=abc and K-12", "uri": "k-1"}));
    assert_eq!(outcome.metadata("content_filtered"), true);
    assert_eq!(
        outcome.changed.unwrap()["content"],
        json!({"text": "password: [REDACTED] and ***", "uri": "k-1"})
    );
    assert!(fetched(config, json!({"text": "clean"})).passed());
}

#[test]
fn an_invalid_filter_is_refused_by_name() {
    let Err(error) = Bench::try_new(&kind(), json!({"content_filters": [{"pattern": "("}]})) else {
        panic!("accepted")
    };
    assert_eq!(error.field, "content_filters[0]");
}

#[test]
fn hostile_sizes_and_nesting_are_withstood() {
    let big = json!({"text": "a".repeat(10_000_000)});
    assert_eq!(fetched(json!({}), big).code(), "CONTENT_TOO_LARGE");
    let config = json!({"content_filters": [{"pattern": "(a+)+$"}]});
    assert!(fetched(config, json!({"text": "a".repeat(100_000)})).changed.is_some());
    let deep = (0..100).fold(json!({"text": "x"}), |inner, _| json!([inner]));
    assert!(fetched(json!({}), deep).violation.is_none());
    read(json!({"blocked_domains": ["b.example"]}), &format!("http://{}", "a.".repeat(500_000)));
    assert_eq!(read(json!({}), &"[".repeat(1_000_000)).code(), "INVALID_URI");
}

proptest! {
    #[test]
    fn any_uri_is_answered_without_panic(uri in "\\PC{0,80}") {
        read(json!({"blocked_domains": ["x.y", uri.clone()]}), &uri);
    }
}
