use mortise_plugin_api::hooks::{
    LlmOutput, PromptPostFetch, PromptPreFetch, ResourcePostFetch, ToolPostInvoke, ToolPreInvoke,
};
use mortise_plugin_api::{Effect, Hook, Stream};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    config::{Config, Detector},
    kind,
    scanner::Scanner,
};
use crate::testing::{Bench, Outcome, computed};

const AWS_ID: &str = "AKIAA1B2C3D4E5F6G7H8";
const AWS_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn github() -> String {
    format!("ghp_{}", "a1B2".repeat(9))
}

fn redacted_by(detector: &str, text: &str) -> String {
    let mut enabled = serde_json::Map::new();
    for known in Detector::ALL {
        enabled.insert(known.name().to_owned(), (known.name() == detector).into());
    }
    let config =
        json!({"enabled": enabled, "redact": true, "block_on_detection": false, "redaction_text": "<R>"});
    let outcome =
        Bench::new(&kind(), config).call::<PromptPreFetch>(json!({"prompt_id": "p", "args": {"x": text}}));
    outcome.changed.map_or_else(|| text.to_owned(), |p| p["args"]["x"].as_str().unwrap().to_owned())
}

fn args(config: Value, args: Value) -> Outcome {
    Bench::new(&kind(), config).call::<ToolPreInvoke>(json!({"name": "t", "args": args}))
}

