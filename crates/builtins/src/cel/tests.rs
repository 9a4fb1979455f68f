use mortise_plugin_api::hooks::{PromptPreFetch, ResourcePreFetch, ToolPostInvoke, ToolPreInvoke};
use serde_json::{Value, json};

use super::kind;
use crate::testing::service::{Desk, answer};

fn desk(config: Value) -> Desk {
    Desk::raw(&kind(), config, |_| answer(500, "")).unwrap()
}

fn rule(rule: Value) -> Desk {
    desk(json!({"rules": [rule]}))
}

fn pay(amount: Value) -> Value {
    json!({"name": "pay", "args": {"amount": amount, "to": "bob"}})
}

#[test]
fn a_rule_refuses_by_tool_arguments_and_caller() {
    let deny = json!({
        "name": "large payments",
        "when": "subject == 'pay'",
        "deny": "args.amount > 100 && !('finance' in caller.teams)",
        "reason": "Payments over 100 are for finance",
        "code": "TOO_MUCH",
    });
    let mut desk = rule(deny);
    assert!(desk.call::<ToolPreInvoke>(pay(json!(100))).passed());
    assert!(desk.call::<ToolPreInvoke>(json!({"name": "other", "args": {}})).passed());
    let violation = desk.call::<ToolPreInvoke>(pay(json!(101))).violation.unwrap();
    assert_eq!((violation.code.as_str(), violation.http_status_code), ("TOO_MUCH", Some(403)));
    assert_eq!(violation.details["rule"], "large payments");
    assert_eq!(desk.call::<ToolPreInvoke>(pay(json!(100.5))).code(), "TOO_MUCH");
    desk.caller(|caller| caller.teams = vec!["finance".into()]);
    assert!(desk.call::<ToolPreInvoke>(pay(json!(101))).passed());
}

#[test]
fn a_requirement_refuses_unless_it_is_true() {
    let mut desk = rule(json!({"require": "caller.tenant == 'acme' && request.upstream == 'files'"}));
    assert_eq!(desk.call::<ToolPreInvoke>(pay(json!(1))).code(), "POLICY_DENIED");
    desk.caller(|caller| caller.tenant = Some("acme".into()));
    desk.request().upstream = Some("files".into());
    assert!(desk.call::<ToolPreInvoke>(pay(json!(1))).passed());
}

#[test]
fn rules_stand_at_their_hooks_and_the_first_that_refuses_decides() {
    let desk = desk(json!({"rules": [
        {"name": "no results", "hooks": ["tool_post_invoke"], "deny": "result.content.exists(c, c.text.contains('x'))"},
        {"name": "no files", "hooks": ["resource_pre_fetch"], "deny": "subject.startsWith('file:')"},
        {"name": "nothing else", "hooks": ["resource_pre_fetch"], "deny": "true"},
    ]}));
    assert!(desk.call::<ToolPreInvoke>(pay(json!(1))).passed());
    let blocked = desk.call::<ResourcePreFetch>(json!({"uri": "file:///etc/passwd"})).violation.unwrap();
    assert_eq!(blocked.details["rule"], "no files");
    let result = json!({"name": "t", "result": {"content": [{"type": "text", "text": "xyz"}]}});
    assert_eq!(desk.call::<ToolPostInvoke>(result).violation.unwrap().details["rule"], "no results");
    assert!(desk.call::<PromptPreFetch>(json!({"prompt_id": "p"})).passed());
}

