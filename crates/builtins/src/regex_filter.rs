//! Replaces what regular expressions match, in any text.
//!
//! The list is applied in order, each entry to what the one before left. An entry that cannot be compiled is an error
//! of the configuration, never skipped: a filter that silently does less than it says is worse than none. A text that
//! would grow without bound is an error of the call.

pub mod config;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use mortise_plugin_api::{
    BuildError, Cx, Hook, Native, NativeKind, Needs, Part, Plugin, PluginError, TextPart,
    hooks::{PromptPostFetch, PromptPreFetch, TEXT_HOOKS, ToolPostInvoke, ToolPreInvoke},
    native::TextVerdict,
};
use serde_json::Value;

use crate::pattern::{Case, Rules};
use config::Config;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "regex_filter",
        class_paths: &["plugins.regex_filter.search_replace.SearchReplacePlugin"],
        about: "Replaces what regular expressions match, in any text.",
        hooks: &[PromptPreFetch::ID, PromptPostFetch::ID, ToolPreInvoke::ID, ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let entries = config.words.iter().enumerate();
    let entries = entries.map(|(i, w)| (format!("words[{i}]"), w.search.as_str(), w.replace.as_str()));
    let rules = Rules::new(entries, Case::Sensitive, config.max_output_bytes)?;
    let needs = match rules.window() {
        Some(longest) => Needs::change().in_windows(longest),
        None => Needs::change(),
    };
    Ok(Native::new(RegexFilter { rules })
        .on_texts(TEXT_HOOKS, needs, |p, part, verdict, cx| p.replace(&part, verdict, cx))
        .into_plugin())
}

struct RegexFilter {
    rules: Rules,
}

impl RegexFilter {
    fn replace(
        &self,
        part: &TextPart<'_>,
        verdict: &mut TextVerdict,
        cx: &Cx<'_>,
    ) -> Result<(), PluginError> {
        let failed = |error: crate::pattern::TooLong| PluginError::failed(error.to_string());
        if let Part::Window { .. } = cx.call.part {
            for (range, with) in self.rules.edits(&part.text, part.context).map_err(failed)? {
                verdict.edits.replace(part.id, range, with);
            }
        } else if let Cow::Owned(text) = self.rules.apply(&part.text).map_err(failed)? {
            verdict.edits.replace_all(part.id, part.text.len(), text);
        }
        Ok(())
    }
}
