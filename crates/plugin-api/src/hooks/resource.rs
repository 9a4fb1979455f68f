//! Resources: before a resource is read and after its content is there.

use serde::{Deserialize, Serialize};

use super::define::{applied, from_wire, hook, payload, put, refuse};
use crate::content::{scan::Select, view::json};
use crate::{Hook, Json};

/// A resource about to be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResourcePreFetchPayload {
    /// Its URI.
    pub uri: String,
    /// Free data; plugins may leave `headers` for the upstream here.
    #[serde(default = "Json::object")]
    pub metadata: Json,
}

payload!(ResourcePreFetchPayload, "resource_pre_fetch",
    subject: |p| Some(&p.uri),
    size: |p| p.uri.len() + p.metadata.size(),
    carriers: |p| [],
    replace: |p, edited| {});

/// A resource's content on its way to the client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResourcePostFetchPayload {
    /// The URI that was asked for, also where a pre hook rewrote it.
    pub uri: String,
    /// `{type: "resource", uri, mime_type, text, blob}`; a list of them where the upstream answered several.
    #[serde(default)]
    pub content: Json,
}

payload!(ResourcePostFetchPayload, "resource_post_fetch",
    subject: |p| Some(&p.uri),
    size: |p| p.content.size(),
    content_type: |p| content_type(&p.content),
    encode: |p, _wire| crate::hook::encode_json("resource_post_fetch", p),
    carriers: |p| [json("content", &p.content, Select::Resource)],
    replace: |p, edited| { put!(edited, json p.content); });

/// The MIME type the content names; of several, the first.
fn content_type(content: &Json) -> Option<String> {
    let value = content.value().ok()?;
    let first = value.as_array().map_or(Some(value), |items| items.first())?;
    first.get("mime_type").or_else(|| first.get("mimeType"))?.as_str().map(str::to_owned)
}

from_wire!(ResourcePreFetchPayload, ResourcePostFetchPayload);

hook! {
    /// Before a resource is read.
    ResourcePreFetch = 4, "resource_pre_fetch", pre_row {
        aliases: &[], family: Resource, moment: Before, block: true, change: true, rule: Chain, limit: Content,
        pair: Some(ResourcePostFetch::ID), writable: &["uri", "metadata"], serves: true,
        about: "Before a resource is read: look at its URI, rewrite it, serve it with content of your own, or block it.",
        payload: ResourcePreFetchPayload, answer: ResourcePreFetchPayload,
        apply: |old, new| applied(old, new, Vec::new()),
        example: r#"{"uri": "file:///data/report.md", "metadata": {}}"#
            => r#"{"uri": "file:///public/report.md", "metadata": {}}"#,
            "Another resource is read instead; the gateway looks it up like any other.",
    }
}

hook! {
    /// After a resource's content is there.
    ResourcePostFetch = 5, "resource_post_fetch", post_row {
        aliases: &[], family: Resource, moment: After, block: true, change: true, rule: Chain, limit: Content,
        pair: Some(ResourcePreFetch::ID), writable: &["content"],
        about: "After a resource was read: look at its content, change it, or withhold it.",
        payload: ResourcePostFetchPayload, answer: ResourcePostFetchPayload,
        apply: |old, new| {
            let mut refused = Vec::new();
            refuse(&mut refused, "uri", &old.uri, &new.uri);
            applied(old, ResourcePostFetchPayload { uri: old.uri.clone(), content: new.content }, refused)
        },
        example: r#"{"uri": "file:///data/report.md", "content": {"type": "resource", "uri": "file:///data/report.md", "mime_type": "text/markdown", "text": "Call 555-0100"}}"#
            => r#"{"uri": "file:///data/report.md", "content": {"type": "resource", "uri": "file:///data/report.md", "mime_type": "text/markdown", "text": "Call [PHONE]"}}"#,
            "A number is masked.",
    }
}
