//! Blocks or masks what is not wanted in texts: patterns, profanity, spam, injected SQL and commands, system paths.
//!
//! Documents of ContextForge show three filters of one purpose (`content_filter`, `basic_filter`, `enterprise_filter`),
//! each with keys of its own. They are one here, and everything is off until its key is set. Personal data is found by
//! the engine of the PII filter, which should be used itself where more than a block is wanted.

mod attacks;
pub mod config;
mod finder;
mod speech;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use mortise_plugin_api::{
    BuildError, Cx, Edits, Hook, Native, NativeKind, Needs, Outcome, Payload, Plugin, TextId, Verdict,
    Violation,
    hooks::{PromptPostFetch, PromptPreFetch, TEXT_HOOKS},
    host::LogLevel,
};
use serde_json::{Value, json};

use crate::rate_limiter::{
    Clock,
    config::Algorithm,
    rate::Rate,
    table::{Key, Table, Want, admit},
};
use config::Config;
use finder::{Finder, Found, Kind};

/// Matches that a violation names at most.
const MAX_LISTED: usize = 16;
/// Characters of a match that a violation shows masked at most.
const MAX_SHOWN: usize = 32;
/// Callers whose calls are counted for warnings.
const MAX_CALLERS: usize = 10_000;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "content_filter",
        class_paths: &[
            "plugins.native.content_filter.ContentFilterPlugin",
            "plugins.content.basic_filter.BasicFilterPlugin",
            "plugins.security.enterprise_filter.EnterpriseFilterPlugin",
        ],
        about: "Blocks or masks what is not wanted in texts: patterns, profanity, spam, injections, system paths.",
        hooks: &[PromptPreFetch::ID, PromptPostFetch::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let filter = ContentFilter {
        finder: Finder::new(&config)?,
        mask: config.mask_char,
        blocks: config.block_on_match,
        warner: Warner::new(&config)?,
    };
    Ok(Native::new(filter).on_each(TEXT_HOOKS, Needs::change(), ContentFilter::look).into_plugin())
}

struct ContentFilter {
    finder: Finder,
    mask: char,
    blocks: bool,
    warner: Option<Warner>,
}

/// What one call came to.
#[derive(Default)]
struct Report {
    edits: Edits,
    /// The first of what blocks, with where it stands and how long it is.
    listed: Vec<(TextId, Found, usize)>,
    blocked: usize,
    masked: BTreeSet<&'static str>,
}

impl ContentFilter {
    fn look(&self, payload: &dyn Payload, cx: &mut Cx<'_>) -> Outcome {
        if let Some(warner) = &self.warner {
            warner.count(cx);
        }
        if self.finder.is_idle() {
            return Ok(Verdict::<()>::Pass.into());
        }
        let mut report = Report::default();
        payload.texts(&mut |part| {
            let mut found = self.finder.find(&part.text, &part.key);
            found.sort_by_key(|found| (found.range.start, found.range.end));
            let mut masked_to = 0;
            for found in found {
                if self.blocks || !found.kind.is_maskable() {
                    report.blocked += 1;
                    let length = part.text[found.range.clone()].chars().take(MAX_SHOWN).count();
                    if report.listed.len() < MAX_LISTED {
                        report.listed.push((part.id, found, length));
                    }
                } else if found.range.end > masked_to {
                    report.masked.insert(found.kind.name());
                    let range = found.range.start.max(masked_to)..found.range.end;
                    masked_to = range.end;
                    let count = part.text[range.clone()].chars().count();
                    report.edits.replace(part.id, range, self.mask.to_string().repeat(count));
                }
            }
            if report.blocked < MAX_LISTED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if let Some(violation) = self.violation(&report, payload) {
            return Ok(Verdict::<()>::from(violation).into());
        }
        if !report.edits.is_empty() {
            cx.metadata("content_filtered", true);
            cx.metadata("content_filter_types", report.masked.into_iter().collect::<Vec<_>>());
        }
        Ok(Verdict::<()>::Edit(report.edits).into())
    }

    /// What is told of what blocks: where it stands and of what kind it is, never what it says.
    fn violation(&self, report: &Report, payload: &dyn Payload) -> Option<Violation> {
        let worst = report.listed.iter().map(|(_, found, _)| found.kind).min()?;
        let (code, reason) = worst.code();
        let kinds: BTreeSet<Kind> = report.listed.iter().map(|(_, found, _)| found.kind).collect();
        let kinds: Vec<&str> = kinds.into_iter().map(Kind::name).collect();
        let matches: Vec<Value> = report
            .listed
            .iter()
            .map(|(id, found, length)| {
                let path = payload.text_path(*id);
                let shown = self.mask.to_string().repeat(*length);
                json!({"path": path, "type": found.kind.name(), "pattern": found.what, "match": shown})
            })
            .collect();
        Some(
            Violation::new(code, reason)
                .describe(format!("The content has what is not allowed: {}", kinds.join(", ")))
                .detail("types", kinds)
                .detail("matches", matches),
        )
    }
}

/// Warns of callers that make very many calls.
struct Warner {
    table: Table,
    rate: Rate,
    clock: Clock,
}

impl Warner {
    fn new(config: &Config) -> Result<Option<Self>, BuildError> {
        let rate = Rate::read("rate_limit_warning_at", &config.rate_limit_warning_at)?;
        let table = Table::new(Algorithm::FixedWindow, MAX_CALLERS);
        Ok(config.rate_limit_warnings.then(|| Self { table, rate, clock: Clock::default() }))
    }

    fn count(&self, cx: &mut Cx<'_>) {
        let caller = &cx.request().caller;
        let name = caller.user.clone().or_else(|| caller.app.clone()).unwrap_or_else(|| "anonymous".into());
        let key = Key::new(caller.tenant.as_ref(), &name, None);
        let want = Want { dimension: "caller", table: &self.table, key, rate: self.rate };
        let Some(decision) = admit(&[want], self.clock.now(cx.host())) else { return };
        if decision.allowed && decision.remaining > 0 {
            return;
        }
        // The last call that is within is logged, those beyond it are too many for a line each.
        if decision.allowed {
            let message = "a caller makes very many calls";
            cx.host().log(LogLevel::Warn, message, &[("caller", &*name)]);
        }
        cx.metadata("rate_limit_warning", true);
    }
}
