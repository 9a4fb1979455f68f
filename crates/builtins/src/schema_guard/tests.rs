use mortise_plugin_api::hooks::{ToolPostInvoke, ToolPreInvoke};
use mortise_plugin_api::{Body, Effect, Hook};
use serde_json::{Value, json};

use super::{kind, unique::repeated_member};
use crate::testing::{Bench, Outcome, computed};

fn args(schema: Value, args: Value) -> Outcome {
    Bench::new(&kind(), json!({"arg_schemas": {"t": schema}}))
        .call::<ToolPreInvoke>(json!({"name": "t", "args": args}))
}

fn calculator() -> Value {
    json!({
        "type": "object",
        "required": ["expression"],
        "properties": {"expression": {"type": "string", "pattern": "^[0-9+*]+$"}, "digits": {"type": "array", "items": {"type": "integer"}}},
    })
}

#[test]
fn arguments_that_match_pass_and_others_are_blocked() {
    assert!(args(calculator(), json!({"expression": "1+1", "digits": [1], "more": null})).passed());
    for (bad, place) in [
        (json!({}), "/: "),
        (json!({"expression": 5}), "/expression: "),
        (json!({"expression": "rm -rf"}), "/expression: "),
        (json!({"expression": "1", "digits": [1, "2"]}), "/digits/1: "),
        (json!([]), "/: "),
    ] {
        let outcome = args(calculator(), bad.clone());
        assert_eq!(outcome.code(), "SCHEMA_GUARD_ARGS", "{bad}");
        let details = outcome.violation.unwrap().details;
        assert!(details["errors"][0].as_str().unwrap().starts_with(place), "{details:?}");
        assert_eq!(details["tool"], "t");
    }
}

#[test]
fn no_arguments_are_an_empty_object() {
    assert!(args(json!({"type": "object"}), Value::Null).passed());
    assert_eq!(args(calculator(), Value::Null).code(), "SCHEMA_GUARD_ARGS");
}

#[test]
fn tools_without_a_schema_are_left_alone() {
    let mut bench = Bench::new(&kind(), json!({"arg_schemas": {"t": false}, "result_schemas": {"t": false}}));
    assert!(bench.call::<ToolPreInvoke>(json!({"name": "u", "args": {"x": 1}})).passed());
    assert!(bench.call::<ToolPostInvoke>(json!({"name": "u", "result": 1})).passed());
    assert_eq!(bench.call::<ToolPreInvoke>(json!({"name": "t", "args": {}})).code(), "SCHEMA_GUARD_ARGS");
}

#[test]
fn results_are_checked_as_they_go_over_the_wire() {
    let schema = json!({"type": "object", "properties": {"content": {"type": "array", "maxItems": 1}}});
    let mut bench = Bench::new(&kind(), json!({"result_schemas": {"t": schema}}));
    let item = json!({"type": "text", "text": "x"});
    assert!(bench.call::<ToolPostInvoke>(json!({"name": "t", "result": {"content": [item]}})).passed());
    let outcome = bench.call::<ToolPostInvoke>(json!({"name": "t", "result": {"content": [item, item]}}));
    assert_eq!(outcome.code(), "SCHEMA_GUARD_RESULT");
}

#[test]
fn structured_results_are_checked_by_their_data() {
    let config = json!({
        "result_schemas": {"t": {"type": "object", "required": ["n"]}}, "result_part": "structured",
    });
    let mut bench = Bench::new(&kind(), config);
    let mut code = |result: Value| {
        bench.call::<ToolPostInvoke>(json!({"name": "t", "result": result})).code().to_owned()
    };
    let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
    assert_eq!(code(json!({"structuredContent": {"n": 1}, "content": []})), "");
    assert_eq!(code(json!({"structuredContent": {"m": 1}})), "SCHEMA_GUARD_RESULT");
    assert_eq!(code(text("{\"n\": 1}")), "");
    assert_eq!(code(text("{\"n\": 1, \"n\": 2}")), "SCHEMA_GUARD_RESULT");
    assert_eq!(code(text("prose")), "SCHEMA_GUARD_RESULT");
    assert_eq!(code(json!({"isError": true, "content": []})), "");
}

#[test]
fn without_blocking_errors_only_stand_in_metadata() {
    let config = json!({"arg_schemas": {"t": calculator()}, "block_on_violation": false});
    let outcome = Bench::new(&kind(), config).call::<ToolPreInvoke>(json!({"name": "t", "args": {}}));
    assert!(outcome.passed());
    assert_eq!(outcome.metadata("schema_errors").as_array().unwrap().len(), 1);
}

