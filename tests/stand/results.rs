//! What plugins of tests make of results.

use mortise_plugin_api::{Json, hooks::tool::ToolPostInvokePayload};

/// A result with `prefix` before its first text.
pub fn prefixed_result(answered: &ToolPostInvokePayload, prefix: &str) -> ToolPostInvokePayload {
    let mut result = answered.result.value().cloned().unwrap_or_default();
    let text = result["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    result["content"][0]["text"] = format!("{prefix}{text}").into();
    let mut changed = answered.clone();
    changed.result = Json::from(result);
    changed
}
