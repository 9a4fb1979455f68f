//! Finds credentials in any text, and blocks the call, redacts them, or only says so.
//!
//! Works on the content view, so arguments, results, prompts, resources, agents and LLM traffic are guarded alike. The
//! engine ([`scanner`], `shapes.rs`, `runs.rs`, `literals.rs`) knows nothing of plugins. A streamed text is held back
//! until it is complete: a private key or a JSON web token has no bound that a window could be made of.

pub mod config;
mod fields;
mod literals;
mod runs;
pub mod scanner;
mod shapes;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use mortise_plugin_api::{
    BuildError, Cx, Edits, Hook, HookId, Native, NativeKind, Needs, Outcome, Payload, Plugin, Verdict,
    Violation,
    hooks::{PromptPostFetch, PromptPreFetch, ResourcePostFetch, TEXT_HOOKS, ToolPostInvoke, ToolPreInvoke},
};
use serde_json::{Value, json};

use config::{Config, Detector};
use fields::Fields;
use scanner::Scanner;

/// Findings that a violation or metadata lists at most.
const MAX_EXAMPLES: usize = 5;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "secrets_detection",
        class_paths: &[
            "plugins.secrets_detection.secrets_detection.SecretsDetectionPlugin",
            "cpex_secrets_detection.SecretsDetectionPlugin",
            "cpex_secrets_detection.secrets_detection.SecretsDetectionPlugin",
        ],
        about: "Finds credentials in texts and blocks the call, or redacts them.",
        hooks: &[PromptPreFetch::ID, ToolPreInvoke::ID, ToolPostInvoke::ID, ResourcePostFetch::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    config.check()?;
    let fields = Fields::new(&config.field_allowlist, &config.field_denylist)?;
    let needs = if config.block_on_detection || config.redact { Needs::change() } else { Needs::observe() };
    let detection =
        SecretsDetection { scanner: Scanner::shared(&config.enabled.detectors()), fields, config };
    Ok(Native::new(detection).on_each(TEXT_HOOKS, needs, SecretsDetection::look).into_plugin())
}

struct SecretsDetection {
    scanner: Arc<Scanner>,
    fields: Fields,
    config: Config,
}

/// What one call came to.
#[derive(Default)]
struct Report {
    edits: Edits,
    /// The first findings, in order.
    examples: Vec<Detector>,
    /// Findings per detector.
    types: BTreeMap<Detector, usize>,
    total: usize,
}

impl Report {
    fn note(&mut self, detector: Detector) {
        self.total += 1;
        *self.types.entry(detector).or_default() += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(detector);
        }
    }
}

impl SecretsDetection {
    fn look(&self, payload: &dyn Payload, cx: &mut Cx<'_>) -> Outcome {
        let report = self.scan(payload);
        if report.total == 0 {
            return Ok(Verdict::<()>::Pass.into());
        }
        let blocks = self.config.block_on_detection && report.total >= self.config.min_findings_to_block;
        let redacts = self.config.redact && !blocks;
        let names: Vec<&str> = report.types.keys().map(|detector| detector.name()).collect();
        cx.metadata(
            "secrets_detection",
            json!({
                "total_detections": report.total,
                "total_masked": if redacts { report.total } else { 0 },
                "total_blocked": if blocks { report.total } else { 0 },
                "secret_types": names,
            }),
        );
        if blocks {
            return Ok(Verdict::<()>::from(violation(&report, cx.call.hook)).into());
        }
        cx.metadata("count", report.total);
        if redacts {
            cx.metadata("secrets_redacted", true);
            return Ok(Verdict::<()>::Edit(report.edits).into());
        }
        cx.metadata("secrets_findings", examples(&report));
        Ok(Verdict::<()>::Pass.into())
    }

    fn scan(&self, payload: &dyn Payload) -> Report {
        let mut report = Report::default();
        let mut asked = self.fields.budget(payload);
        payload.texts(&mut |part| {
            let findings = literals::find(&self.scanner, &part.text, &part.key);
            if findings.is_empty() || !self.fields.count(&mut asked, payload, part.id) {
                return ControlFlow::Continue(());
            }
            for found in findings {
                found.findings.iter().for_each(|finding| report.note(finding.detector));
                if self.config.redact {
                    let with = found.replacement(&self.config.redaction_text);
                    report.edits.replace(part.id, found.range.clone(), with);
                }
            }
            ControlFlow::Continue(())
        });
        report
    }
}

/// The first findings as they are told: their kinds, never their text.
fn examples(report: &Report) -> Value {
    report.examples.iter().map(|detector| json!({ "type": detector.name() })).collect()
}

fn violation(report: &Report, hook: HookId) -> Violation {
    let place = match hook {
        ToolPreInvoke::ID => "tool arguments",
        ToolPostInvoke::ID => "tool result",
        PromptPreFetch::ID => "prompt arguments",
        PromptPostFetch::ID => "prompt messages",
        ResourcePostFetch::ID => "resource content",
        _ => "content",
    };
    let types: Vec<&str> = report.types.keys().map(|detector| detector.name()).collect();
    Violation::new("SECRETS_DETECTED", "Secrets detected")
        .describe(format!("Potential secrets detected in {place}: {}", types.join(", ")))
        .detail("count", report.total)
        .detail("examples", examples(report))
}