#[test]
fn errors_never_show_the_value() {
    let outcome =
        args(json!({"properties": {"password": {"type": "integer"}}}), json!({"password": "hunter2"}));
    let told = format!("{:?}{:?}", outcome.violation.unwrap(), outcome.notes);
    assert!(told.contains("/password") && !told.contains("hunter2"), "{told}");
    let outcome = args(json!({"maxProperties": 0}), json!({"hunter2": "hunter2"}));
    assert!(!outcome.violation.unwrap().details["errors"][0].as_str().unwrap().contains("hunter2"));
}

#[test]
fn a_body_is_wanted_only_where_a_schema_needs_it() {
    let plugin = (kind().build)(&json!({"arg_schemas": {"t": {}}})).unwrap();
    assert_eq!(plugin.needs(ToolPreInvoke::ID).unwrap().effect, Effect::Block);
    assert_eq!(plugin.needs(ToolPostInvoke::ID).unwrap().body, Body::None);
}

#[test]
fn what_is_no_schema_or_refers_elsewhere_is_refused_by_name() {
    for schema in [
        json!({"type": "nothing"}),
        json!({"$ref": "https://example.com/schema.json"}),
        json!({"$ref": "file:///etc/passwd"}),
        json!({"pattern": "(?=look)ahead"}),
        json!({"pattern": "(a{1000}){1000}"}),
        json!(5),
    ] {
        let Err(error) = Bench::try_new(&kind(), json!({"arg_schemas": {"t": schema}})) else {
            panic!("accepted {schema}")
        };
        assert_eq!(error.field, "arg_schemas.t");
    }
}

#[test]
fn a_member_named_twice_matches_nothing() {
    assert_eq!(repeated_member(br#"{"a": [{"b": 1, "c": 2, "\u0062": 3}]}"#).as_deref(), Some("b"));
    assert_eq!(
        repeated_member(br#"{"a": {"b": 1}, "b": {"a": 1.5}, "c": 123456789012345678901234567890}"#),
        None
    );
    assert_eq!(repeated_member(b"{\"a\""), None);
    assert_eq!(repeated_member("[".repeat(100_000).as_bytes()), None);
    let payload: mortise_plugin_api::hooks::tool::ToolPreInvokePayload =
        serde_json::from_str(r#"{"name": "t", "args": {"expression": "rm", "expression": "1"}}"#).unwrap();
    let revision = mortise_plugin_api::Revision::new(Box::new(payload));
    let mut bench = Bench::new(&kind(), json!({"arg_schemas": {"t": calculator()}}));
    let reply = bench.reply::<ToolPreInvoke>(&revision, mortise_plugin_api::Part::Whole).unwrap();
    assert_eq!(reply.violation.unwrap().code, "SCHEMA_GUARD_ARGS");
}

#[test]
fn hostile_values_and_patterns_are_withstood() {
    let catastrophic = json!({"properties": {"x": {"pattern": "^(a+)+$"}}});
    let begun = computed();
    let outcome = args(catastrophic, json!({"x": "a".repeat(1_000_000) + "!"}));
    assert_eq!(outcome.code(), "SCHEMA_GUARD_ARGS");
    assert!((computed() - begun).as_secs() < 30, "{:?}", (computed() - begun));
    let large = json!({"expression": "1".repeat(10_000_000)});
    assert!(args(calculator(), large).passed());
    let recursive = json!({"properties": {"x": {"$ref": "#"}}, "additionalProperties": false});
    let deep = (0..100).fold(json!({}), |inner, _| json!({"x": inner}));
    assert!(args(recursive, deep).passed());
    let wrong: Vec<Value> = (0..100_000).map(|_| json!("x")).collect();
    let outcome = args(json!({"properties": {"x": {"items": {"type": "integer"}}}}), json!({"x": wrong}));
    let violation = outcome.violation.unwrap();
    assert_eq!(violation.details["errors"].as_array().unwrap().len(), 10);
    assert!(violation.description.len() < 4_000);
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    if let Ok(mut bench) = Bench::try_new(&kind(), json!({"arg_schemas": {"t": {"$ref": "#"}}})) {
        let _ = bench.try_call::<ToolPreInvoke>(json!({"name": "t", "args": {}}));
    }
}
