//! Adds headers to what the gateway sends to upstreams for reads of resources, and for tools and agents where asked.
//!
//! Names and values are checked when the plugin is made, not when a call is: what cannot be a header, and what frames a
//! message, is refused then. A prefix that ends within the host of a URI matches whole hosts only, since
//! `https://api.example` would else be the beginning of `https://api.example.evil.test` too.

pub mod config;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use mortise_plugin_api::{
    BuildError, Cx, Headers, Hook, Json, Native, NativeKind, Needs, Plugin, PluginError, Verdict,
    hooks::{
        AgentPreInvoke, ResourcePreFetch, ToolPreInvoke, agent::AgentPreInvokePayload,
        resource::ResourcePreFetchPayload, tool::ToolPreInvokePayload,
    },
};
use serde_json::{Map, Value};

use config::Config;

/// Headers that belong to the connection, which plugins have no business with.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "header_injector",
        class_paths: &["plugins.header_injector.header_injector.HeaderInjectorPlugin"],
        about: "Adds headers to what goes to upstreams for reads of resources, and for tools and agents where asked.",
        hooks: &[ResourcePreFetch::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let mut headers = Headers::new();
    for (name, value) in &config.headers {
        check(name, value)?;
        if headers.get(name).is_some() {
            let message = format!("header {name} is given twice, in different letter case");
            return Err(BuildError::new(format!("headers.{name}"), message));
        }
        headers.set(name, value.as_str());
    }
    let injector = HeaderInjector {
        headers,
        spelled: config.headers.into_iter().collect(),
        prefixes: config.uri_prefixes,
    };
    Ok(Native::new(injector)
        .on::<ResourcePreFetch>(Needs::change().without_body(), HeaderInjector::resource)
        .on::<ToolPreInvoke>(Needs::change().without_body(), HeaderInjector::tool)
        .on::<AgentPreInvoke>(Needs::change().without_body(), HeaderInjector::agent)
        .into_plugin())
}

/// Whether this can be sent as a header, and may be.
fn check(name: &str, value: &str) -> Result<(), BuildError> {
    let wrong = |what: &str| {
        let shown: String = name.chars().take(60).collect();
        Err(BuildError::new(format!("headers.{shown}"), format!("header `{shown}` {what}")))
    };
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return wrong("has a name that is no header name: letters, digits and !#$%&'*+-.^_`|~ are allowed");
    }
    if FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name)) {
        return wrong("belongs to the connection and cannot be set");
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return wrong("has a value with line breaks or other control characters");
    }
    Ok(())
}

struct HeaderInjector {
    headers: Headers,
    /// As they are written in the configuration, for plugins that read them.
    spelled: Vec<(String, String)>,
    prefixes: Option<Vec<String>>,
}

impl HeaderInjector {
    fn resource(
        &self,
        payload: &ResourcePreFetchPayload,
        _: &mut Cx<'_>,
    ) -> Result<Verdict<ResourcePreFetchPayload>, PluginError> {
        if self.headers.is_empty() || !self.is_for(&payload.uri) {
            return Ok(Verdict::Pass);
        }
        let mut metadata = match payload.metadata.value() {
            Ok(Value::Object(map)) => map.clone(),
            _ => Map::new(),
        };
        let mut headers = match metadata.remove("headers") {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        headers.retain(|name, _| self.headers.get(name).is_none());
        let own = self.spelled.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        headers.extend(own);
        metadata.insert("headers".into(), Value::Object(headers));
        let uri = payload.uri.clone();
        Ok(Verdict::Change(ResourcePreFetchPayload { uri, metadata: Json::from(Value::Object(metadata)) }))
    }

    fn tool(
        &self,
        payload: &ToolPreInvokePayload,
        _: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        let Some(headers) = self.over(payload.headers.as_ref()) else { return Ok(Verdict::Pass) };
        Ok(Verdict::Change(ToolPreInvokePayload { headers: Some(headers), ..payload.clone() }))
    }

    fn agent(
        &self,
        payload: &AgentPreInvokePayload,
        _: &mut Cx<'_>,
    ) -> Result<Verdict<AgentPreInvokePayload>, PluginError> {
        let Some(headers) = self.over(payload.headers.as_ref()) else { return Ok(Verdict::Pass) };
        Ok(Verdict::Change(AgentPreInvokePayload { headers: Some(headers), ..payload.clone() }))
    }

    /// The headers there are with the configured ones over them; `None` where nothing is configured.
    fn over(&self, present: Option<&Headers>) -> Option<Headers> {
        if self.headers.is_empty() {
            return None;
        }
        let mut headers = present.cloned().unwrap_or_default();
        headers.merge(&self.headers);
        Some(headers)
    }

    fn is_for(&self, uri: &str) -> bool {
        let Some(prefixes) = &self.prefixes else { return true };
        prefixes.iter().any(|prefix| begins_with(uri, prefix))
    }
}

fn begins_with(uri: &str, prefix: &str) -> bool {
    let Some(rest) = uri.strip_prefix(prefix) else { return false };
    // Anything may follow behind the host; within it, only its end or a port.
    let within_host =
        prefix.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.contains(['/', '?', '#']));
    !within_host || rest.is_empty() || rest.starts_with(['/', '?', '#']) || is_port(rest)
}

/// Whether this goes on with a port and nothing that makes what stands before it a user name.
fn is_port(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix(':') else { return false };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest[..end].bytes().all(|byte| byte.is_ascii_digit())
}
