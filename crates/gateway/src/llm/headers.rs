//! Headers on their way to a vendor and back.
//!
//! Vendors' libraries send headers that mean something there (`anthropic-beta`, `openai-organization`), so a client's
//! headers go on, other than with MCP. Not those that belong to a connection, that carry or could carry a credential, or
//! that tell of the way so far.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use mortise_llm::{
    client::CREDENTIAL_HEADERS,
    sigv4::{self, Credentials},
};
use mortise_plugin_api::Headers;
use mortise_telemetry::redact;

use super::table::Llm;
use crate::{config, edge::guard};

/// What ends at the gateway, beside credentials.
fn stays(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "host"
            | "content-length"
            | "content-encoding"
            | "accept-encoding"
            | "expect"
            | "forwarded"
            | "via"
            | "origin"
            | "referer"
            | "x-real-ip"
            | "x-request-id"
            | "x-correlation-id"
            | "traceparent"
            | "tracestate"
            | "baggage"
    ) || name.starts_with("x-forwarded-")
        || name.starts_with("sec-")
        || name.starts_with("mcp-")
}

/// Whether a client's header goes to the vendor.
fn goes(name: &HeaderName, value: &HeaderValue) -> bool {
    let name = name.as_str();
    !(stays(name)
        || value.is_sensitive()
        || CREDENTIAL_HEADERS.contains(&name)
        || redact::is_secret_name(name))
}

/// The client's headers that go to the vendor.
pub(super) fn inbound(headers: &HeaderMap) -> HeaderMap {
    let dropped = named_by_connection(headers);
    let mut kept = HeaderMap::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        if goes(name, value) && !dropped.iter().any(|dropped| dropped.eq_ignore_ascii_case(name.as_str())) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// Headers that a message says belong to its connection.
fn named_by_connection(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).collect()
}

/// What an LLM's vendor is sent, of what came from the client.
pub(super) fn outbound(llm: &Llm, client: &HeaderMap, told: Option<&HeaderMap>) -> HeaderMap {
    let mut headers = client.clone();
    for (name, value) in llm.vendor().headers() {
        if !headers.contains_key(*name) {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
    }
    // So that usage can be read, and plugins see text.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in told.into_iter().flatten() {
        headers.insert(name.clone(), value.clone());
    }
    // Last: nobody changes what is configured.
    for (name, value) in &llm.headers {
        headers.insert(name.clone(), value.clone());
    }
    headers
}

/// Headers of a vendor's answer that go to the client.
pub(super) fn answered(headers: &mut HeaderMap) {
    let dropped: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            matches!(
                name,
                "connection"
                    | "keep-alive"
                    | "proxy-authenticate"
                    | "te"
                    | "trailer"
                    | "transfer-encoding"
                    | "upgrade"
                    | "set-cookie"
                    | "alt-svc"
                    | "strict-transport-security"
                    | "www-authenticate"
            ) || name.starts_with("access-control-")
        })
        .cloned()
        .collect();
    for name in dropped {
        headers.remove(name);
    }
}

/// Headers as plugins see them: no credentials, and nothing that is no text.
pub(super) fn shown(headers: &HeaderMap) -> Headers {
    let secret = |name: &str| CREDENTIAL_HEADERS.contains(&name) || redact::is_secret_name(name);
    let shown = headers.iter().filter(|(name, value)| !value.is_sensitive() && !secret(name.as_str()));
    shown.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect()
}

/// Makes the changes of plugins.
pub(super) fn change(headers: &mut HeaderMap, before: &Headers, after: &Headers) {
    guard::change(headers, before, after, |_, _| true);
}

/// Sets headers that plugins wish for.
pub(super) fn wished(headers: &mut HeaderMap, wishes: &Headers) {
    change(headers, &Headers::new(), wishes);
}

/// Signs requests to Bedrock.
#[derive(Clone, Debug)]
pub(crate) struct Sign {
    credentials: Credentials,
    region: Box<str>,
}

impl Sign {
    /// What signs with a key, where that is a pair.
    pub(super) fn of(settings: &config::Llm, key: &str) -> Option<Self> {
        let credentials = Credentials::parse(key)?;
        let host = settings.endpoint.host_str().unwrap_or_default();
        let region = settings.region.as_deref().or_else(|| sigv4::region_of(host)).unwrap_or("us-east-1");
        Some(Self { credentials, region: region.into() })
    }

    /// Signs a request as it is sent.
    pub(super) fn sign(&self, method: &str, target: &str, headers: &mut HeaderMap, body: &[u8]) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let request = sigv4::Request { method, host, path, query, headers: &[], body };
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let scope = sigv4::Scope { region: &self.region, service: "bedrock", at };
        for (name, value) in sigv4::sign(&request, &scope, &self.credentials) {
            if let Ok(mut value) = HeaderValue::try_from(value) {
                value.set_sensitive(true);
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}
