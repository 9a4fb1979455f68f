use mortise_plugin_api::hooks::{HttpPreRequest, ToolPreInvoke};
use serde_json::{Value, json};

use super::kind;
use crate::testing::stage::Stage;

fn config() -> Value {
    json!({"upstreams": {"hub": ["system:github.com", "AUTH_HEADER:X-Hub-Token"], "mail": ["system:mail.example"]}})
}

/// The headers of a call to `upstream` by a client with these tokens.
fn headers(config: Value, tokens: &str, upstream: &str) -> Value {
    let stage = Stage::new(&kind(), config);
    let mut visit = stage.visit().at(upstream);
    let request =
        json!({"path": "/mcp", "method": "POST", "headers": {"x-vault-tokens": tokens, "x-trace": "1"}});
    let seen = visit.call::<HttpPreRequest>(request);
    if !tokens.is_empty() {
        let hidden = json!({"x-vault-tokens": "", "x-trace": "1"});
        assert_eq!(seen.changed.unwrap()["headers"], hidden, "nobody else sees it");
    }
    let call = visit.call::<ToolPreInvoke>(json!({"name": "t", "args": {}, "headers": {"x-own": "1"}}));
    assert!(!format!("{:?}", stage.log()).contains("s3cret"));
    call.changed.map(|call| call["headers"].clone()).unwrap_or_default()
}

#[test]
fn an_upstream_gets_the_token_of_its_system_and_no_other() {
    let tokens = r#"{"github.com": "s3cret-hub", "mail.example": "s3cret-mail"}"#;
    assert_eq!(headers(config(), tokens, "hub"), json!({"x-own": "1", "authorization": "Bearer s3cret-hub"}));
    assert_eq!(
        headers(config(), tokens, "mail"),
        json!({"x-own": "1", "authorization": "Bearer s3cret-mail"})
    );
    assert_eq!(headers(config(), tokens, "other"), Value::Null);
    assert_eq!(headers(json!({}), tokens, "hub"), Value::Null);
}

#[test]
fn personal_tokens_go_into_the_header_that_is_named() {
    let tokens = r#"{"github.com:USER:PAT:mine": "s3cret"}"#;
    assert_eq!(headers(config(), tokens, "hub"), json!({"x-own": "1", "x-hub-token": "s3cret"}));
    let tokens = r#"{"github.com:USER:OAUTH2:mine": "s3cret"}"#;
    assert_eq!(headers(config(), tokens, "hub")["authorization"], "Bearer s3cret");
    let tokens = r#"{"mail.example:USER:PAT": "s3cret"}"#;
    assert_eq!(
        headers(config(), tokens, "mail")["authorization"],
        "Bearer s3cret",
        "no header is named for it"
    );
}

#[test]
fn hostile_headers_give_nobody_a_token() {
    for tokens in [
        "",
        "null",
        "[]",
        "{",
        r#"{"github.com": 5}"#,
        r#"{"github.com": ""}"#,
        r#"{"github.com": "a\r\nhost: b"}"#,
        r#"{"github.com.evil": "x"}"#,
        r#"{"xgithub.com": "x"}"#,
        r#"{"": "x"}"#,
    ] {
        assert_eq!(headers(config(), tokens, "hub"), Value::Null, "{tokens}");
    }
    let many: String = (0..10_000).map(|n| format!(r#""a{n}": "b","#)).collect();
    assert_eq!(
        headers(config(), &format!(r#"{{{many} "github.com": "x"}}"#), "hub"),
        Value::Null,
        "it is too long"
    );
}

#[test]
fn a_header_on_the_call_itself_is_used_and_ends_here() {
    let stage = Stage::new(&kind(), config());
    let call = |upstream: &str| {
        let headers = json!({"X-Vault-Tokens": r#"{"github.com": "s3cret"}"#, "x-own": "1"});
        let outcome =
            stage.visit().at(upstream).call::<ToolPreInvoke>(json!({"name": "t", "headers": headers}));
        outcome.changed.unwrap()["headers"].clone()
    };
    assert_eq!(call("hub"), json!({"x-own": "1", "authorization": "Bearer s3cret"}));
    assert_eq!(call("other"), json!({"x-own": "1"}));
}

#[test]
fn one_request_knows_nothing_of_another() {
    let stage = Stage::new(&kind(), config());
    let mut first = stage.visit().at("hub");
    first.call::<HttpPreRequest>(
        json!({"path": "/", "method": "POST", "headers": {"x-vault-tokens": r#"{"github.com": "s"}"#}}),
    );
    assert!(stage.visit().at("hub").call::<ToolPreInvoke>(json!({"name": "t"})).passed());
    assert!(!first.call::<ToolPreInvoke>(json!({"name": "t"})).passed());
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let error = (kind().build)(&json!({"vault_header_name": "x y"})).err().unwrap();
    assert_eq!(error.field, "vault_header_name");
}
