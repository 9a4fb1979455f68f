//! Takes headers out of what goes to upstreams, where plugins before it have put them in.
//!
//! What a client sends never goes to an upstream by itself, so this is about headers of other plugins: it stands behind
//! them, and what it names ends here.

pub mod config;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use mortise_plugin_api::{
    BuildError, Cx, Headers, Hook, Native, NativeKind, Needs, Plugin, PluginError, Verdict,
    hooks::{AgentPreInvoke, ToolPreInvoke, agent::AgentPreInvokePayload, tool::ToolPreInvokePayload},
    host::LogLevel,
};
use serde_json::Value;

use config::{Config, Passing};

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "header_filter",
        class_paths: &["plugins.header_filter.header_filter.HeaderFilterPlugin"],
        about: "Takes headers out of what goes to upstreams, where plugins before it have put them in.",
        hooks: &[ToolPreInvoke::ID, AgentPreInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    Ok(Native::new(HeaderFilter { config })
        .on::<ToolPreInvoke>(Needs::change().without_body(), HeaderFilter::tool)
        .on::<AgentPreInvoke>(Needs::change().without_body(), HeaderFilter::agent)
        .into_plugin())
}

struct HeaderFilter {
    config: Config,
}

impl HeaderFilter {
    fn tool(
        &self,
        payload: &ToolPreInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        let Some(headers) = self.filtered(payload.headers.as_ref(), &payload.name, cx) else {
            return Ok(Verdict::Pass);
        };
        Ok(Verdict::Change(ToolPreInvokePayload { headers: Some(headers), ..payload.clone() }))
    }

    fn agent(
        &self,
        payload: &AgentPreInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<AgentPreInvokePayload>, PluginError> {
        let Some(headers) = self.filtered(payload.headers.as_ref(), &payload.agent_id, cx) else {
            return Ok(Verdict::Pass);
        };
        Ok(Verdict::Change(AgentPreInvokePayload { headers: Some(headers), ..payload.clone() }))
    }

    /// The headers without those that end here; `None` where none does.
    fn filtered(&self, headers: Option<&Headers>, subject: &str, cx: &mut Cx<'_>) -> Option<Headers> {
        let ends = |name: &str| self.config.filters(name) && !self.passes(name, subject);
        let taken: Vec<&str> = headers?.iter().map(|(name, _)| name).filter(|name| ends(name)).collect();
        if taken.is_empty() {
            return None;
        }
        let kept = headers?.iter().filter(|(name, _)| !ends(name)).collect();
        if self.config.log_filtered_headers {
            let fields = [("headers", &*taken.join(",")), ("subject", subject)];
            cx.host().log(LogLevel::Info, "headers filtered", &fields);
        }
        cx.metadata("filtered_headers", taken);
        Some(kept)
    }

    fn passes(&self, name: &str, subject: &str) -> bool {
        let has = |names: &[String]| names.iter().any(|one| one.eq_ignore_ascii_case(name));
        match &self.config.allow_passthrough_headers {
            Passing::Everywhere(names) => has(names),
            Passing::For(subjects) => subjects.get(subject).is_some_and(|names| has(names)),
        }
    }
}
