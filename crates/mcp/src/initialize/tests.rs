use serde_json::json;

use super::*;

fn raw(text: &str) -> Raw {
    Raw::parse(text.to_owned()).unwrap()
}

#[test]
fn client_hello_keeps_capabilities_and_info_as_written() {
    let params = raw(
        r#"{"protocolVersion":"2025-06-18","capabilities":{"sampling":{}, "x":1.0},"clientInfo":{"name":"c","version":"1","y":[ ]}}"#,
    );
    let hello = ClientHello::parse(Some(&params)).unwrap();
    assert_eq!(hello.negotiate(), Version::V2025_06_18);
    assert_eq!(hello.capabilities.as_str(), r#"{"sampling":{}, "x":1.0}"#);
    assert_eq!(hello.client_info.unwrap().as_str(), r#"{"name":"c","version":"1","y":[ ]}"#);
}

#[test]
fn client_hello_without_a_version_is_refused_and_without_the_rest_is_not() {
    assert!(ClientHello::parse(None).is_err());
    assert!(ClientHello::parse(Some(&raw("{}"))).is_err());
    assert!(ClientHello::parse(Some(&raw(r#"{"protocolVersion":1}"#))).is_err());
    assert!(ClientHello::parse(Some(&raw(r#"{"protocolVersion":"x","capabilities":[]}"#))).is_err());
    let hello = ClientHello::parse(Some(&raw(r#"{"protocolVersion":"x","capabilities":null}"#))).unwrap();
    assert_eq!(hello.capabilities, Raw::EMPTY_OBJECT);
    assert_eq!(hello.negotiate(), Version::LATEST_WITH_INITIALIZE);
}

#[test]
fn server_hello_tells_what_is_offered() {
    let hello = ServerHello::parse(&raw(
        r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"prompts":null},"serverInfo":{"name":"s","version":"1"},"instructions":"do"}"#,
    ))
    .unwrap();
    assert!(hello.offers("tools"));
    assert!(!hello.offers("prompts"));
    assert!(!hello.offers("resources"));
    assert_eq!(hello.instructions.as_deref(), Some("do"));
}

#[test]
fn capabilities_are_a_union_and_unknown_ones_are_kept() {
    let a = raw(r#"{"tools":{"listChanged":false},"vendor/x":{"deep":{"a":1}},"n":1}"#);
    let b = raw(
        r#"{"tools":{"listChanged":true},"resources":{"subscribe":true},"vendor/x":{"deep":{"b":2}},"n":2}"#,
    );
    let merged: Value = merge_capabilities([&a, &b]).decode().unwrap();
    assert_eq!(
        merged,
        json!({"tools": {"listChanged": true}, "vendor/x": {"deep": {"a": 1, "b": 2}}, "n": 1, "resources": {"subscribe": true}})
    );
    assert_eq!(merge_capabilities([&a]).as_str(), a.as_str());
    assert_eq!(merge_capabilities([]), Raw::EMPTY_OBJECT);
    assert_eq!(merge_capabilities([&raw("[]")]), Raw::EMPTY_OBJECT);
}

#[test]
fn result_and_params_have_the_shape_of_the_protocol() {
    let info = implementation("mortise", "0.1.0");
    let value: Value =
        result(Version::V2025_11_25, &raw(r#"{"tools":{}}"#), &info, Some("a\nb")).decode().unwrap();
    assert_eq!(
        value,
        json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
               "serverInfo": {"name": "mortise", "version": "0.1.0"}, "instructions": "a\nb"})
    );
    let value: Value = params(Version::V2025_06_18, None, &info).decode().unwrap();
    assert_eq!(
        value,
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "mortise", "version": "0.1.0"}})
    );
}

#[test]
fn instructions_of_one_stay_and_of_several_are_named() {
    assert_eq!(merge_instructions([]), None);
    assert_eq!(merge_instructions([("a", " "), ("b", "use b\n")]), Some("use b\n".into()));
    assert_eq!(
        merge_instructions([("a", "use a\n"), ("b", "use b")]),
        Some("## a\n\nuse a\n\n## b\n\nuse b".into())
    );
    let long = "x".repeat(MAX_INSTRUCTIONS);
    assert_eq!(merge_instructions([("a", &*long), ("b", "use b")]), Some("## b\n\nuse b".into()));
}

#[test]
fn a_client_can_be_asked_where_it_says_so() {
    let hello = |capabilities: &str| {
        let params = format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities}}}"#);
        ClientHello::parse(Some(&raw(&params))).unwrap()
    };
    for capabilities in [r#"{"roots":{"listChanged":true}}"#, r#"{"sampling":{}}"#, r#"{"elicitation":{}}"#] {
        assert!(hello(capabilities).can_be_asked(), "{capabilities}");
    }
    for capabilities in ["{}", r#"{"roots":null}"#, r#"{"experimental":{"roots":{}}}"#] {
        assert!(!hello(capabilities).can_be_asked(), "{capabilities}");
    }
}
