//! What may be written of the way to an external plugin.
//!
//! Only names of keys are looked at, here where their places are known: what their values must be is for whoever
//! connects.

use super::EntryRules;
use crate::config::diagnostic::{Diagnostic, DiagnosticKind};
use crate::config::node::Node;
use crate::config::{nearest, path};

/// What holds for calls over any transport.
const OF_ALL: [&str; 9] = [
    "cache_max_entries",
    "cache_ttl_seconds",
    "connection_pool_size",
    "health_check_interval",
    "max_response_size_mb",
    "reconnect_attempts",
    "reconnect_delay",
    "retry_attempts",
    "timeout_ms",
];

const KEYS: [(&str, &[&str]); 3] = [
    (
        "mcp",
        &[
            "proto",
            "dialect",
            "url",
            "script",
            "cmd",
            "args",
            "env",
            "cwd",
            "uds",
            "headers",
            "auth",
            "tls",
            "tls_verify",
            "tls_client_cert",
            "tls_client_key",
            "tls_ca_bundle",
            "tls_check_hostname",
            "health_check_endpoint",
            "allowed_response_codes",
        ],
    ),
    ("grpc", &["target", "uds", "tls"]),
    ("unix_socket", &["path", "timeout"]),
];

const TLS: [&str; 8] = [
    "certfile",
    "keyfile",
    "client_cert",
    "client_key",
    "ca_bundle",
    "keyfile_password",
    "verify",
    "check_hostname",
];

/// A diagnostic for each key of a transport that has no meaning: errors and notices.
pub(super) fn check(node: &Node, at: &str, rules: &EntryRules<'_>) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let (mut errors, mut notices) = (Vec::new(), Vec::new());
    for (key, allowed) in KEYS {
        let Some(section) = node.get(key) else { continue };
        let at = path::with_key(at, key);
        let allowed: Vec<&str> = allowed.iter().chain(&OF_ALL).copied().collect();
        let found = unknown(section, &at, &allowed);
        let tls = section.get("tls").map(|tls| unknown(tls, &path::with_key(&at, "tls"), &TLS));
        for one in found.into_iter().chain(tls.into_iter().flatten()) {
            let refused = one.kind == DiagnosticKind::UnknownKey && rules.dialect.refuses_unknown_keys();
            if refused { errors.push(one) } else { notices.push(one) }
        }
    }
    (errors, notices)
}

fn unknown(section: &Node, at: &str, allowed: &[&str]) -> Vec<Diagnostic> {
    let keys = section.as_map().into_iter().flatten();
    let unknown = keys.filter(|(key, _)| !allowed.contains(&key.as_str()));
    unknown
        .map(|(key, entry)| {
            let shown = entry.shown_key(key);
            let typed = if entry.has_hidden_key() { "" } else { key };
            let place = path::with_key(at, &shown);
            let error = Diagnostic::new(DiagnosticKind::UnknownKey, format!("unknown key `{shown}`"))
                .at(entry.key_span.clone())
                .path(place);
            match nearest::advice(typed, allowed) {
                Some(help) => error.help(help),
                None => error,
            }
        })
        .collect()
}
