//! Upstreams joining the gateway.

use serde::{Deserialize, Serialize};

use super::define::{applied, from_wire, hook, payload};
use crate::{Hook, Json};

/// An upstream about to join, or that has joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RegistrationPayload {
    /// The upstream's name.
    pub name: String,
    /// What is known of it: `url` or `command`, `tags`, `description`, after joining also what it offers.
    #[serde(default = "Json::object")]
    pub server: Json,
}

payload!(RegistrationPayload, "server_pre_register",
    subject: |p| Some(&p.name),
    size: |p| p.server.size(),
    carriers: |p| [],
    replace: |p, edited| {});

from_wire!(RegistrationPayload);

hook! {
    /// Before an upstream joins.
    ServerPreRegister = 17, "server_pre_register", pre_row {
        aliases: &[], family: Registration, moment: Before, block: true, change: true, rule: Chain,
        limit: Arguments, pair: Some(ServerPostRegister::ID), writable: &["server"],
        about: "Before an upstream joins: look at it, change what is known of it, or refuse it.",
        payload: RegistrationPayload, answer: RegistrationPayload,
        apply: |old, new| applied(old, RegistrationPayload { name: old.name.clone(), ..new }, Vec::new()),
        example: r#"{"name": "docs", "server": {"url": "http://127.0.0.1:9101/mcp", "tags": []}}"#
            => r#"{"name": "docs", "server": {"url": "http://127.0.0.1:9101/mcp", "tags": ["reviewed"]}}"#,
            "A tag is added.",
    }
}

hook! {
    /// After an upstream joined.
    ServerPostRegister = 18, "server_post_register", post_row {
        aliases: &[], family: Registration, moment: AfterTheFact, block: false, change: false, rule: Chain,
        limit: Arguments, pair: Some(ServerPreRegister::ID), writable: &[],
        about: "After an upstream joined.",
        payload: RegistrationPayload, answer: RegistrationPayload,
        apply: |_old, _new| crate::hook::Applied { payload: None, refused: vec!["server"] },
        example: r#"{"name": "docs", "server": {"url": "http://127.0.0.1:9101/mcp", "tools": 3}}"#,
    }
}
