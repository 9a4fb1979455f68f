//! {{about}}
//!
//! What the plugin decides. How it is served is `main.rs`, and the crate `mortise-sdk`.

use mortise_sdk::{
    Served,
    plugin_api::{
        Cx, Hook, Native, Needs, PluginError, TextPart, Verdict, Violation,
        hooks::{ToolPostInvoke, ToolPreInvoke, tool::ToolPreInvokePayload},
        native::TextVerdict,
    },
};

/// The plugin's name, by which gateways ask for it.
pub const NAME: &str = "{{plugin}}";

/// The plugin.
pub struct Guard {
    /// The word that is taken out of what tools answer.
    pub word: String,
    /// What stands in its place.
    pub replacement: String,
    /// Tools that nobody may call.
    pub blocked_tools: Vec<String>,
}

impl Guard {
    /// Set up by variables, which `.env.template` lists.
    pub fn from_env() -> Self {
        let value =
            |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let tools = value("PLUGIN_BLOCKED_TOOLS", "delete_everything");
        Self {
            word: value("PLUGIN_WORD", "secret"),
            replacement: value("PLUGIN_REPLACEMENT", "******"),
            blocked_tools: tools
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect(),
        }
    }

    /// The plugin as a server has it: a handler for each hook.
    pub fn served(self) -> Served {
        let plugin = Native::new(self)
            .on::<ToolPreInvoke>(Needs::block().without_body(), Self::before)
            .on_texts(&[ToolPostInvoke::ID], Needs::change(), Self::after);
        Served::new(NAME, plugin.into_plugin())
    }

    /// Before a tool is called.
    fn before(
        &self,
        call: &ToolPreInvokePayload,
        _cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        if self.blocked_tools.contains(&call.name) {
            let violation = Violation::new("TOOL_BLOCKED", "this tool is not allowed");
            return Ok(violation
                .describe(format!("`{}` is switched off here", call.name))
                .into());
        }
        Ok(Verdict::Pass)
    }

    /// Each text of what a tool has answered.
    fn after(
        &self,
        part: TextPart<'_>,
        verdict: &mut TextVerdict,
        _cx: &mut Cx<'_>,
    ) -> Result<(), PluginError> {
        if self.word.is_empty() {
            return Ok(());
        }
        for (at, found) in part.text.match_indices(self.word.as_str()) {
            verdict
                .edits
                .replace(part.id, at..at + found.len(), self.replacement.as_str());
        }
        Ok(())
    }
}
