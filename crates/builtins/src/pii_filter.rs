//! Finds personal data in any text and masks it, or blocks the call.
//!
//! Works on the content view, so it guards arguments, results, prompts, resources, agents and LLM traffic alike, and
//! streams in windows. The engine ([`scanner`], [`mask`], `json_text.rs`) knows nothing of plugins; this file is what
//! joins it to hooks: what a match becomes in an edit, a violation, metadata and the log.

mod address;
mod blocks;
pub mod category;
mod checks;
pub mod config;
mod dismiss;
mod json_text;
mod labelled;
mod labels;
pub mod mask;
mod numbers;
pub mod scanner;
mod sweep;
mod tokens;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap, ops::ControlFlow, sync::Arc};

use mortise_plugin_api::{
    BuildError, Cx, Edits, Hook, HookId, Native, NativeKind, Needs, Outcome, Part, Payload, Plugin,
    PluginError, TextId, Verdict, Violation,
    hooks::{PromptPostFetch, PromptPreFetch, TEXT_HOOKS, ToolPostInvoke, ToolPreInvoke},
    host::LogLevel,
};
use serde_json::{Map, Value, json};

use category::Category;
use config::{Config, Settings};
use json_text::masked_text;

/// Places of a payload that metadata and violations name at most.
const MAX_PLACES: usize = 16;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "pii_filter",
        class_paths: &[
            "plugins.pii_filter.pii_filter.PIIFilterPlugin",
            "cpex_pii_filter.pii_filter.PIIFilterPlugin",
            "cpex_pii_filter.PIIFilterPlugin",
        ],
        about: "Finds personal data in texts and masks it, or blocks the call.",
        hooks: &[PromptPreFetch::ID, PromptPostFetch::ID, ToolPreInvoke::ID, ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let settings = Settings::new(&config)?;
    let needs = Needs::change().in_windows(settings.scanner.reach());
    let filter = PiiFilter { settings, config };
    Ok(Native::new(filter).on_each(TEXT_HOOKS, needs, PiiFilter::look).into_plugin())
}

struct PiiFilter {
    settings: Settings,
    config: Config,
}

/// What one call came to.
#[derive(Default)]
struct Report {
    edits: Edits,
    total: usize,
    /// Matches per category.
    types: BTreeMap<Category, usize>,
    /// Texts with matches, and the categories in each.
    places: Vec<(TextId, Vec<Category>)>,
}

impl Report {
    fn note(&mut self, id: TextId, found: Vec<Category>) {
        self.total += found.len();
        for category in &found {
            *self.types.entry(*category).or_default() += 1;
        }
        if !found.is_empty() && self.places.len() < MAX_PLACES {
            self.places.push((id, found));
        }
    }

    fn type_names(&self) -> Vec<&'static str> {
        self.types.keys().map(|category| category.name()).collect()
    }
}

impl PiiFilter {
    fn look(&self, payload: &dyn Payload, cx: &mut Cx<'_>) -> Outcome {
        let report = match cx.call.part {
            Part::Window { text, context, .. } => self.window(text, context),
            Part::Whole | Part::Complete => self.whole(payload)?,
        };
        if report.total == 0 {
            return Ok(Verdict::<()>::Pass.into());
        }
        self.remember(&report, payload, cx);
        self.log(&report, payload, cx);
        if self.config.block_on_detection {
            return Ok(Verdict::<()>::from(self.violation(&report, payload, cx.call.hook)).into());
        }
        Ok(Verdict::<()>::Edit(report.edits).into())
    }

    fn whole(&self, payload: &dyn Payload) -> Result<Report, PluginError> {
        let mut report = Report::default();
        let mut too_long = None;
        let limit = self.config.max_content_length.unwrap_or(self.config.max_text_bytes);
        payload.texts(&mut |part| {
            if part.text.len() > limit {
                too_long = Some(part.text.len());
                return ControlFlow::Break(());
            }
            let masked = json_text::mask(&self.settings, &part.text, &part.key, self.config.max_nested_depth);
            if !masked.found.is_empty() {
                for replacement in masked.replacements {
                    report.edits.replace(part.id, replacement.range, replacement.with);
                }
                report.note(part.id, masked.found);
            }
            ControlFlow::Continue(())
        });
        match too_long {
            Some(length) => Err(PluginError::failed(format!(
                "a text of {length} bytes is longer than max_text_bytes, which is {limit}, and was not scanned"
            ))),
            None => Ok(report),
        }
    }

    /// A window of a stream. An edit begins where the label of its match begins, so that the host lets a match go out
    /// only together with what it was recognised by.
    fn window(&self, text: &str, context: usize) -> Report {
        let mut report = Report::default();
        let mut done = context;
        let mut found = Vec::new();
        for finding in self.settings.scanner.find_from(text, "", context) {
            let anchor = text.floor_char_boundary(finding.anchor).max(done);
            let mask = masked_text(&self.settings, text, &finding);
            let with = format!("{}{mask}", &text[anchor..finding.start]);
            report.edits.replace(TextId(0), anchor..finding.end, with);
            found.push(finding.category);
            done = finding.end;
        }
        report.note(TextId(0), found);
        report
    }

