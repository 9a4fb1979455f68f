use mortise_plugin_api::hooks::{LlmInput, PromptPreFetch, ResourcePostFetch, ToolPostInvoke, ToolPreInvoke};
use serde_json::{Value, json};

use super::super::{config::Config, kind};
use crate::testing::Bench;

fn bench(config: Value) -> Bench {
    Bench::new(&kind(), config)
}

fn masked(config: Value, text: &str) -> String {
    let outcome = bench(config).call::<ToolPreInvoke>(json!({"name": "t", "args": {"x": text}}));
    outcome.changed.map_or_else(|| text.to_owned(), |p| p["args"]["x"].as_str().unwrap().to_owned())
}

#[test]
fn the_documents_own_test_holds() {
    let mut bench = bench(json!({"detect_ssn": true, "mask_strategy": "partial"}));
    let outcome = bench.call::<PromptPreFetch>(
        json!({"prompt_id": "test", "args": {"user_input": "My SSN is 123-45-6789"}}),
    );
    assert_eq!(outcome.changed.unwrap()["args"]["user_input"], "My SSN is XXX-XX-6789");
}

#[test]
fn the_codes_key_masks_as_the_code_does() {
    let text = "My SSN is 123-45-6789";
    assert_eq!(masked(json!({"default_mask_strategy": "partial"}), text), "My SSN is ***-**-6789");
    assert_eq!(masked(json!({"masking_strategy": "partial"}), text), "My SSN is XXX-XX-6789");
    assert_eq!(masked(json!({}), text), "My SSN is [REDACTED]");
    assert_eq!(masked(json!({"mask_strategy": "remove"}), text), "My SSN is ");
    assert_eq!(masked(json!({"redaction_text": "#", "masking_strategy": "full"}), text), "My SSN is #");
}

#[test]
fn what_is_clean_passes_without_a_trace() {
    let mut bench = bench(json!({}));
    let outcome =
        bench.call::<ToolPreInvoke>(json!({"name": "t", "args": {"a": "nothing", "n": [1, {"b": "here"}]}}));
    assert!(outcome.passed() && outcome.notes.is_none());
    assert_eq!(bench.own_metadata("pii_detections"), Value::Null);
}

#[test]
fn nested_texts_of_results_prompts_resources_and_llm_calls_are_masked() {
    let outcome = bench(json!({})).call::<ToolPostInvoke>(json!({"name": "t", "result": {
        "content": [{"type": "text", "text": "a@example.com"}, {"type": "image", "data": "a@example.com"}],
        "structuredContent": {"list": [{"mail": "b@example.com"}]},
    }}));
    let result = outcome.changed.unwrap()["result"].clone();
    assert_eq!(result["content"][0]["text"], "[REDACTED]");
    assert_eq!(result["content"][1]["data"], "a@example.com", "binary data is not text");
    assert_eq!(result["structuredContent"]["list"][0]["mail"], "[REDACTED]");

    let outcome = bench(json!({}))
        .call::<ResourcePostFetch>(json!({"uri": "x://y", "content": {"text": "a@example.com"}}));
    assert_eq!(outcome.changed.unwrap()["content"]["text"], "[REDACTED]");
}

#[test]
fn blocking_names_categories_and_places_but_no_values() {
    let config = json!({"block_on_detection": true, "include_detection_details": true});
    let call = json!({"name": "t", "args": {"user": {"mail": "a@example.com"}, "ssn": "123-45-6789"}});
    let outcome = bench(config.clone()).call::<ToolPreInvoke>(call);
    assert_eq!(outcome.code(), "PII_DETECTED_IN_TOOL_ARGS");
    assert!(outcome.changed.is_none());
    let violation = outcome.violation.unwrap();
    assert_eq!(violation.details["detected_types"], json!(["ssn", "email"]));
    assert_eq!(violation.details["total_count"], 2);
    assert_eq!(violation.details["locations"][0], json!({"path": "args.user.mail", "types": ["email"]}));
    let shown = serde_json::to_string(&violation).unwrap();
    assert!(!shown.contains("example.com") && !shown.contains("6789"), "{shown}");

    let prompt = json!({"prompt_id": "p", "args": {"q": "a@example.com"}});
    let outcome = bench(config.clone()).call::<PromptPreFetch>(prompt);
    assert_eq!(outcome.code(), "PII_DETECTED");
    let details = outcome.violation.unwrap().details;
    assert_eq!(
        (&details["field"], &details["types"], &details["count"]),
        (&json!("args.q"), &json!(["email"]), &json!(1))
    );

    let outcome = bench(config).call::<ToolPostInvoke>(json!({"name": "t", "result": "a@example.com"}));
    assert_eq!(outcome.code(), "PII_DETECTED_IN_TOOL_RESULT");
}

#[test]
fn context_metadata_adds_up_over_the_hooks_of_a_request() {
    let mut bench = bench(json!({"include_detection_details": true}));
    let outcome =
        bench.call::<ToolPreInvoke>(json!({"name": "t", "args": {"a": "a@example.com b@example.com"}}));
    assert_eq!(outcome.metadata("pii_detections"), 2);
    bench.call::<ToolPostInvoke>(json!({"name": "t", "result": "123-45-6789"}));
    let detections = bench.own_metadata("pii_detections");
    assert_eq!(detections["tool_pre_invoke"]["total_count"], 2);
    assert_eq!(detections["tool_pre_invoke"]["arguments"][0]["path"], "args.a");
    assert_eq!(detections["tool_post_invoke"]["types"], json!(["ssn"]));
    assert_eq!(bench.own_metadata("pii_filter_stats"), json!({"total_detections": 3, "total_masked": 3}));
}

