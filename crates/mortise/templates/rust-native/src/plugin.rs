//! `builtin.{{module}}`: {{about}}

use mortise::plugin_api::{
    BuildError, Cx, Hook, Native, NativeKind, Needs, PluginError, TextPart, Verdict, Violation,
    hooks::{ToolPostInvoke, ToolPreInvoke, tool::ToolPreInvokePayload},
    native::TextVerdict,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The kind: what it is called, what its `config:` may hold, and how a plugin is made of that.
pub(crate) fn kind() -> NativeKind {
    NativeKind {
        name: "{{module}}",
        class_paths: &[],
        about: "{{about}}",
        hooks: &[ToolPreInvoke::ID, ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Guard>,
        build: |config| {
            let guard: Guard = NativeKind::read(config)?;
            if guard.word.is_empty() {
                return Err(BuildError::new("word", "must not be empty"));
            }
            let plugin = Native::new(guard)
                .on::<ToolPreInvoke>(Needs::block().without_body(), Guard::before)
                .on_texts(&[ToolPostInvoke::ID], Needs::change(), Guard::after);
            Ok(plugin.into_plugin())
        },
    }
}

/// The plugin, and its `config:`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Guard {
    /// The word that is taken out of what tools answer. Default `secret`.
    word: String,
    /// What stands in its place. Default `******`.
    replacement: String,
    /// Tools that nobody may call. Default `delete_everything`.
    blocked_tools: Vec<String>,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            word: "secret".to_owned(),
            replacement: "******".to_owned(),
            blocked_tools: vec!["delete_everything".to_owned()],
        }
    }
}

impl Guard {
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
        for (at, found) in part.text.match_indices(self.word.as_str()) {
            verdict
                .edits
                .replace(part.id, at..at + found.len(), self.replacement.as_str());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mortise_plugin_test::Harness;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_word_is_taken_out_of_answers() {
        let guard = Harness::of(kind());
        guard
            .tool_text("echo", "my secret plan")
            .await
            .assert_texts(["my ****** plan"]);
        guard
            .tool_text("echo", "nothing to see")
            .await
            .assert_passed();
    }

    #[tokio::test]
    async fn listed_tools_are_blocked() {
        let guard = Harness::of(kind()).config(json!({ "blocked_tools": ["rm"] }));
        guard
            .tool_pre("rm", json!({}))
            .await
            .assert_blocked("TOOL_BLOCKED");
        guard.tool_pre("echo", json!({})).await.assert_passed();
    }

    #[test]
    fn a_word_that_is_empty_is_refused() {
        Harness::of(kind())
            .config(json!({ "word": "" }))
            .assert_config_refused("word");
    }
}
