//! The tools that are listed: one for each way a gateway may ask.

use mortise_mcp::raw::Raw;
use serde_json::{Value, json};

use crate::Plugins;

/// Asks for the entry of one plugin.
pub(crate) const CONFIG: &str = "get_plugin_config";
/// Asks for the entries of all plugins.
pub(crate) const CONFIGS: &str = "get_plugin_configs";
/// Calls a plugin at any hook.
pub(crate) const INVOKE: &str = "invoke_hook";

/// The result of `tools/list`.
pub(super) fn list(plugins: &Plugins) -> Raw {
    let mut tools = vec![
        tool(CONFIGS, "The entries of all plugins of this server.", &json!({}), &[]),
        tool(
            CONFIG,
            "The entry of one plugin, by its name in any letter case.",
            &json!({ "name": { "type": "string" } }),
            &["name"],
        ),
        tool(
            INVOKE,
            "Has a plugin look at a payload at a hook.",
            &json!({
                "hook_type": { "type": "string" },
                "plugin_name": { "type": "string" },
                "payload": { "type": "object" },
                "context": { "type": "object" },
            }),
            &["hook_type", "plugin_name", "payload", "context"],
        ),
    ];
    for hook in plugins.hooks() {
        tools.push(tool(
            hook,
            &format!("Has a plugin look at a payload at the hook {hook}."),
            &json!({
                "plugin_name": { "type": "string" },
                "payload": { "type": "object" },
                "context": { "type": "object" },
            }),
            &["plugin_name", "payload", "context"],
        ));
    }
    Raw::from_serialize(&json!({ "tools": tools })).unwrap_or(Raw::EMPTY_OBJECT)
}

fn tool(name: &str, about: &str, properties: &Value, required: &[&str]) -> Value {
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    json!({ "name": name, "description": about, "inputSchema": schema })
}