#[test]
fn detectors_take_what_the_documents_say_and_leave_the_rest() {
    let run = |n: usize| "a1B2".repeat(n.div_ceil(4))[..n].to_owned();
    for (detector, text, found) in [
        ("aws_access_key_id", format!("a {AWS_ID}."), true),
        ("aws_access_key_id", format!("x{AWS_ID}"), false),
        ("aws_access_key_id", format!("{AWS_ID}Z"), false),
        ("aws_access_key_id", AWS_ID.to_lowercase(), false),
        ("google_api_key", format!("AIza{}", run(35)), true),
        ("google_api_key", format!("AIza{}", run(36)), false),
        ("google_api_key", format!("AIza{}", run(34)), false),
        ("github_token", github(), true),
        ("github_token", format!("ghs_{}", run(35)), false),
        ("github_token", format!("ghs_{}", run(37)), false),
        ("github_token", format!("github_pat_{}", run(20)), true),
        ("github_token", format!("github_pat_{}", run(19)), false),
        ("stripe_secret_key", format!("rk_test_{}", run(16)), true),
        ("stripe_secret_key", format!("sk_live_{}", run(15)), false),
        ("stripe_secret_key", format!("pk_live_{}", run(24)), false),
        ("slack_token", "xoxb-1234567890".to_owned(), true),
        ("slack_token", "xoxb-123456789".to_owned(), false),
        ("jwt_like", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN".to_owned(), true),
        ("jwt_like", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0".to_owned(), false),
        ("hex_secret_32", "ab".repeat(16), true),
        ("hex_secret_32", "ab".repeat(16) + "g", false),
        ("hex_secret_32", "ab".repeat(15), false),
        ("base64_24", run(24), true),
        ("base64_24", run(23), false),
        ("base64_24", "hello_world_".repeat(4), false),
        ("generic_api_key_assignment", format!("api_key a {}", run(20)), false),
        ("generic_api_key_assignment", format!("api_key={}", run(19)), false),
        ("generic_api_key_assignment", format!("password={}", run(20)), false),
    ] {
        let changed = redacted_by(detector, &text) != text;
        assert_eq!(changed, found, "{detector}: {text}");
    }
}

#[test]
fn of_an_assignment_only_the_value_is_redacted() {
    for (text, out) in [
        (format!("aws_secret_access_key={AWS_SECRET}"), "aws_secret_access_key=<R>"),
        (format!("AWS_SECRET_ACCESS_KEY: \"{AWS_SECRET}\""), "AWS_SECRET_ACCESS_KEY: \"<R>\""),
        (format!("{{\"awsSecretKey\": \"{AWS_SECRET}\"}}"), "{\"awsSecretKey\": \"<R>\"}"),
    ] {
        assert_eq!(redacted_by("aws_secret_access_key", &text), out);
    }
    for text in [format!("secret_access_key={AWS_SECRET}"), format!("aws secret {AWS_SECRET}")] {
        assert_eq!(redacted_by("aws_secret_access_key", &text), text);
    }
    let key = "a1B2".repeat(5);
    for (text, out) in [
        (format!("api_key={key}"), "api_key=<R>"),
        (format!("X-API-Key: '{key}'"), "X-API-Key: '<R>'"),
        (format!("\"access_token\" : \"{key}\""), "\"access_token\" : \"<R>\""),
    ] {
        assert_eq!(redacted_by("generic_api_key_assignment", &text), out);
    }
    assert_eq!(redacted_by("base64_24", &format!("x.{}==", "a1B2".repeat(6))), "x.<R>");
}

#[test]
fn a_private_key_is_redacted_to_its_last_line() {
    for kind in ["RSA ", "DSA ", "EC ", "OPENSSH ", ""] {
        let text = format!("a -----BEGIN {kind}PRIVATE KEY-----\nMIIabc\n-----END {kind}PRIVATE KEY----- b");
        assert_eq!(redacted_by("private_key_block", &text), "a <R> b");
    }
    let cut = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n\"next\"";
    assert_eq!(redacted_by("private_key_block", cut), "<R>\"next\"");
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIabc\n-----END CERTIFICATE-----";
    assert_eq!(redacted_by("private_key_block", certificate), certificate);
}

#[test]
fn the_name_of_a_member_is_a_label() {
    let outcome = args(json!({}), json!({"aws_secret_access_key": AWS_SECRET}));
    assert_eq!(outcome.code(), "SECRETS_DETECTED");
    assert!(args(json!({}), json!({"path": AWS_SECRET})).passed());
}

#[test]
fn json_in_a_text_is_read_decoded_and_stays_json() {
    let escaped = AWS_SECRET.replace('/', "\\/");
    let text = format!(r#"{{"aws_secret_access_key": "{escaped}", "note": "é\n{AWS_ID}", "n": "a\/b"}}"#);
    let config = json!({"redact": true, "block_on_detection": false, "redaction_text": "<\"R\">"});
    let outcome = Bench::new(&kind(), config).call::<ToolPostInvoke>(
        json!({"name": "t", "result": {"content": [{"type": "text", "text": text}]}}),
    );
    assert_eq!(outcome.metadata("secrets_detection")["total_masked"], 2);
    let text = outcome.changed.unwrap()["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(!text.contains("bPxRfiCY") && !text.contains("AKIA"), "{text}");
    assert!(text.contains(r#""n": "a\/b""#), "{text}");
}

#[test]
fn the_violation_tells_kinds_and_never_the_secret() {
    let outcome = args(json!({}), json!({"a": [AWS_ID, {"b": github()}]}));
    let violation = outcome.violation.as_ref().unwrap();
    assert_eq!(violation.code, "SECRETS_DETECTED");
    assert_eq!(violation.reason, "Secrets detected");
    assert_eq!(violation.details["count"], 2);
    assert_eq!(
        violation.details["examples"],
        json!([{"type": "aws_access_key_id"}, {"type": "github_token"}])
    );
    let told = format!("{violation:?}{:?}", outcome.notes);
    assert!(!told.contains(AWS_ID) && !told.contains(&github()));
    assert_eq!(
        outcome.metadata("secrets_detection"),
        json!({"total_detections": 2, "total_masked": 0, "total_blocked": 2,
               "secret_types": ["aws_access_key_id", "github_token"]})
    );
    let many = args(json!({}), json!(vec![AWS_ID; 9]));
    assert_eq!(many.violation.unwrap().details["examples"].as_array().unwrap().len(), 5);
}

#[test]
fn fewer_findings_than_wanted_do_not_block() {
    let config = json!({"min_findings_to_block": 2, "redact": true});
    let outcome = args(config.clone(), json!({"a": AWS_ID}));
    assert_eq!(outcome.changed.as_ref().unwrap()["args"]["a"], "***REDACTED***");
    assert_eq!((outcome.metadata("secrets_redacted"), outcome.metadata("count")), (json!(true), json!(1)));
    assert_eq!(args(config, json!({"a": AWS_ID, "b": AWS_ID})).code(), "SECRETS_DETECTED");
    let Err(error) = Bench::try_new(&kind(), json!({"min_findings_to_block": 0})) else { panic!("accepted") };
    assert_eq!(error.field, "min_findings_to_block");
}

#[test]
fn without_blocking_and_redacting_findings_are_only_told() {
    let outcome = args(json!({"block_on_detection": false}), json!({"a": AWS_ID}));
    assert!(outcome.passed());
    assert_eq!(outcome.metadata("count"), 1);
    assert_eq!(outcome.metadata("secrets_findings"), json!([{"type": "aws_access_key_id"}]));
    let plugin = (kind().build)(&json!({"block_on_detection": false})).unwrap();
    assert_eq!(plugin.needs(ToolPreInvoke::ID).unwrap().effect, Effect::Observe);
}

#[test]
fn unnamed_detectors_keep_their_default() {
    let hex = "ab".repeat(16);
    assert!(args(json!({}), json!({"a": hex})).passed());
    let config = || json!({"enabled": {"hex_secret_32": true, "aws_access_key_id": false}});
    assert_eq!(args(config(), json!({"a": hex})).code(), "SECRETS_DETECTED");
    assert!(args(config(), json!({"a": AWS_ID})).passed());
    assert_eq!(args(config(), json!({"a": github()})).code(), "SECRETS_DETECTED");
    assert!(Bench::try_new(&kind(), json!({"enabled": {"hex_secret": true}})).is_err());
}

#[test]
fn fields_that_are_denied_or_not_allowed_do_not_count() {
    let config = || json!({"field_allowlist": ["layer1"], "field_denylist": ["layer1.layer2"]});
    assert!(args(config(), json!({"other": AWS_ID, "layer1": {"layer2": [{"x": AWS_ID}]}})).passed());
    assert_eq!(args(config(), json!({"layer1": [{"x": AWS_ID}]})).code(), "SECRETS_DETECTED");
    let outcome = Bench::new(&kind(), config())
        .call::<ResourcePostFetch>(json!({"uri": "a:b", "content": {"text": AWS_ID}}));
    assert_eq!(outcome.code(), "SECRETS_DETECTED", "a resource's text is no field");
    let Err(error) = Bench::try_new(&kind(), json!({"field_allowlist": ["a..b"]})) else {
        panic!("accepted")
    };
    assert_eq!(error.field, "field_allowlist[0]");
}

#[test]
fn every_hook_with_text_is_guarded_and_streams_wait_for_their_end() {
    let bench = || Bench::new(&kind(), json!({}));
    let message = json!({"messages": [{"role": "user", "content": {"type": "text", "text": AWS_ID}}]});
    let outcome = bench().call::<PromptPostFetch>(json!({"prompt_id": "p", "result": message}));
    assert_eq!(outcome.code(), "SECRETS_DETECTED");
    let outcome = bench().call::<ToolPostInvoke>(json!({"name": "t", "result": AWS_ID}));
    assert_eq!(outcome.code(), "SECRETS_DETECTED");
    assert_eq!(bench().stream::<LlmOutput>(), Stream::Complete);
    let clean = json!({"name": "t", "args": {"q": "a key, a secret and a token walk into a bar", "n": 5}});
    assert!(bench().call::<ToolPreInvoke>(clean).passed());
}

#[test]
fn hostile_texts_and_nesting_are_withstood() {
    let all = Scanner::new(&Detector::ALL);
    for unit in [
        "AKIA",
        "eyJ",
        "-eyJ",
        "eyJaaaaaaaaaa.",
        "xoxb-",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----END ",
        "-----BEGIN RSA PRIVATE KEY-----\u{1}",
        "aws",
        "awssecret=",
        "aws_secret:",
        "api_key=",
        "github_pat_",
        "{\"a\":\"\\/\"}",
        "\"\\",
        "a",
        "\\",
        "sk_live_",
    ] {
        // Work that grew faster than the text would take minutes.
        let text = "{".to_owned() + &unit.repeat((2 << 20) / unit.len());
        let begun = computed();
        drop(super::literals::find(&all, &text, "api_key"));
        assert!((computed() - begun).as_secs() < 30, "{unit:?}: {:?}", (computed() - begun));
    }
    let text = "a1B2/c3D4 ".repeat(1_000_000) + AWS_ID;
    assert_eq!(args(json!({}), json!({"x": text})).code(), "SECRETS_DETECTED");
    let deep = (0..100).fold(json!(AWS_ID), |inner, _| json!([inner]));
    assert_eq!(args(json!({}), json!({"x": deep})).code(), "SECRETS_DETECTED");
}

#[test]
fn many_findings_under_field_lists_stay_affordable() {
    let values = vec![json!({"token": AWS_ID}); 100_000];
    let started = computed();
    let outcome = args(json!({"field_denylist": ["x.token"]}), json!({"x": values}));
    assert_eq!(outcome.code(), "SECRETS_DETECTED", "beyond the budget every field counts");
    assert!((computed() - started).as_secs() < 60);
}

#[test]
fn defaults_are_those_of_the_schema() {
    let config: Config = serde_json::from_value(json!({})).unwrap();
    assert_eq!(config, Config::default());
}

proptest! {
    #[test]
    fn findings_lie_in_the_text_in_order(text in "([a-zA-Z0-9+/=_.:\"\\\\ -]|AKIA|eyJ|aws|secret|é|-----BEGIN |xoxb-){0,60}") {
        let all = Scanner::new(&Detector::ALL);
        let mut end = 0;
        for found in super::literals::find(&all, &text, "api_key") {
            prop_assert!(found.range.start >= end && found.range.end > found.range.start);
            prop_assert!(text.get(found.range.clone()).is_some());
            end = found.range.end;
        }
    }
}

#[test]
fn equal_detectors_share_one_compiled_scanner() {
    let all = Scanner::shared(&Detector::ALL);
    assert!(std::sync::Arc::ptr_eq(&all, &Scanner::shared(&Detector::ALL)));
    assert!(!std::sync::Arc::ptr_eq(&all, &Scanner::shared(&[Detector::Base64])));
}
