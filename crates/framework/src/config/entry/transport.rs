//! What may be written of the way to an external plugin.
//!
//! An entry whose server nothing here can reach yet is kept as it is, so that it loads; but a typing error in it would
//! be found by nobody until then. Only names of keys are looked at: what their values must be is for whoever connects.

use super::EntryRules;
use crate::config::diagnostic::{Diagnostic, DiagnosticKind};
use crate::config::node::Node;
use crate::config::{nearest, path};

const KEYS: [(&str, &[&str]); 3] = [
    (
        "mcp",
        &[
            "proto",
            "url",
            "script",
            "cmd",
            "env",
            "cwd",
            "uds",
            "tls",
            "reconnect_attempts",
            "reconnect_delay",
        ],
    ),
    ("grpc", &["target", "uds", "tls"]),
    ("unix_socket", &["path", "reconnect_attempts", "reconnect_delay", "timeout"]),
];

const TLS: [&str; 6] = ["certfile", "keyfile", "ca_bundle", "keyfile_password", "verify", "check_hostname"];

/// Keys that examples show and that have no meaning in any version of the format.
const SHOWN_ONLY: [&str; 6] = [
    "auth",
    "health_check_endpoint",
    "health_check_interval",
    "tls_verify",
    "tls_client_cert",
    "tls_client_key",
];

/// A diagnostic for each key of a transport that has no meaning: errors and notices.
pub(super) fn check(node: &Node, at: &str, rules: &EntryRules<'_>) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let (mut errors, mut notices) = (Vec::new(), Vec::new());
    for (key, allowed) in KEYS {
        let Some(section) = node.get(key) else { continue };
        let at = path::with_key(at, key);
        let found = unknown(section, &at, allowed);
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
            if SHOWN_ONLY.contains(&key.as_str()) {
                let message = format!("`{shown}` is accepted and has no effect");
                let remark = Diagnostic::new(DiagnosticKind::Remark, message);
                return remark.at(entry.key_span.clone()).path(place);
            }
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
