//! Peer gateways synchronising.

use serde::{Deserialize, Serialize};

use super::define::{applied, from_wire, hook, payload};
use crate::{Hook, Json};

/// A synchronisation with a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FederationPayload {
    /// The peer.
    pub peer: String,
    /// What is about to be, or was, exchanged.
    #[serde(default = "Json::object")]
    pub items: Json,
}

payload!(FederationPayload, "federation_pre_sync",
    subject: |p| Some(&p.peer),
    size: |p| p.items.size(),
    carriers: |p| [],
    replace: |p, edited| {});

from_wire!(FederationPayload);

hook! {
    /// Before peers synchronise.
    FederationPreSync = 19, "federation_pre_sync", pre_row {
        aliases: &[], family: Federation, moment: Before, block: true, change: true, rule: Chain,
        limit: Content, pair: Some(FederationPostSync::ID), writable: &["items"],
        about: "Before peers synchronise: look at what would be exchanged, change it, or refuse.",
        payload: FederationPayload, answer: FederationPayload,
        apply: |old, new| applied(old, FederationPayload { peer: old.peer.clone(), ..new }, Vec::new()),
        example: r#"{"peer": "east", "items": {"tools": ["search", "shell"]}}"#
            => r#"{"peer": "east", "items": {"tools": ["search"]}}"#,
            "A tool is not shared.",
    }
}

hook! {
    /// After peers synchronised.
    FederationPostSync = 20, "federation_post_sync", post_row {
        aliases: &[], family: Federation, moment: AfterTheFact, block: false, change: false, rule: Chain,
        limit: Content, pair: Some(FederationPreSync::ID), writable: &[],
        about: "After peers synchronised.",
        payload: FederationPayload, answer: FederationPayload,
        apply: |_old, _new| crate::hook::Applied { payload: None, refused: vec!["items"] },
        example: r#"{"peer": "east", "items": {"tools": ["search"]}}"#,
    }
}
