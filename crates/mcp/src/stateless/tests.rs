use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::initialize::implementation;

const META: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"x":1.0},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/logLevel":"info""#;

fn raw(text: &str) -> Raw {
    Raw::parse(text.to_owned()).unwrap()
}

fn params(meta: &str) -> Raw {
    raw(&format!(r#"{{"name":"t","_meta":{{{meta}}},"big":12345678901234567890123}}"#))
}

fn stamp() -> Stamp {
    Stamp::new(implementation("mortise", "1"))
}

#[test]
fn meta_of_a_request_is_read() {
    let meta = request_meta(Some(&params(META))).unwrap().unwrap();
    assert_eq!(meta.version, Version::V2026_07_28);
    assert_eq!(meta.client_capabilities.as_str(), r#"{"x":1.0}"#);
    assert_eq!(meta.client_info.unwrap().as_str(), r#"{"name":"c","version":"1"}"#);
    assert_eq!(meta.log_level.as_deref(), Some("info"));
}

#[test]
fn request_that_names_no_revision_belongs_to_a_session() {
    assert_eq!(request_meta(None).unwrap(), None);
    for text in [
        "{}",
        "[]",
        r#"{"_meta":null}"#,
        r#"{"_meta":{"progressToken":1}}"#,
        r#"{"arguments":{"io.modelcontextprotocol/protocolVersion":"x"}}"#,
    ] {
        assert_eq!(request_meta(Some(&raw(text))).unwrap(), None, "{text}");
    }
}

#[test]
fn revision_under_an_escaped_key_is_seen() {
    let escaped = META.replace("protocolVersion", r"protocol\u0056ersion").replace("ol/", r"ol\/");
    assert!(request_meta(Some(&params(&escaped))).unwrap().is_some());
    let letters = META.replace("io.model", r"\u0069o.model");
    assert!(request_meta(Some(&params(&letters))).unwrap().is_some());
}

#[test]
fn unknown_revision_and_one_with_sessions_are_refused_with_the_list_of_known_ones() {
    for asked in ["2025-11-25", "2030-01-01", ""] {
        let error = request_meta(Some(&params(&META.replace("2026-07-28", asked)))).unwrap_err().to_error();
        assert_eq!(error.code, -32022);
        assert_eq!(http_status(error.code), 400);
        let data: Value = error.data.unwrap().decode().unwrap();
        assert_eq!(data["requested"], json!(asked));
        assert_eq!(data["supported"].as_array().unwrap().len(), 5);
    }
}

#[test]
fn incomplete_meta_is_invalid_params() {
    for meta in [
        r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#.to_owned(),
        META.replace(r#""2026-07-28""#, "1"),
        META.replace(r#"{"x":1.0}"#, "[]"),
        META.replace(r#"{"x":1.0}"#, "null"),
        format!(r#"{META},"io.modelcontextprotocol/protocolVersion":"2026-07-28""#),
    ] {
        assert_eq!(request_meta(Some(&params(&meta))).unwrap_err().to_error().code, -32602, "{meta}");
    }
}

#[test]
fn strip_takes_the_keys_and_nothing_else() {
    assert_eq!(strip(&params(META)).unwrap().as_str(), r#"{"name":"t","big":12345678901234567890123}"#);
    let mixed = params(&format!(r#""a":1.0, {META},"progressToken": 5"#));
    assert_eq!(
        strip(&mixed).unwrap().as_str(),
        r#"{"name":"t","_meta":{"a":1.0,"progressToken": 5},"big":12345678901234567890123}"#
    );
    let plain = params(r#""a":1"#);
    assert_eq!(strip(&plain).unwrap(), plain);
}

#[test]
fn meta_for_an_upstream_reads_back() {
    let meta = request_meta(Some(&params(META))).unwrap().unwrap();
    let sent = with_request_meta(Some(&raw(r#"{"name":"t","_meta":{"progressToken":1}}"#)), &meta).unwrap();
    assert_eq!(request_meta(Some(&sent)).unwrap(), Some(meta.clone()));
    assert!(sent.as_str().starts_with(r#"{"name":"t","_meta":{"progressToken":1,"io."#));
    assert_eq!(request_meta(Some(&with_request_meta(None, &meta).unwrap())).unwrap(), Some(meta));
}

#[test]
fn list_of_an_older_upstream_is_completed() {
    let result = complete_result("tools/list", &raw(r#"{"tools":[ ],"x":1.0}"#), &stamp()).unwrap();
    assert_eq!(
        result.as_str(),
        r#"{"tools":[ ],"x":1.0,"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"mortise","version":"1"}}}"#
    );
    assert_eq!(complete_result("tools/list", &result, &stamp()).unwrap(), result);
}

#[test]
fn tool_result_is_completed_without_cache_hints() {
    let result: Value =
        complete_result("tools/call", &raw(r#"{"_meta":{"a":1},"structuredContent":{}}"#), &stamp())
            .unwrap()
            .decode()
            .unwrap();
    assert_eq!(
        result,
        json!({"_meta": {"a": 1, "io.modelcontextprotocol/serverInfo": {"name": "mortise", "version": "1"}},
               "structuredContent": {}, "resultType": "complete", "content": []})
    );
}

#[test]
fn result_that_asks_for_input_is_left_alone_and_has_no_older_form() {
    let asks = raw(r#"{"resultType":"input_required","requestState":"s"}"#);
    let completed: Value = complete_result("resources/read", &asks, &stamp()).unwrap().decode().unwrap();
    assert_eq!(completed.get("ttlMs"), None);
    assert_eq!(completed["resultType"], "input_required");
    let error = legacy_result(&asks).unwrap().unwrap_err();
    assert!(error.message.contains("input_required"));
    assert!(complete_result("tools/call", &raw("[]"), &stamp()).is_err());
}

#[test]
fn final_result_loses_its_type_for_an_older_client() {
    let result = raw(r#"{ "resultType":"complete", "content":[],"ttlMs":1}"#);
    assert_eq!(legacy_result(&result).unwrap().unwrap().as_str(), r#"{ "content":[],"ttlMs":1}"#);
}

#[test]
fn discover_says_all_that_is_required() {
    let result: Value = discover_result(&raw(r#"{"tools":{}}"#), Some("i"), &stamp()).decode().unwrap();
    assert_eq!(
        result,
        json!({"resultType": "complete",
               "supportedVersions": ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"],
               "capabilities": {"tools": {}}, "instructions": "i", "ttlMs": 0, "cacheScope": "private",
               "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "mortise", "version": "1"}}})
    );
}

#[test]
fn headers_must_say_what_the_body_says() {
    let params = params(META);
    let meta = request_meta(Some(&params)).unwrap().unwrap();
    let good = RoutingHeaders { version: Some("2026-07-28"), method: Some("tools/call"), name: Some("t") };
    let check = |headers: RoutingHeaders<'_>| check_headers(&headers, &meta, "tools/call", Some(&params));
    check(good).unwrap();
    check(RoutingHeaders { name: Some("=?base64?dA==?="), ..good }).unwrap();
    for bad in [
        RoutingHeaders { version: None, ..good },
        RoutingHeaders { version: Some("2025-11-25"), ..good },
        RoutingHeaders { method: None, ..good },
        RoutingHeaders { method: Some("tools/list"), ..good },
        RoutingHeaders { name: None, ..good },
        RoutingHeaders { name: Some("u"), ..good },
        RoutingHeaders { name: Some("=?base64?dA?="), ..good },
        RoutingHeaders { name: Some("=?base64?dB==?="), ..good },
    ] {
        assert_eq!(check(bad).unwrap_err().to_error().code, -32020, "{bad:?}");
    }
    let headers = RoutingHeaders { method: Some("tools/list"), name: None, ..good };
    check_headers(&headers, &meta, "tools/list", Some(&params)).unwrap();
}

#[test]
fn header_values_are_encoded_only_where_they_must() {
    assert_eq!(encode_header_value("plain name"), "plain name");
    assert_eq!(encode_header_value("é"), "=?base64?w6k=?=");
    assert_eq!(encode_header_value(" x"), "=?base64?IHg=?=");
    assert_eq!(encode_header_value("=?base64?x?="), "=?base64?PT9iYXNlNjQ/eD89?=");
    assert_eq!(encode_header_value(""), "");
    assert_eq!(decode_header_value("=?base64?====?="), None);
    assert_eq!(decode_header_value("=?base64?w6k?="), None);
}

proptest! {
    #[test]
    fn header_values_read_back(value in any::<String>()) {
        let encoded = encode_header_value(&value).into_owned();
        prop_assert!(encoded.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
        prop_assert_eq!(decode_header_value(&encoded), Some(value.into()));
    }

    #[test]
    fn any_header_value_decodes_without_panic(value in "(=\\?base64\\?)?[A-Za-z0-9+/=]{0,12}(\\?=)?") {
        let _ = decode_header_value(&value);
    }
}
