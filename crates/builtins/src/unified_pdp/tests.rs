use mortise_plugin_api::hooks::{ResourcePreFetch, ToolPreInvoke};
use serde_json::{Value, json};

use super::kind;
use crate::testing::stage::Stage;

fn engine(rules: Value) -> Value {
    json!({ "engines": [
        { "name": "native", "enabled": true, "priority": 1, "settings": { "rules": rules } },
        { "name": "opa", "enabled": false, "settings": { "opa_url": "http://localhost:8181" } },
    ], "combination_mode": "all_must_allow", "default_decision": "deny", "cache": { "enabled": true, "ttl_seconds": 60 } })
}

/// Why a call of this tool by a caller with this metadata is refused.
fn refused(stage: &Stage, metadata: Value, tool: &str) -> Option<String> {
    let mut visit = stage.by("ann@example.com").caller(|caller| {
        caller.metadata = metadata.as_object().cloned().unwrap_or_default();
        caller.teams = vec!["web".into()];
    });
    let outcome = visit.call::<ToolPreInvoke>(json!({ "name": tool, "args": {} }));
    outcome.violation.map(|violation| violation.description)
}

#[test]
fn rules_allow_by_role_and_refusing_ones_come_first() {
    let stage = Stage::new(
        &kind(),
        engine(json!([
            { "id": "finance", "roles": ["finance"], "actions": ["tools.invoke.pay*"], "resource_types": ["tool"] },
            { "id": "admins", "roles": ["admin"] },
            { "id": "deny:payroll", "roles": ["*"], "resource_ids": ["payroll"], "reason": "not payroll" },
            { "id": "deny:no-mfa", "actions": ["*.delete*"], "conditions": { "subject.mfa_verified": false } },
        ])),
    );
    let finance = json!({ "roles": ["finance"] });
    assert_eq!(refused(&stage, finance.clone(), "pay"), None);
    let unmatched = Some("Native RBAC: no matching allow rule (fail closed)".to_owned());
    assert_eq!(refused(&stage, finance.clone(), "search"), unmatched);
    assert_eq!(refused(&stage, json!({}), "pay"), unmatched, "who has no role may nothing");
    assert_eq!(refused(&stage, finance, "payroll").as_deref(), Some("not payroll"));
    let admin = |mfa: bool| json!({ "roles": ["admin"], "mfa_verified": mfa });
    assert_eq!(refused(&stage, admin(false), "delete_all").as_deref(), Some("Denied by rule deny:no-mfa"));
    assert_eq!(refused(&stage, admin(true), "delete_all"), None);
}

#[test]
fn conditions_look_at_caller_and_call() {
    for (conditions, holds) in [
        (json!({ "subject.email": "ann@example.com" }), true),
        (json!({ "subject.email_prefix": "ann@", "subject.team_id": "web" }), true),
        (json!({ "subject.email_prefix": "bob@" }), false),
        (json!({ "subject.roles_contains": "dev", "subject.clearance_level": 3 }), true),
        (json!({ "subject.roles_contains": "ops" }), false),
        (json!({ "context.user_agent": null }), true),
        (json!({ "made.up": 1 }), false),
    ] {
        let stage = Stage::new(&kind(), engine(json!([{ "id": "one", "conditions": conditions }])));
        let caller = json!({ "roles": ["dev"], "clearance_level": 3 });
        assert_eq!(refused(&stage, caller, "t").is_none(), holds, "{conditions}");
    }
}

#[test]
fn violation_says_what_and_whom_it_is_about() {
    let stage = Stage::new(&kind(), engine(json!([])));
    let outcome = stage.visit().call::<ResourcePreFetch>(json!({ "uri": "file:///x" }));
    let violation = outcome.violation.unwrap();
    assert_eq!((&*violation.code, &*violation.reason), ("PDP_DENY", "Policy decision: DENY"));
    let details = serde_json::to_value(&violation.details).unwrap();
    assert_eq!(
        details,
        json!({ "resource_uri": "file:///x", "user": "anonymous@internal", "engines": ["native"] })
    );
    for (default, passes) in [("allow", true), ("deny", false)] {
        let stage = Stage::new(&kind(), json!({ "default_decision": default }));
        assert_eq!(refused(&stage, json!({}), "t").is_none(), passes);
    }
}

#[test]
fn rules_come_from_a_file_and_other_engines_do_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.json");
    let from_file = json!({ "engines": [{ "name": "native", "settings": { "rules_file": file } }] });
    std::fs::write(&file, r#"{"rules": [{"id": "all"}]}"#).unwrap();
    assert_eq!(refused(&Stage::new(&kind(), from_file.clone()), json!({}), "t"), None);
    std::fs::write(&file, "no rules").unwrap();
    for (config, reason) in [
        (from_file, "holds no rules"),
        (json!({ "engines": [{ "name": "native", "settings": { "rules_file": "no/such" } }] }), "no/such"),
        (json!({ "engines": [{ "name": "opa" }] }), "`builtin.opa`"),
        (json!({ "engines": [{ "name": "mac" }] }), "`mac`"),
    ] {
        let point = super::DecisionPoint {
            config: serde_json::from_value(config).unwrap(),
            rules: std::sync::OnceLock::new(),
        };
        let error = point.read().unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    assert!((kind().build)(&json!({ "engines": [{ "name": "ldap" }] })).is_err());
}
