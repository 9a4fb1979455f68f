//! Gives each upstream its own token out of those that a client brings along in one header.
//!
//! The header (`X-Vault-Tokens`) is a JSON map of tokens. It is read and hidden before anything else sees the request,
//! kept in the plugin's own memory of it and nowhere else, and when a tool is called the one token that is meant for the
//! upstream's system becomes that call's `authorization`. So it needs two hooks: the one at which headers of clients are
//! shown, and the one before the call. Which system an upstream is stands in tags here, since upstreams have none.
//!
//! Not here: HashiCorp's Vault, with which ContextForge's plugin of this name has nothing to do either.

pub mod config;
mod tokens;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use mortise_plugin_api::{
    BuildError, Cx, Headers, Hook, Native, NativeKind, Needs, Plugin, PluginError, Verdict,
    hooks::{
        AgentPreInvoke, HttpPreRequest, ToolPreInvoke, agent::AgentPreInvokePayload,
        http::HttpPreRequestPayload, tool::ToolPreInvokePayload,
    },
    host::LogLevel,
};
use serde_json::Value;

use config::{Config, SystemHandling};
use tokens::Tokens;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "vault",
        class_paths: &["plugins.vault.vault_plugin.Vault"],
        about: "Gives each upstream its own token out of those that a client brings along in one header.",
        hooks: &[HttpPreRequest::ID, ToolPreInvoke::ID, AgentPreInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let name = config.vault_header_name.as_bytes();
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(token) {
        return Err(BuildError::new("vault_header_name", "is no name of a header"));
    }
    Ok(Native::new(Vault { config })
        .on::<HttpPreRequest>(Needs::change().without_body(), Vault::take)
        .on::<ToolPreInvoke>(Needs::change().without_body(), Vault::tool)
        .on::<AgentPreInvoke>(Needs::change().without_body(), Vault::agent)
        .on_start(|vault, _| Box::pin(std::future::ready(vault.ready())))
        .into_plugin())
}

struct Vault {
    config: Config,
}

impl Vault {
    fn ready(&self) -> Result<(), PluginError> {
        if self.config.system_handling == SystemHandling::Oauth2Config {
            let message =
                "upstreams have no OAuth configuration here; `system_handling: tag` is what there is";
            return Err(PluginError::Unavailable(message.to_owned()));
        }
        Ok(())
    }

    /// Takes the tokens out of a request.
    fn take(
        &self,
        payload: &HttpPreRequestPayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<Headers>, PluginError> {
        let name = &self.config.vault_header_name;
        let Some(value) = payload.headers.get(name) else { return Ok(Verdict::Pass) };
        match Tokens::read(value) {
            Some(tokens) => *cx.context.native::<Tokens>() = tokens,
            None => cx.host().log(
                LogLevel::Warn,
                "the header of tokens is no JSON map of texts",
                &[("header", name)],
            ),
        }
        // A hook cannot take a header away; an empty one says nothing.
        Ok(Verdict::Change([(name.as_str(), "")].into_iter().collect()))
    }

    fn tool(
        &self,
        payload: &ToolPreInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        let Some(headers) = self.headers(payload.headers.as_ref(), cx) else { return Ok(Verdict::Pass) };
        Ok(Verdict::Change(ToolPreInvokePayload { headers: Some(headers), ..payload.clone() }))
    }

    fn agent(
        &self,
        payload: &AgentPreInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<AgentPreInvokePayload>, PluginError> {
        let Some(headers) = self.headers(payload.headers.as_ref(), cx) else { return Ok(Verdict::Pass) };
        Ok(Verdict::Change(AgentPreInvokePayload { headers: Some(headers), ..payload.clone() }))
    }

    /// The headers of a call with the token of its upstream; `None` where nothing changes.
    fn headers(&self, present: Option<&Headers>, cx: &mut Cx<'_>) -> Option<Headers> {
        let name = &self.config.vault_header_name;
        // Where something else put the header on the call, its tokens count, and it ends here all the same.
        let shown = present.and_then(|headers| headers.get(name)).map(Tokens::read);
        let upstream = cx.request().upstream.clone()?;
        let found = match &shown {
            Some(shown) => shown.as_ref().and_then(|tokens| self.pick(tokens, &upstream)),
            None => {
                cx.context.own_ref()?;
                self.pick(cx.context.native::<Tokens>(), &upstream)
            }
        };
        if shown.is_none() && found.is_none() {
            return None;
        }
        let mut headers = present.cloned().unwrap_or_default();
        headers.remove(name);
        if let Some((header, value)) = found {
            headers.set(&header, value);
        }
        Some(headers)
    }

    /// The header that carries the upstream's token.
    fn pick(&self, tokens: &Tokens, upstream: &str) -> Option<(String, String)> {
        let tags = self.config.upstreams.get(upstream)?;
        let after = |prefix: &str| tags.iter().find_map(|tag| tag.strip_prefix(prefix)?.strip_prefix(':'));
        let found = tokens.of(after(&self.config.system_tag_prefix)?)?;
        let own = after(&self.config.auth_header_tag_prefix).filter(|_| found.personal);
        Some(match own {
            Some(header) => (header.to_owned(), found.token.to_owned()),
            None => ("authorization".to_owned(), format!("Bearer {}", found.token)),
        })
    }
}
