use mortise_plugin_api::hooks::ResourcePreFetch;
use serde_json::{Value, json};

use super::kind;
use crate::testing::Bench;

/// The reason of the refusal, empty where there is none.
fn refused(config: &Value, uri: &str) -> String {
    let outcome = Bench::new(&kind(), config.clone()).call::<ResourcePreFetch>(json!({"uri": uri}));
    assert!(outcome.passed() || outcome.code() == "URL_REPUTATION_BLOCK");
    outcome.violation.map(|violation| violation.reason).unwrap_or_default()
}

#[test]
fn blocked_domains_are_blocked_in_any_spelling() {
    let config = json!({"blocked_domains": ["malicious.example.com"]});
    for uri in [
        "https://malicious.example.com/x",
        "https://MALICIOUS.example.com./",
        "https://a.malicious.example.com",
        "https://user@malicious.example.com/",
        "https://%6dalicious.example.com/",
        "https:\\\\malicious.example.com/",
    ] {
        assert_eq!(refused(&config, uri), "Blocked domain", "{uri}");
    }
    for uri in
        ["https://example.com/", "https://notmalicious.example.com/", "https://e.com/malicious.example.com"]
    {
        assert_eq!(refused(&config, uri), "", "{uri}");
    }
}

#[test]
fn patterns_are_found_as_written_and_as_read() {
    let config = json!({"blocked_patterns": ["casino", "\\.exe$"]});
    assert_eq!(refused(&config, "https://a.example/Casino/1"), "Blocked pattern");
    assert_eq!(refused(&config, "https://a.example/x.exe"), "Blocked pattern");
    assert_eq!(refused(&config, "https://a.example/cas\tino"), "Blocked pattern");
    assert_eq!(refused(&config, "https://a.example/x.exe.md"), "");
    assert_eq!(refused(&config, "no url, but a casino"), "Blocked pattern");
}

#[test]
fn plain_http_is_blocked_unless_it_may_pass() {
    assert_eq!(refused(&json!({}), "http://a.example/"), "Insecure URL");
    assert_eq!(refused(&json!({}), "HTTP://a.example/"), "Insecure URL");
    assert_eq!(refused(&json!({}), "file:///a"), "");
    assert_eq!(refused(&json!({"block_non_secure_http": false}), "http://a.example/"), "");
}

#[test]
fn what_is_trusted_is_asked_nothing_else() {
    let config = json!({"whitelist_domains": ["example.com"], "allowed_patterns": ["^https://ok\\."],
        "blocked_patterns": ["."]});
    assert_eq!(refused(&config, "http://docs.example.com/"), "");
    assert_eq!(refused(&config, "https://ok.test/"), "");
    assert_eq!(refused(&config, "https://example.com.evil.test/"), "Blocked pattern");
}

#[test]
fn domains_of_programs_and_bare_addresses_are_suspicious() {
    let config = json!({"use_heuristic_check": true});
    assert_eq!(refused(&config, "https://x7f3kq9zvb2m1p8d.test/"), "Suspicious domain");
    assert_eq!(refused(&config, "https://203.0.113.9/"), "Suspicious domain");
    assert_eq!(refused(&config, "https://documentation.example.com/"), "");
    assert_eq!(refused(&json!({}), "https://203.0.113.9/"), "");
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    for (config, field) in [
        (json!({"blocked_patterns": ["a", "("]}), "blocked_patterns[1]"),
        (json!({"allowed_patterns": ["(?=a)"]}), "allowed_patterns[0]"),
        (json!({"entropy_threshold": -1.0}), "entropy_threshold"),
    ] {
        assert_eq!((kind().build)(&config).err().unwrap().field, field, "{config}");
    }
}
