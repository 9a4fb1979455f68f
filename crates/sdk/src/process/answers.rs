//! What a plugin decided, as the gateway's calls are answered.

use std::collections::HashMap;

use bytes::Bytes;
use mortise_plugin_api::{Headers, PluginError, Violation, hooks::http::UserRecord};
use mortise_proto::tyk::plugin::{AuthResponse, PluginResponse};
use serde_json::Value;
use tonic::Status;

/// A plugin that gave no answer is the error of its call.
pub(super) fn failed(error: PluginError) -> Status {
    match error {
        PluginError::Unavailable(why) => Status::unavailable(why),
        error @ PluginError::Timeout(_) => Status::deadline_exceeded(error.to_string()),
        error @ PluginError::Panicked(_) => Status::internal(error.to_string()),
        error => Status::unknown(error.to_string()),
    }
}

/// A refusal, with the status, headers and body that the plugin wants.
pub(super) fn refusal(violation: Violation) -> PluginResponse {
    let Violation { reason, description, http_status_code, http_headers, http_body, .. } = violation;
    PluginResponse {
        block: true,
        status_code: http_status_code.map_or(0, i32::from),
        headers: http_headers.as_ref().map(canonical).unwrap_or_default(),
        body: http_body.unwrap_or_default(),
        error_message: if reason.is_empty() { description } else { reason },
        ..PluginResponse::default()
    }
}

/// A caller's record. What the message has no place for is a claim.
pub(super) fn accepted(record: &UserRecord) -> AuthResponse {
    let UserRecord(record) = record;
    let text = |key: &str| match record.get(key) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(items)) => {
            Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
        }
        Some(other) => Some(other.to_string()),
    };
    let mut claims: HashMap<String, String> = HashMap::new();
    if let Some(Value::Object(metadata)) = record.get("metadata") {
        claims.extend(metadata.iter().map(|(key, value)| {
            (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        }));
    }
    for (key, claim) in [
        ("email", "email"),
        ("full_name", "name"),
        ("tenant", "tenant"),
        ("teams", "teams"),
        ("scopes", "scopes"),
    ] {
        claims.extend(text(key).filter(|text| !text.is_empty()).map(|text| (claim.to_owned(), text)));
    }
    AuthResponse {
        authenticated: true,
        user_id: text("email").or_else(|| text("user")).unwrap_or_default(),
        app_id: text("app").unwrap_or_default(),
        claims,
        error_message: String::new(),
    }
}

/// Headers as the gateway's messages write them: `X-Api-Key`.
pub(super) fn canonical(headers: &Headers) -> HashMap<String, String> {
    headers.iter().map(|(name, value)| (spelt(name), value.to_owned())).collect()
}

fn spelt(name: &str) -> String {
    let mut first = true;
    let letters = name.chars().map(|letter| {
        let written = if first { letter.to_ascii_uppercase() } else { letter };
        first = letter == '-';
        written
    });
    letters.collect()
}

/// Headers as plugins see them, in an order that does not change.
pub(super) fn lower(headers: &HashMap<String, String>) -> Headers {
    let mut sorted: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    sorted.sort_unstable();
    sorted.into_iter().collect()
}

/// Address and port of a client.
pub(super) fn client(address: &str) -> (Option<String>, Option<u16>) {
    if let Ok(address) = address.parse::<std::net::SocketAddr>() {
        return (Some(address.ip().to_string()), Some(address.port()));
    }
    (Some(address).filter(|address| !address.is_empty()).map(str::to_owned), None)
}

/// A body as it travels where an empty one means that it stays: what was not changed is left out.
pub(super) fn unless_same(new: &Bytes, old: &Bytes) -> Bytes {
    if new == old { Bytes::new() } else { new.clone() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn record_of_a_caller_becomes_fields_and_claims() {
        let record = json!({
            "email": "ann@example.com", "app": 7, "tenant": "acme", "teams": ["a", "b"], "scopes": [],
            "full_name": "Ann", "metadata": { "tier": "gold", "level": 3 },
        });
        let Value::Object(record) = record else { unreachable!() };
        let answer = accepted(&UserRecord(record));
        assert_eq!((answer.user_id.as_str(), answer.app_id.as_str()), ("ann@example.com", "7"));
        let mut claims: Vec<_> = answer.claims.into_iter().collect();
        claims.sort();
        let expected = [
            ("email", "ann@example.com"),
            ("level", "3"),
            ("name", "Ann"),
            ("teams", "a,b"),
            ("tenant", "acme"),
            ("tier", "gold"),
        ];
        assert_eq!(claims, expected.map(|(key, text)| (key.to_owned(), text.to_owned())));
    }

    #[test]
    fn headers_and_addresses_are_read_and_written_as_each_side_has_them() {
        let headers: Headers = [("x-api-key", "1"), ("etag", "2")].into_iter().collect();
        let written = canonical(&headers);
        assert_eq!((written["X-Api-Key"].as_str(), written["Etag"].as_str()), ("1", "2"));
        assert_eq!(lower(&written).get("x-api-key"), Some("1"));
        assert_eq!(client("[::1]:80"), (Some("::1".to_owned()), Some(80)));
        assert_eq!(client("192.0.2.1"), (Some("192.0.2.1".to_owned()), None));
        assert_eq!(client(""), (None, None));
    }
}