#[test]
fn all_sorts_of_json_can_be_looked_at() {
    for (expression, args) in [
        ("args.n == 5", json!({"n": 5})),
        ("args.n < 0", json!({"n": -5})),
        ("args.n > 1.5", json!({"n": 1.75})),
        ("args.n == null", json!({"n": null})),
        ("args.n[1].a", json!({"n": [0, {"a": true}]})),
        ("size(args.n) == 2", json!({"n": [1, 2]})),
        ("args.n.matches('^a+$')", json!({"n": "aaa"})),
        ("has(args.n) && !has(args.m)", json!({"n": 1})),
        ("args['a b'] == 'c'", json!({"a b": "c"})),
        ("payload.name == 'pay' && hook == 'tool_pre_invoke'", json!({})),
        ("args.n > 9223372036854775807u", json!({"n": 18_446_744_073_709_551_615_u64})),
        ("'a' in args.n", json!({"n": {"a": 1}})),
    ] {
        let desk = rule(json!({"deny": expression}));
        let outcome = desk.call::<ToolPreInvoke>(json!({"name": "pay", "args": args}));
        assert_eq!(outcome.code(), "POLICY_DENIED", "{expression}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_no_decision() {
    for expression in [
        "args.missing > 1",
        "args.to > 1",
        "args.amount",
        "args.amount / 0 == 1",
        "args.to.nothing()",
        "args.amount[7] == 1",
        "9223372036854775807 + args.amount > 0",
    ] {
        let desk = rule(json!({"name": "r", "deny": expression}));
        let error = desk.try_call::<ToolPreInvoke>(pay(json!(1))).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("the rule `r` cannot be evaluated"), "{expression}: {error}");
        assert!(!error.to_string().contains("bob"), "{error}");
        let desk = self::desk(json!({"rules": [{"deny": expression}], "on_failure": "pass"}));
        let outcome = desk.call::<ToolPreInvoke>(pay(json!(1)));
        assert!(outcome.passed());
        assert_eq!(outcome.metadata("unjudged"), "error");
    }
}

#[test]
fn hostile_arguments_end_in_a_decision_or_an_error() {
    let desk = rule(json!({"deny": "args.q.contains('x')"}));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let payload = format!(r#"{{"name":"t","args":{{"q":{deep}}}}}"#);
    let parsed: Result<Value, _> = serde_json::from_str(&payload);
    assert!(parsed.is_err(), "such a text is never made a tree");
    for args in
        [json!({"q": {"x": 1}}), json!({"q": ["x"]}), json!({"q": null}), json!({}), json!(null), json!([])]
    {
        let outcome = desk.try_call::<ToolPreInvoke>(json!({"name": "t", "args": args}));
        assert!(outcome.is_err(), "{args}");
    }
}

#[test]
fn under_audit_refused_calls_pass_with_metadata() {
    let desk = desk(json!({"rules": [{"name": "r", "deny": "true"}], "action": "audit"}));
    let outcome = desk.call::<ToolPreInvoke>(pay(json!(1)));
    assert!(outcome.passed());
    assert_eq!(outcome.metadata("cel_would_refuse"), "r");
}

#[test]
fn mistakes_in_rules_are_errors_with_their_place() {
    for (config, field) in [
        (json!({"rules": []}), "rules"),
        (json!({"rules": [{"deny": "true"}, {}]}), "rules[1]"),
        (json!({"rules": [{"deny": "true", "require": "true"}]}), "rules[0]"),
        (json!({"rules": [{"deny": "args.amount >"}]}), "rules[0].deny"),
        (json!({"rules": [{"require": "user == 'ann'"}]}), "rules[0].require"),
        (json!({"rules": [{"deny": "true", "when": "((("}]}), "rules[0].when"),
        (json!({"rules": [{"deny": "true", "hooks": ["tool_pre"]}]}), "rules[0].hooks[0]"),
    ] {
        assert_eq!((kind().build)(&config).err().unwrap().field, field, "{config}");
    }
    let error = (kind().build)(&json!({"rules": [{"deny": "user == 'ann'"}]})).err().unwrap();
    assert!(error.message.contains("`user`") && error.message.contains("caller"), "{}", error.message);
    assert!((kind().build)(&json!({"rules": [{"deny": "[1, 2].exists(n, n > 1)"}]})).is_ok());
}
