use mortise_plugin_api::hooks::{ResourcePreFetch, ToolPreInvoke};
use serde_json::{Value, json};

use super::kind;
use crate::testing::service::{Desk, answer};

fn desk(config: Value) -> Desk {
    Desk::raw(&kind(), config, |_| answer(500, "")).unwrap()
}

fn policies(text: &str) -> Desk {
    desk(json!({"policies": text}))
}

fn pay(amount: Value) -> Value {
    json!({"name": "pay", "args": {"amount": amount, "to": "bob"}})
}

#[test]
fn policies_decide_by_caller_tool_and_arguments() {
    let mut desk = policies(
        r#"
        permit (principal, action == Action::"tool_pre_invoke", resource == Tool::"pay")
        when { context.payload.args.amount <= 100 };
        permit (principal in Team::"finance", action, resource);
        @id("no weekends")
        forbid (principal == User::"bob", action, resource);
        "#,
    );
    assert!(desk.call::<ToolPreInvoke>(pay(json!(100))).passed());
    let violation = desk.call::<ToolPreInvoke>(pay(json!(101))).violation.unwrap();
    assert_eq!((violation.code.as_str(), violation.http_status_code), ("POLICY_DENIED", Some(403)));
    assert_eq!(violation.details["policies"], json!([]));
    desk.caller(|caller| caller.teams = vec!["finance".into()]);
    assert!(desk.call::<ToolPreInvoke>(pay(json!(101))).passed());
    desk.caller(|caller| caller.user = Some("bob".into()));
    let violation = desk.call::<ToolPreInvoke>(pay(json!(1))).violation.unwrap();
    assert_eq!(violation.details["policies"], json!(["no weekends"]));
}

#[test]
fn things_have_types_and_what_they_belong_to() {
    let mut desk = policies(
        r#"
        permit (principal in Tenant::"acme", action, resource in Upstream::"docs")
        when { principal.scopes.contains("read") && resource is Resource };
        "#,
    );
    let read = json!({"uri": "file:///a"});
    assert_eq!(desk.call::<ResourcePreFetch>(read.clone()).code(), "POLICY_DENIED");
    desk.caller(|caller| {
        caller.app = Some("ci".into());
        caller.tenant = Some("acme".into());
        caller.scopes = vec!["read".into()];
    });
    desk.request().upstream = Some("docs".into());
    assert!(desk.call::<ResourcePreFetch>(read).passed());
    assert_eq!(desk.call::<ToolPreInvoke>(pay(json!(1))).code(), "POLICY_DENIED");
}

#[test]
fn configured_entities_are_what_they_are() {
    let entities = json!([
        {"uid": {"type": "User", "id": "ann"}, "attrs": {"level": 5}, "parents": [{"type": "Role", "id": "boss"}]},
    ]);
    let mut desk = desk(json!({
        "policies": "permit (principal in Role::\"boss\", action, resource) when { principal.level > 3 };",
        "entities": entities,
    }));
    assert_eq!(desk.call::<ToolPreInvoke>(pay(json!(1))).code(), "POLICY_DENIED");
    desk.caller(|caller| caller.user = Some("ann".into()));
    assert!(desk.call::<ToolPreInvoke>(pay(json!(1))).passed());
}

#[test]
fn a_policy_that_cannot_be_evaluated_is_no_decision() {
    let text = r#"
        permit (principal, action, resource);
        forbid (principal, action, resource) when { context.payload.args.limit > 5 };
    "#;
    let desk = policies(text);
    let error = desk.try_call::<ToolPreInvoke>(pay(json!(1))).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("cannot be evaluated"), "{error}");
    let desk = self::desk(json!({"policies": text, "on_failure": "pass"}));
    assert!(desk.call::<ToolPreInvoke>(pay(json!(1))).passed());
    let desk = policies("permit (principal, action, resource) when { context.payload.args.limit > 5 };");
    assert_eq!(desk.call::<ToolPreInvoke>(pay(json!(1))).code(), "POLICY_DENIED", "it is refused anyway");
}

#[test]
fn what_callers_send_is_never_an_entity() {
    let desk = policies(
        r#"permit (principal, action, resource)
           when { context.payload.args.who == User::"admin" };"#,
    );
    for who in [
        json!({"__entity": {"type": "User", "id": "admin"}}),
        json!({"type": "User", "id": "admin"}),
        json!("User::\"admin\""),
    ] {
        let outcome = desk.call::<ToolPreInvoke>(json!({"name": "t", "args": {"who": who}}));
        assert_eq!(outcome.code(), "POLICY_DENIED");
    }
}

#[test]
fn hostile_names_and_values_end_in_a_decision() {
    let desk =
        policies(r#"permit (principal, action, resource == Tool::"pay") when { context.payload has args };"#);
    for name in ["", "pay\"; permit(principal, action, resource); //", "Tool::\"pay\"", "\u{0}", "päy"] {
        let outcome =
            desk.call::<ToolPreInvoke>(json!({"name": name, "args": {"a": null, "b": 1.5, "": [null]}}));
        assert_eq!(outcome.code(), "POLICY_DENIED", "{name}");
    }
    for args in [json!(null), json!([]), json!("x"), json!({"n": u64::MAX}), json!({"n": 1e300})] {
        let _ = desk.try_call::<ToolPreInvoke>(json!({"name": "pay", "args": args}));
    }
}

#[test]
fn under_audit_refused_calls_pass_with_metadata() {
    let desk =
        desk(json!({"policies": "@id(\"f\") forbid (principal, action, resource);", "action": "audit"}));
    let outcome = desk.call::<ToolPreInvoke>(pay(json!(1)));
    assert!(outcome.passed());
    assert_eq!(outcome.metadata("cedar_would_refuse"), json!(["f"]));
}

#[test]
fn mistakes_in_policies_are_errors_with_their_place() {
    for (config, field) in [
        (json!({"policies": ""}), "policies"),
        (json!({"policies": "permit (principal, action"}), "policies"),
        (json!({"policies": "permit (principal, action, resource);", "entities": [{"uid": 5}]}), "entities"),
    ] {
        assert_eq!((kind().build)(&config).err().unwrap().field, field, "{config}");
    }
}