    fn violation(&self, report: &Report, payload: &dyn Payload, hook: HookId) -> Violation {
        let (code, place) = match hook {
            ToolPreInvoke::ID => ("PII_DETECTED_IN_TOOL_ARGS", "tool arguments"),
            ToolPostInvoke::ID => ("PII_DETECTED_IN_TOOL_RESULT", "tool result"),
            PromptPreFetch::ID => ("PII_DETECTED", "prompt arguments"),
            PromptPostFetch::ID => ("PII_DETECTED", "prompt messages"),
            _ => ("PII_DETECTED", "content"),
        };
        let types = report.type_names();
        let description = format!("Found {} PII items in {place}: {}", report.total, types.join(", "));
        let violation = Violation::new(code, format!("PII detected in {place}")).describe(description);
        let violation = match hook {
            ToolPreInvoke::ID | ToolPostInvoke::ID => {
                violation.detail("detected_types", types).detail("total_count", report.total)
            }
            _ => {
                let field = report.places.first().map(|(id, _)| payload.text_path(*id)).unwrap_or_default();
                violation.detail("field", field).detail("types", types)
            }
        };
        let violation = violation.detail("count", report.total);
        if self.config.include_detection_details {
            violation.detail("locations", places(report, payload))
        } else {
            violation
        }
    }

    /// Writes what ContextForge writes into the plugin's context, and the counts into the result's metadata.
    fn remember(&self, report: &Report, payload: &dyn Payload, cx: &mut Cx<'_>) {
        let masked = if self.config.block_on_detection { 0 } else { report.total };
        let types = report.type_names();
        cx.metadata("pii_detections", report.total);
        cx.metadata(
            "pii_filter",
            json!({ "detections": report.total, "masked": masked, "types": counts(report) }),
        );
        let (moment, where_) = match cx.call.hook {
            PromptPreFetch::ID => (Cow::Borrowed("pre_fetch"), "fields"),
            PromptPostFetch::ID => (Cow::Borrowed("post_fetch"), "messages"),
            ToolPreInvoke::ID => (Cow::Borrowed("tool_pre_invoke"), "arguments"),
            ToolPostInvoke::ID => (Cow::Borrowed("tool_post_invoke"), "fields"),
            other => (Cow::Owned(format!("hook_{}", other.0)), "fields"),
        };
        let mut entry = json!({ "detected": true, "types": types, "total_count": report.total });
        if self.config.include_detection_details && !matches!(cx.call.part, Part::Window { .. }) {
            entry[where_] = places(report, payload);
        }
        let metadata = &mut cx.context.own().metadata;
        object(metadata, "pii_detections").insert(moment.into_owned(), entry);
        let stats = object(metadata, "pii_filter_stats");
        for (key, more) in [("total_detections", report.total), ("total_masked", masked)] {
            let before = stats.get(key).and_then(Value::as_u64).unwrap_or(0);
            stats.insert(key.to_owned(), (before + more as u64).into());
        }
    }

    fn log(&self, report: &Report, payload: &dyn Payload, cx: &Cx<'_>) {
        let audit = self.config.audit_detections;
        if !audit && !self.config.log_detections && !self.config.log_violations {
            return;
        }
        let request = cx.request();
        let types = report.type_names().join(",");
        let total = report.total.to_string();
        let action = if self.config.block_on_detection { "blocked" } else { "masked" };
        let mut fields = vec![
            ("subject", payload.subject().unwrap_or_default()),
            ("types", types.as_str()),
            ("count", total.as_str()),
            ("action", action),
        ];
        if audit {
            let or_none = |value: &Option<Arc<str>>| value.clone().unwrap_or_else(|| "".into());
            let caller = [&request.caller.user, &request.caller.tenant, &request.server_id].map(or_none);
            fields.push(("request_id", &request.id));
            fields.extend(["user", "tenant", "server"].into_iter().zip(caller.iter().map(|v| &**v)));
            return cx.host().log(LogLevel::Info, "personal data found", &fields);
        }
        cx.host().log(LogLevel::Info, "personal data found", &fields);
    }
}

fn counts(report: &Report) -> Value {
    report
        .types
        .iter()
        .map(|(category, n)| (category.name().to_owned(), Value::from(*n)))
        .collect::<Map<_, _>>()
        .into()
}

fn places(report: &Report, payload: &dyn Payload) -> Value {
    let place = |(id, found): &(TextId, Vec<Category>)| {
        let types: Vec<&str> = found.iter().map(|c| c.name()).collect();
        json!({ "path": payload.text_path(*id), "types": types })
    };
    report.places.iter().map(place).collect()
}

/// The object under `key`, made if it is not there.
fn object<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Object(map) => map,
        _ => unreachable!("the slot was made an object just above"),
    }
}
