//! Blocks calls whose text contains one of a list of words.
//!
//! A word is a substring, whatever the case of its letters, as in ContextForge: `bad` is found in `forbade` too. All
//! words are searched at once, so a list of thousands costs as much as a short one.

pub mod config;
mod words;

#[cfg(test)]
mod tests;

use std::{ops::ControlFlow, sync::Arc};

use mortise_plugin_api::{
    BuildError, Cx, Hook, HookId, Native, NativeKind, Needs, Outcome, Part, Payload, Plugin, TextId, Verdict,
    Violation,
    hooks::{PromptPostFetch, PromptPreFetch, TEXT_HOOKS},
    native::visit_texts,
};
use serde_json::Value;

use config::Config;
use words::Words;

/// Places that a violation names at most.
const MAX_LISTED: usize = 32;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "deny_list",
        class_paths: &["plugins.deny_filter.deny.DenyListPlugin"],
        about: "Blocks calls whose text contains one of a list of words.",
        hooks: &[PromptPreFetch::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let words = Words::shared(&config.words)?;
    let needs = Needs::block().in_windows(words.longest());
    Ok(Native::new(DenyList { words }).on_each(TEXT_HOOKS, needs, DenyList::look).into_plugin())
}

struct DenyList {
    words: Arc<Words>,
}

impl DenyList {
    fn look(&self, payload: &dyn Payload, cx: &mut Cx<'_>) -> Outcome {
        let mut found: Vec<(TextId, usize)> = Vec::new();
        visit_texts(&cx.call, &mut |part| {
            for word in self.words.find(&part.text) {
                found.push((part.id, word));
            }
            if found.len() < MAX_LISTED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if found.is_empty() {
            return Ok(Verdict::<()>::Pass.into());
        }
        found.truncate(MAX_LISTED);
        let window = matches!(cx.call.part, Part::Window { .. });
        let listed: Vec<String> = found
            .iter()
            .map(|(id, word)| {
                let path = if window { "stream".to_owned() } else { payload.text_path(*id) };
                format!("{path}: contains '{}'", self.words.get(*word))
            })
            .collect();
        Ok(Verdict::<()>::from(violation(cx.call.hook, listed)).into())
    }
}

fn violation(hook: HookId, listed: Vec<String>) -> Violation {
    let prompt = hook == PromptPreFetch::ID || hook == PromptPostFetch::ID;
    let (reason, what) =
        if prompt { ("Prompt not allowed", "prompt") } else { ("Content not allowed", "content") };
    let description = format!("The {what} contains {} denied word(s)", listed.len());
    Violation::new("deny", reason).describe(description).detail("violations", listed)
}
