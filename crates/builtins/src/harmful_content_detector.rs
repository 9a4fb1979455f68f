//! Finds what is harmful by a lexicon of patterns for each category, and blocks or redacts it.
//!
//! A net, no judgement: it knows phrases and no meaning. What has to be judged is for a model
//! ([`llama_guard`](crate::llama_guard), [`openai_moderation`](crate::openai_moderation)).

pub mod config;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use mortise_plugin_api::{
    BuildError, Cx, Edits, Hook, Native, NativeKind, Needs, Outcome, Payload, Plugin, Reply, Verdict,
    Violation,
    hooks::{PromptPreFetch, TEXT_HOOKS, ToolPostInvoke},
};
use regex::Regex;
use serde_json::Value;

use crate::pattern::{Case, compile};
use config::Config;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "harmful_content_detector",
        class_paths: &[
            "plugins.harmful_content_detector.harmful_content_detector.HarmfulContentDetectorPlugin",
        ],
        about: "Blocks or redacts harmful content by a lexicon of patterns for each category.",
        hooks: &[PromptPreFetch::ID, ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let mut lexicon = Vec::new();
    for (name, patterns) in config.lexicon() {
        for (at, pattern) in patterns.iter().enumerate() {
            let owner = format!("categories.{name}[{at}]");
            lexicon.push((name.clone(), compile(pattern, Case::Insensitive, &owner)?));
        }
    }
    let detector = HarmfulContentDetector { lexicon, config };
    Ok(Native::new(detector)
        .on_each(TEXT_HOOKS, Needs::change(), |detector, payload, cx| {
            Ok(detector.look(payload, cx)) as Outcome
        })
        .into_plugin())
}

struct HarmfulContentDetector {
    /// Patterns with their categories.
    lexicon: Vec<(String, Arc<Regex>)>,
    config: Config,
}

impl HarmfulContentDetector {
    fn look(&self, payload: &dyn Payload, cx: &mut Cx<'_>) -> Reply {
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut edits = Edits::new();
        payload.texts(&mut |part| {
            let mut ranges = Vec::new();
            for (category, pattern) in &self.lexicon {
                if !self.config.redact {
                    if pattern.is_match(&part.text) {
                        found.insert(category);
                    }
                    continue;
                }
                for hit in pattern.find_iter(&part.text).filter(|hit| !hit.is_empty()) {
                    found.insert(category);
                    ranges.push(hit.range());
                }
            }
            ranges.sort_by_key(|range| range.start);
            let mut done = 0;
            for range in ranges {
                if range.end > done {
                    edits.replace(
                        part.id,
                        range.start.max(done)..range.end,
                        self.config.redaction_text.as_str(),
                    );
                    done = range.end;
                }
            }
            ControlFlow::Continue(())
        });
        if found.is_empty() {
            return Reply::pass();
        }
        let blocks: Vec<&str> = found.iter().copied().filter(|name| self.config.blocks(name)).collect();
        cx.metadata("harmful_categories", found.iter().copied().collect::<Vec<_>>());
        if self.config.redact {
            return Verdict::<()>::Edit(edits).into();
        }
        if blocks.is_empty() {
            return Reply::pass();
        }
        let violation = Violation::new("HARMFUL_CONTENT", "Harmful content")
            .describe(format!("The content was found to be harmful: {}", blocks.join(", ")))
            .detail("categories", blocks)
            .http_status(422);
        Verdict::<()>::from(violation).into()
    }
}
