//! Refuses dangerous SQL in arguments, and takes the comments out of what passes.
//!
//! Arguments are read as SQL is read: words inside string literals, quoted names and comments are no statements, and
//! comments cannot be used to hide or split one. Where databases disagree on how a text is read, every reading counts;
//! where an argument is no statement but a piece of one, it is also read as the inside of a string literal, which is
//! how injected SQL begins.

mod check;
pub mod config;
mod reading;
mod words;

#[cfg(test)]
mod tests;

use std::{ops::ControlFlow, sync::Arc};

use mortise_plugin_api::{
    BuildError, Cx, Edits, Hook, HookId, Native, NativeKind, Needs, Outcome, Payload, Plugin, Verdict,
    Violation,
    hooks::{PromptPreFetch, ToolPreInvoke},
};
use serde_json::Value;

use check::Checks;
use config::Config;

/// Issues that a violation names at most.
const MAX_ISSUES: usize = 32;
const HOOKS: &[HookId] = &[PromptPreFetch::ID, ToolPreInvoke::ID];

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "sql_sanitizer",
        class_paths: &[
            "plugins.sql_sanitizer.sql_sanitizer.SQLSanitizerPlugin",
            "cpex_sql_sanitizer.sql_sanitizer.SQLSanitizerPlugin",
            "cpex_sql_sanitizer.SQLSanitizerPlugin",
        ],
        about: "Refuses dangerous SQL in arguments, and takes the comments out of what passes.",
        hooks: HOOKS,
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let checks = Checks::new(&config)?;
    let plugin = Native::new(SqlSanitizer { checks, config });
    Ok(plugin.on_each(HOOKS, Needs::change(), SqlSanitizer::look).into_plugin())
}

struct SqlSanitizer {
    checks: Checks,
    config: Config,
}

impl SqlSanitizer {
    fn look(&self, payload: &dyn Payload, cx: &mut Cx<'_>) -> Outcome {
        let mut edits = Edits::new();
        let mut issues: Vec<String> = Vec::new();
        payload.texts(&mut |part| {
            let fields = self.config.fields.as_ref();
            if fields.is_some_and(|fields| fields.iter().all(|field| *field != part.key)) {
                return ControlFlow::Continue(());
            }
            let stripped =
                if self.config.strip_comments { reading::without_comments(&part.text) } else { None };
            let found = self.checks.issues(stripped.as_deref().unwrap_or(&part.text));
            if !found.is_empty() {
                let path = payload.text_path(part.id);
                issues.extend(found.into_iter().map(|issue| format!("{path}: {issue}")));
            }
            if let Some(stripped) = stripped {
                edits.replace_all(part.id, part.text.len(), stripped);
            }
            if issues.len() < MAX_ISSUES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        issues.truncate(MAX_ISSUES);
        if !issues.is_empty() && self.config.block_on_violation {
            let violation = Violation::new("SQL_SANITIZER", "Risky SQL detected")
                .describe(format!("Potentially dangerous SQL in arguments: {}", issues.join("; ")))
                .detail("issues", issues);
            return Ok(Verdict::<()>::from(violation).into());
        }
        if !issues.is_empty() {
            cx.metadata("sql_issues", issues);
        }
        if !edits.is_empty() {
            cx.metadata("sql_sanitized", true);
        }
        Ok(Verdict::<()>::Edit(edits).into())
    }
}
