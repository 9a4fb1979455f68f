use std::time::Duration;

use mortise_plugin_api::hooks::{PromptPreFetch, ResourcePreFetch, ToolPostInvoke, ToolPreInvoke};
use serde_json::{Value, json};

use super::kind;
use crate::testing::service::{Desk, answer};

fn desk(config: Value, result: Value) -> Desk {
    Desk::new(&kind(), config, move |_| result.clone())
}

fn delete() -> Value {
    json!({"name": "delete", "args": {"path": "/a"}})
}

#[test]
fn the_agent_is_shown_hook_payload_caller_and_context() {
    let mut desk = desk(json!({"path": "mortise/authz/allow", "token": "t"}), json!({"result": true}));
    desk.caller(|caller| {
        caller.user = Some("ann".into());
        caller.teams = vec!["platform".into()];
    });
    desk.request().upstream = Some("files".into());
    desk.shared.state.insert("risk".into(), 3.into());
    assert!(desk.call::<ToolPreInvoke>(delete()).passed());
    let sent = &desk.requests()[0];
    assert_eq!(sent.url, "http://127.0.0.1:8181/v1/data/mortise/authz/allow");
    assert_eq!(sent.headers.get("authorization"), Some("Bearer t"));
    let input = &desk.asked()[0]["input"];
    assert_eq!((&input["hook"], &input["subject"]), (&json!("tool_pre_invoke"), &json!("delete")));
    assert_eq!(input["payload"]["args"]["path"], "/a");
    assert_eq!(input["caller"]["teams"], json!(["platform"]));
    assert_eq!(input["request"]["upstream"], "files");
    assert_eq!(input["context"]["state"]["risk"], 3);
    assert_eq!(input["request_id"], "r1");
}

#[test]
fn decisions_are_booleans_or_objects() {
    let said = |result: Value| desk(json!({"path": "a"}), result).call::<ToolPreInvoke>(delete());
    assert!(said(json!({"result": {"allow": true, "reason": "fine"}})).passed());
    assert_eq!(said(json!({"result": false})).code(), "POLICY_DENIED");
    let violation = said(json!({"result": {"allow": false, "reason": "not on Fridays", "code": "FRIDAY"}}));
    let violation = violation.violation.unwrap();
    assert_eq!((violation.code.as_str(), violation.description.as_str()), ("FRIDAY", "not on Fridays"));
    assert_eq!(violation.http_status_code, Some(403));
    let violation = said(json!({"result": {"allow": false, "deny": ["a", "b"]}})).violation.unwrap();
    assert_eq!(violation.description, "a, b");
}

#[test]
fn a_decision_that_is_not_there_refuses() {
    let desk = desk(json!({"path": "no/such/rule"}), json!({}));
    let violation = desk.call::<ToolPreInvoke>(delete()).violation.unwrap();
    assert_eq!(violation.code, "POLICY_DENIED");
    assert!(violation.description.contains("no decision"), "{}", violation.description);
}

#[test]
fn answers_that_are_no_decision_are_errors() {
    for garbage in [
        json!({"result": "true"}),
        json!({"result": 1}),
        json!({"result": []}),
        json!({"result": {}}),
        json!({"result": {"allow": "yes"}}),
        json!({"result": {"Allow": true}}),
        json!([true]),
        json!(true),
    ] {
        let desk = desk(json!({"path": "a"}), garbage.clone());
        let error = desk.try_call::<ToolPreInvoke>(delete()).unwrap_err();
        assert_eq!(error.kind(), "invalid_answer", "{garbage}");
    }
    let desk = Desk::raw(&kind(), json!({"path": "a", "on_failure": "pass"}), |_| answer(500, "")).unwrap();
    assert!(desk.call::<ToolPreInvoke>(delete()).passed());
}

#[test]
fn another_member_may_hold_the_word() {
    let desk = desk(
        json!({"path": "a", "allow": "permitted"}),
        json!({"result": {"permitted": true, "allow": false}}),
    );
    assert!(desk.call::<ToolPreInvoke>(delete()).passed());
}

#[test]
fn under_audit_refused_calls_pass_with_metadata() {
    let desk = desk(json!({"path": "a", "action": "audit"}), json!({"result": false}));
    let outcome = desk.call::<ToolPreInvoke>(delete());
    assert!(outcome.passed());
    assert_ne!(outcome.metadata("policy_would_refuse"), Value::Null);
}