#[test]
fn logs_say_what_was_found_and_never_the_value() {
    let call = json!({"name": "t", "args": {"a": "a@example.com"}});
    let mut quiet = bench(json!({}));
    quiet.call::<ToolPreInvoke>(call.clone());
    assert!(quiet.log().is_empty());
    let mut loud = bench(json!({"audit_detections": true}));
    loud.call::<ToolPreInvoke>(call);
    let log = loud.log().join("\n");
    assert!(log.contains("types=email") && log.contains("request_id=r1"), "{log}");
    assert!(!log.contains("example.com"), "{log}");
}

#[test]
fn the_configurations_of_the_documents_load_and_hold() {
    let text = "mail test@example.com and real@example.org, SSN 123-45-6789";
    let config = json!({"detect_ssn": true, "log_detections": true, "mask_strategy": "partial",
        "whitelist_patterns": ["test@example.com", "555-555-5555", "123-45-6789"]});
    assert_eq!(masked(config, text), "mail test@example.com and r***l@example.org, SSN 123-45-6789");
    let config = json!({"detect_ssn": true, "detect_credit_card": true, "detect_phone": true, "detect_email": true,
        "detect_api_keys": true, "block_on_detection": true, "audit_detections": true, "compliance_mode": "strict"});
    let outcome = bench(config).call::<ToolPreInvoke>(json!({"name": "t", "args": {"x": text}}));
    assert_eq!(outcome.code(), "PII_DETECTED_IN_TOOL_ARGS");
    let manifest = json!({"detection_sensitivity": 0.8, "masking_strategy": "partial",
        "pii_types": ["ssn", "credit_card", "email", "phone"], "compliance_mode": "gdpr", "log_violations": true,
        "max_content_length": 1_048_576});
    assert_eq!(masked(manifest, "10.0.0.1 a@b.co"), "10.0.0.1 ***@b.co");
}

#[test]
fn compliance_modes_choose_categories_and_switches_override_them() {
    let text = "4111111111111111 a@example.com AKIAIOSFODNN7EXAMPLE";
    let redact = |config| masked(config, text).matches("[REDACTED]").count();
    assert_eq!(redact(json!({"compliance_mode": "pci"})), 1);
    assert_eq!(redact(json!({"compliance_mode": "gdpr"})), 2);
    assert_eq!(redact(json!({"compliance_mode": "strict"})), 3);
    assert_eq!(redact(json!({"compliance_mode": "custom"})), 0);
    assert_eq!(redact(json!({"compliance_mode": "custom", "detect_email": true})), 1);
    assert_eq!(redact(json!({"compliance_mode": "strict", "detect_email": false})), 2);
}

#[test]
fn a_custom_pattern_has_its_own_strategy_and_can_be_off() {
    let pattern = |enabled| {
        json!({"custom_patterns": [
            {"type": "custom", "pattern": "EMP-\\d+", "description": "staff", "mask_strategy": "remove", "enabled": enabled}
        ]})
    };
    assert_eq!(masked(pattern(true), "x EMP-12 y"), "x  y");
    assert_eq!(masked(pattern(false), "x EMP-12 y"), "x EMP-12 y");
}

#[test]
fn an_invalid_pattern_is_an_error_that_names_it() {
    for (config, field) in [
        (json!({"custom_patterns": [{"pattern": "a"}, {"pattern": "(b"}]}), "custom_patterns[1].pattern"),
        (json!({"whitelist_patterns": ["ok", "(?!x)"]}), "whitelist_patterns[1]"),
    ] {
        let Err(error) = Bench::try_new(&kind(), config) else { panic!("{field} was accepted") };
        assert_eq!(error.field, field);
    }
}

#[test]
fn json_in_a_text_stays_json_and_hides_nothing() {
    let config = || json!({"default_mask_strategy": "partial"});
    let inside = r#"{"card": 4111111111111111, "n": [4111111111111111], "note": "call 555-123-4567"}"#;
    let out = masked(config(), inside);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["card"], "****-****-****-1111");
    assert_eq!(value["n"][0], "****-****-****-1111");
    assert_eq!(value["note"], "call ***-***-4567");

    let hidden = r#"{"dob": "01\/02\/1980", "mail": "john\u0040example.com", "in": "{\"m\": \"x\\u0040example.com\"}"}"#;
    let out = masked(config(), hidden);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["dob"], "0********0");
    assert_eq!(value["mail"], "j***n@example.com");
    assert_eq!(value["in"], r#"{"m": "***@example.com"}"#);
}

#[test]
fn a_text_over_the_limit_is_an_error_and_not_a_pass() {
    let mut bench = bench(json!({"max_text_bytes": 10}));
    let error = bench
        .try_call::<ToolPreInvoke>(json!({"name": "t", "args": {"a": "a long harmless text"}}))
        .unwrap_err();
    assert!(error.to_string().contains("max_text_bytes"), "{error}");
}

#[test]
fn llm_messages_are_guarded() {
    let request = mortise_plugin_api::HookTable::standard().get("llm_input").unwrap().payload_schema();
    assert!(request.as_value().is_object());
    assert!(bench(json!({})).stream::<LlmInput>() != mortise_plugin_api::Stream::Skip);
}

#[test]
fn the_schema_knows_every_key_of_the_default_configuration() {
    let schema = (kind().config_schema)();
    let properties = schema.as_value()["properties"].as_object().unwrap().clone();
    let defaults = serde_json::to_value(Config::default()).unwrap();
    for key in defaults.as_object().unwrap().keys() {
        assert!(properties.contains_key(key), "{key}");
        assert!(properties[key]["description"].is_string(), "{key} has no description");
    }
    assert_eq!(schema.as_value()["additionalProperties"], false);
}
