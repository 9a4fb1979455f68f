//! Decides which resources may be read, how large they may be, and redacts their text.
//!
//! Before a read it looks at the URI: protocol and domain. After it, at the size and the text. URIs are read by the
//! URL standard, so that other spellings of a blocked domain (capitals, a trailing dot, percent escapes, user names in
//! front) are the same domain.

pub mod config;
mod uri;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, ops::ControlFlow, sync::Arc};

use mortise_plugin_api::{
    BuildError, Cx, Edits, Hook, Json, Native, NativeKind, Needs, Payload, Plugin, PluginError, Verdict,
    Violation,
    hooks::{
        ResourcePostFetch, ResourcePreFetch,
        resource::{ResourcePostFetchPayload, ResourcePreFetchPayload},
    },
};
use serde_json::{Map, Value};

use crate::pattern::{Case, Rules};
use config::Config;
use uri::{Domains, Refusal};

/// Most bytes that the replacements of one filter may add to one text.
const MAX_GROWTH: usize = 10_485_760;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "resource_filter",
        class_paths: &["plugins.resource_filter.resource_filter.ResourceFilterPlugin"],
        about: "Decides which resources may be read, how large they may be, and redacts their text.",
        hooks: &[ResourcePreFetch::ID, ResourcePostFetch::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let entries = config.content_filters.iter().enumerate();
    let entries =
        entries.map(|(i, f)| (format!("content_filters[{i}]"), f.pattern.as_str(), f.replacement.as_str()));
    let filters = Rules::new(entries, Case::Insensitive, MAX_GROWTH)?;
    let domains = Domains::new(&config.blocked_domains);
    let protocols = config.allowed_protocols.iter().map(|p| p.to_ascii_lowercase()).collect();
    let filter = ResourceFilter { filters, domains, protocols, max_content_size: config.max_content_size };
    Ok(Native::new(filter)
        .on::<ResourcePreFetch>(Needs::change(), ResourceFilter::before)
        .on::<ResourcePostFetch>(Needs::change(), ResourceFilter::after)
        .into_plugin())
}

struct ResourceFilter {
    filters: Rules,
    domains: Domains,
    protocols: Vec<String>,
    max_content_size: usize,
}

impl ResourceFilter {
    fn before(
        &self,
        payload: &ResourcePreFetchPayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ResourcePreFetchPayload>, PluginError> {
        let protocol = match uri::check(&payload.uri, &self.protocols, &self.domains) {
            Ok(protocol) => protocol,
            Err(refusal) => return Ok(refused(refusal, &payload.uri).into()),
        };
        let mut metadata = match payload.metadata.value() {
            Ok(Value::Object(map)) => map.clone(),
            _ => Map::new(),
        };
        metadata.insert("validated".into(), true.into());
        metadata.insert("protocol".into(), protocol.into());
        metadata.insert("request_id".into(), (&*cx.request().id).into());
        metadata.insert("user".into(), cx.request().caller.user.as_deref().into());
        metadata.insert("allowed_size".into(), self.max_content_size.into());
        let uri = payload.uri.clone();
        Ok(Verdict::Change(ResourcePreFetchPayload { uri, metadata: Json::from(Value::Object(metadata)) }))
    }

    fn after(
        &self,
        payload: &ResourcePostFetchPayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ResourcePostFetchPayload>, PluginError> {
        let limit = self.max_content_size;
        // JSON text is never shorter than what it says, so most contents need no closer look.
        if payload.content.size() > limit {
            let size = largest(&payload.content);
            if size > limit {
                return Ok(Violation::new("CONTENT_TOO_LARGE", "Content too large")
                    .describe(format!("Content size {size} exceeds limit {limit}"))
                    .detail("size", size)
                    .detail("limit", limit)
                    .into());
            }
        }
        let mut edits = Edits::new();
        let mut failed = None;
        payload.texts(&mut |part| {
            match self.filters.apply(&part.text) {
                Ok(Cow::Borrowed(_)) => {}
                Ok(Cow::Owned(text)) => edits.replace_all(part.id, part.text.len(), text),
                Err(error) => {
                    failed = Some(PluginError::failed(error.to_string()));
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if edits.is_empty() {
            return Ok(Verdict::Pass);
        }
        cx.metadata("content_filtered", true);
        Ok(Verdict::Edit(edits))
    }
}

fn refused(refusal: Refusal, uri: &str) -> Violation {
    match refusal {
        Refusal::Invalid(why) => Violation::new("INVALID_URI", "Invalid URI")
            .describe(format!("The URI cannot be read: {why}"))
            .detail("uri", uri),
        Refusal::Protocol(protocol) => Violation::new("PROTOCOL_BLOCKED", "Blocked protocol")
            .describe(format!("Protocol '{protocol}' not in allowed list"))
            .detail("protocol", protocol)
            .detail("uri", uri),
        Refusal::Domain(domain) => Violation::new("DOMAIN_BLOCKED", "Blocked domain")
            .describe(format!("Domain '{domain}' is in blocked list"))
            .detail("domain", domain),
    }
}

/// Size in bytes of the largest content: its text, or what its base64 stands for.
fn largest(content: &Json) -> usize {
    let Ok(value) = content.value() else { return content.size() };
    let one = |item: &Value| match item {
        Value::String(text) => text.len(),
        item => {
            let text = item.get("text").and_then(Value::as_str).map_or(0, str::len);
            let blob =
                item.get("blob").and_then(Value::as_str).map_or(0, |b| b.trim_end_matches('=').len() / 4 * 3);
            text.max(blob)
        }
    };
    let contents = value.get("contents").unwrap_or(value);
    match contents {
        Value::Array(items) => items.iter().map(one).max().unwrap_or(0),
        item => one(item),
    }
}
