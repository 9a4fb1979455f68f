//! What a call that was blocked, or failed on the way, looks like to an MCP client.
//!
//! Pure constructors: this crate does not know who blocks. A blocked tool call is a result that says so, because
//! agents read results and give up on errors; prompts and resources have no such result, so they get a JSON-RPC
//! error. Wordings and codes are those clients of ContextForge know.

use crate::envelope::{ErrorObject, code};
use crate::raw::{Raw, write_string};

/// Who blocked a call and why.
#[derive(Debug, Clone, Default)]
pub struct Blocked<'a> {
    /// The hook at which it was blocked, for example `tool_pre_invoke`.
    pub hook: &'a str,
    /// The name of the plugin.
    pub plugin_name: &'a str,
    /// The plugin's own code, for example `RATE_LIMIT`.
    pub code: &'a str,
    /// The reason, short.
    pub reason: &'a str,
    /// The reason, longer.
    pub description: &'a str,
    /// More, for programs; an object.
    pub details: Option<&'a Raw>,
    /// The JSON-RPC code to use; [`code::INVALID_PARAMS`] where the plugin names none.
    pub mcp_error_code: Option<i64>,
}

impl Blocked<'_> {
    /// The sentence that tells what happened.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { hook, plugin_name, code, reason, description, .. } = self;
        format!("{hook} blocked by plugin {plugin_name}: {code} - {reason} ({description})")
    }

    /// The result of a tool call that was blocked.
    #[must_use]
    pub fn tool_result(&self) -> Raw {
        tool_error(&self.message())
    }

    /// The error for a prompt or resource that was blocked.
    #[must_use]
    pub fn error(&self) -> ErrorObject {
        ErrorObject::new(
            self.mcp_error_code.unwrap_or(code::INVALID_PARAMS),
            format!("Plugin Violation: {}", self.description),
        )
        .with_data(data(Some(self.description), self.details, self.code, self.plugin_name))
    }
}

/// A plugin that failed in a mode where its failure ends the call.
#[derive(Debug, Clone, Default)]
pub struct PluginFailure<'a> {
    /// The name of the plugin.
    pub plugin_name: &'a str,
    /// A code, for example `PLUGIN_TIMEOUT`.
    pub code: &'a str,
    /// What went wrong; must hold no secrets.
    pub message: &'a str,
    /// More, for programs; an object.
    pub details: Option<&'a Raw>,
    /// The JSON-RPC code to use; [`code::INTERNAL_ERROR`] where there is none.
    pub mcp_error_code: Option<i64>,
}

impl PluginFailure<'_> {
    /// The result of a tool call that ended so.
    #[must_use]
    pub fn tool_result(&self) -> Raw {
        tool_error(self.message)
    }

    /// The error for a prompt or resource that ended so.
    #[must_use]
    pub fn error(&self) -> ErrorObject {
        ErrorObject::new(
            self.mcp_error_code.unwrap_or(code::INTERNAL_ERROR),
            format!("Plugin Error: {}", self.message),
        )
        .with_data(data(None, self.details, self.code, self.plugin_name))
    }
}

/// A tool result that says the call failed: `isError` and one text.
#[must_use]
pub fn tool_error(message: &str) -> Raw {
    let mut out = Vec::with_capacity(message.len() + 64);
    out.extend_from_slice(b"{\"content\":[{\"type\":\"text\",\"text\":");
    write_string(&mut out, message);
    out.extend_from_slice(b"}],\"isError\":true}");
    Raw::trusted(out)
}

/// The error for a resource nobody offers, in the code the client's protocol revision has for it.
#[must_use]
pub fn resource_not_found(uri: &str, stateless: bool) -> ErrorObject {
    let code = if stateless { code::INVALID_PARAMS } else { code::RESOURCE_NOT_FOUND };
    let mut data = b"{\"uri\":".to_vec();
    write_string(&mut data, uri);
    data.push(b'}');
    ErrorObject::new(code, "resource not found").with_data(Raw::trusted(data))
}

fn data(description: Option<&str>, details: Option<&Raw>, code: &str, plugin: &str) -> Raw {
    let mut out = vec![b'{'];
    if let Some(description) = description {
        out.extend_from_slice(b"\"description\":");
        write_string(&mut out, description);
        out.push(b',');
    }
    out.extend_from_slice(b"\"details\":");
    out.extend_from_slice(details.unwrap_or(&Raw::EMPTY_OBJECT).as_bytes());
    out.extend_from_slice(b",\"plugin_error_code\":");
    write_string(&mut out, code);
    out.extend_from_slice(b",\"plugin_name\":");
    write_string(&mut out, plugin);
    out.push(b'}');
    Raw::trusted(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(details: &Raw) -> Blocked<'_> {
        Blocked {
            hook: "tool_pre_invoke",
            plugin_name: "Limiter",
            code: "RATE_LIMIT",
            reason: "Rate limit exceeded",
            description: "Too \"many\" calls",
            details: Some(details),
            mcp_error_code: None,
        }
    }

    #[test]
    fn blocked_tool_call_is_a_result_that_is_an_error() {
        let result: serde_json::Value = blocked(&Raw::EMPTY_OBJECT).tool_result().decode().unwrap();
        assert_eq!(
            result,
            serde_json::json!({"isError": true, "content": [{"type": "text", "text":
                "tool_pre_invoke blocked by plugin Limiter: RATE_LIMIT - Rate limit exceeded (Too \"many\" calls)"}]})
        );
    }

    #[test]
    fn blocked_prompt_is_an_error_that_names_plugin_and_code() {
        let details = Raw::parse(r#"{"limit":10}"#).unwrap();
        let mut blocked = blocked(&details);
        let error: serde_json::Value = blocked.error().to_rpc_error().raw().decode().unwrap();
        assert_eq!(
            error,
            serde_json::json!({"code": -32602, "message": "Plugin Violation: Too \"many\" calls", "data": {
                "description": "Too \"many\" calls", "details": {"limit": 10},
                "plugin_error_code": "RATE_LIMIT", "plugin_name": "Limiter"}})
        );
        blocked.mcp_error_code = Some(-32099);
        assert_eq!(blocked.error().code, -32099);
    }

    #[test]
    fn failed_plugin_is_an_internal_error_without_description() {
        let failure =
            PluginFailure { plugin_name: "p", code: "PLUGIN_TIMEOUT", message: "late", ..Default::default() };
        let error: serde_json::Value = failure.error().to_rpc_error().raw().decode().unwrap();
        assert_eq!(
            error,
            serde_json::json!({"code": -32603, "message": "Plugin Error: late", "data": {
                "details": {}, "plugin_error_code": "PLUGIN_TIMEOUT", "plugin_name": "p"}})
        );
    }
}