#[test]
fn decisions_are_kept_only_where_asked_for_and_by_caller() {
    let one = desk(json!({"path": "a"}), json!({"result": true}));
    one.call::<ToolPreInvoke>(delete());
    one.call::<ToolPreInvoke>(delete());
    assert_eq!(one.requests().len(), 2);

    let mut two = desk(json!({"path": "a", "cache_seconds": 30}), json!({"result": true}));
    two.call::<ToolPreInvoke>(delete());
    two.request().id = "r2".into();
    two.call::<ToolPreInvoke>(delete());
    assert_eq!(two.requests().len(), 1);
    two.caller(|caller| caller.user = Some("bob".into()));
    two.call::<ToolPreInvoke>(delete());
    assert_eq!(two.requests().len(), 2);
    two.advance(Duration::from_secs(31));
    two.call::<ToolPreInvoke>(delete());
    assert_eq!(two.requests().len(), 3);
}

#[test]
fn the_payload_may_be_kept_from_the_agent_and_is_bounded() {
    let one = desk(json!({"path": "a", "include_payload": false}), json!({"result": true}));
    one.call::<ToolPreInvoke>(delete());
    assert_eq!(one.asked()[0]["input"].get("payload"), None);
    let two = desk(json!({"path": "a", "max_input_bytes": 50}), json!({"result": true}));
    assert!(two.try_call::<ToolPreInvoke>(delete()).is_err());
    assert!(two.requests().is_empty());
}

#[test]
fn configurations_of_contextforge_choose_a_policy_by_name_and_hook() {
    let extensions = json!({
        "policy": "example",
        "policy_endpoints": ["allow_tool_pre_invoke", "allow_tool_post_invoke"],
        "policy_modality": ["text"],
    });
    let config = json!({
        "opa_base_url": "http://127.0.0.1:8181/v1/data/",
        "applied_to": {
            "tools": [{"tool_name": "delete", "context": ["global.opa_policy_context"], "extensions": extensions}],
            "prompts": [{"prompt_name": "p", "extensions": {"policy": "prompts", "policy_endpoints": ["allow"]}}],
        },
    });
    let desk = desk(config, json!({"result": false}));
    assert!(desk.start().is_ok());
    assert_eq!(desk.call::<ToolPreInvoke>(delete()).code(), "POLICY_DENIED");
    desk.call::<ToolPostInvoke>(json!({"name": "delete", "result": "done"}));
    desk.call::<PromptPreFetch>(json!({"prompt_id": "p"}));
    assert!(desk.call::<ToolPreInvoke>(json!({"name": "other"})).passed(), "no policy is applied to it");
    assert!(desk.call::<ResourcePreFetch>(json!({"uri": "file:///delete"})).passed());
    let urls: Vec<String> = desk.requests().into_iter().map(|request| request.url).collect();
    let base = "http://127.0.0.1:8181/v1/data";
    assert_eq!(
        urls,
        [
            format!("{base}/example/allow_tool_pre_invoke"),
            format!("{base}/example/allow_tool_post_invoke"),
            format!("{base}/prompts/allow"),
        ]
    );
}

#[test]
fn a_resource_that_is_named_stands_for_what_is_below_it() {
    let policy = |policy: &str| json!({"policy": policy, "policy_endpoint": "allow"});
    let config = json!({ "applied_to": { "resources": [
        {"resource_uri": "https://example.com", "extensions": policy("all")},
        {"resource_uri": "https://example.com/docs/", "extensions": policy("docs")},
    ]}});
    let desk = desk(config, json!({"result": true}));
    for uri in [
        "https://example.com/",
        "https://example.com/docs/a",
        "https://example.com.evil/docs",
        "https://example.com",
    ] {
        desk.call::<ResourcePreFetch>(json!({"uri": uri}));
    }
    let urls: Vec<String> = desk.requests().into_iter().map(|request| request.url).collect();
    let base = "http://127.0.0.1:8181/v1/data";
    assert_eq!(
        urls,
        [format!("{base}/all/allow"), format!("{base}/docs/allow"), format!("{base}/all/allow")]
    );
}

#[test]
fn without_a_policy_it_does_not_start() {
    let desk = desk(json!({}), json!({"result": true}));
    assert!(desk.start().unwrap_err().to_string().contains("`path`"));
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    for config in
        [json!({"url": "opa"}), json!({"opa_base_url": "ftp://opa/"}), json!({"max_input_bytes": 0})]
    {
        assert!((kind().build)(&config).is_err(), "{config}");
    }
}
