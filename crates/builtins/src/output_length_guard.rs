//! Keeps texts of results within bounds: cuts what is too long, or blocks what is too long or too short.
//!
//! Each text is judged by itself, however deep it lies in a result. Length is counted in Unicode scalar values, or in
//! tokens estimated from them; a cut never falls inside what a reader sees as one character.

pub mod config;
mod cut;

#[cfg(test)]
mod tests;

use std::{ops::ControlFlow, sync::Arc};

use mortise_plugin_api::{
    BuildError, Cx, Edits, Hook, HookId, Native, NativeKind, Needs, Outcome, Payload, Plugin, Verdict,
    Violation,
    hooks::{PromptPostFetch, ResourcePostFetch, ToolPostInvoke},
};
use serde_json::Value;

use config::{Config, LimitMode, Strategy};
use cut::Limits;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "output_length_guard",
        class_paths: &["plugins.output_length_guard.output_length_guard.OutputLengthGuardPlugin"],
        about: "Keeps texts of results within bounds: cuts what is too long, or blocks it.",
        hooks: &[ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    config.check()?;
    const HOOKS: &[HookId] = &[ToolPostInvoke::ID, PromptPostFetch::ID, ResourcePostFetch::ID];
    let guard = OutputLengthGuard { limits: Limits::new(&config), config };
    Ok(Native::new(guard).on_each(HOOKS, Needs::change(), OutputLengthGuard::look).into_plugin())
}

struct OutputLengthGuard {
    limits: Limits,
    config: Config,
}

/// What is told about the first text that was out of bounds.
struct First {
    length: usize,
    new_length: usize,
}

impl OutputLengthGuard {
    fn look(&self, payload: &dyn Payload, cx: &mut Cx<'_>) -> Outcome {
        let mut edits = Edits::new();
        let mut first = None;
        let mut violation = None;
        payload.texts(&mut |part| {
            if self.limits.surely_within(part.text.len()) {
                return ControlFlow::Continue(());
            }
            let length = part.text.chars().count();
            let short = length < self.limits.min;
            if !short && length <= self.limits.max {
                return ControlFlow::Continue(());
            }
            if self.config.strategy == Strategy::Block {
                violation = Some(self.violation(length, payload.text_path(part.id)));
                return ControlFlow::Break(());
            }
            let mut new_length = length;
            if !short {
                let (keep, ellipsis) = self.limits.cut(&part.text);
                new_length = part.text[..keep].chars().count() + ellipsis.chars().count();
                edits.replace(part.id, keep..part.text.len(), ellipsis);
            }
            first.get_or_insert(First { length, new_length });
            ControlFlow::Continue(())
        });
        if let Some(violation) = violation {
            return Ok(Verdict::<()>::from(violation).into());
        }
        if let Some(first) = first {
            self.tell(&first, edits.len(), cx);
        }
        Ok(Verdict::<()>::Edit(edits).into())
    }

    fn tell(&self, first: &First, truncated: usize, cx: &mut Cx<'_>) {
        cx.metadata("original_length", first.length);
        cx.metadata("new_length", first.new_length);
        cx.metadata("truncated", truncated > 0);
        cx.metadata("within_bounds", false);
        cx.metadata("strategy", "truncate");
        if truncated > 1 {
            cx.metadata("truncated_texts", truncated);
        }
    }

    fn violation(&self, length: usize, path: String) -> Violation {
        let config = &self.config;
        let per_token = config.chars_per_token;
        let (length, unit, min, max) = match config.limit_mode {
            LimitMode::Character => (length, "characters", config.min_chars, config.max_chars),
            LimitMode::Token => (length.div_ceil(per_token), "tokens", config.min_tokens, config.max_tokens),
        };
        let most =
            max.map_or_else(|| format!("{} characters", config.max_text_length), |max| max.to_string());
        Violation::new("OUTPUT_LENGTH_VIOLATION", "Output length out of bounds")
            .describe(format!("{path} has {length} {unit}; allowed are {min} to {most}"))
            .detail("length", length)
            .detail("unit", unit)
            .detail("min", min)
            .detail("max", max)
            .detail("path", path)
            .detail("strategy", "block")
    }
}
