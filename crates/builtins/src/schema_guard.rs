//! Checks tools' arguments and results against JSON Schemas, and blocks what does not match.
//!
//! All of JSON Schema is understood, of any draft; references are resolved within the schema itself and nowhere else,
//! and patterns run in linear time. What is judged must be what the other side reads: an object that names a member
//! twice is read differently by different parsers, so it matches no schema.

pub mod config;
mod schemas;
mod unique;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use mortise_plugin_api::{
    BuildError, Cx, End, Hook, Json, Native, NativeKind, Needs, Plugin, PluginError, Verdict, Violation,
    hooks::{
        ToolPostInvoke, ToolPreInvoke,
        tool::{ToolPostInvokePayload, ToolPreInvokePayload},
    },
};
use serde_json::{Map, Value, json};

use config::{Config, ResultPart};
use schemas::Schemas;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "schema_guard",
        class_paths: &["plugins.schema_guard.schema_guard.SchemaGuardPlugin"],
        about: "Checks tools' arguments and results against JSON Schemas.",
        hooks: &[ToolPreInvoke::ID, ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let guard = SchemaGuard {
        args: Schemas::compile("arg_schemas", &config.arg_schemas)?,
        results: Schemas::compile("result_schemas", &config.result_schemas)?,
        result_part: config.result_part,
        blocks: config.block_on_violation,
    };
    let needs = |schemas: &Schemas| match (schemas.is_empty(), guard.blocks) {
        (true, _) => Needs::observe().without_body(),
        (false, true) => Needs::block(),
        (false, false) => Needs::observe(),
    };
    let (before, after) = (needs(&guard.args), needs(&guard.results));
    Ok(Native::new(guard)
        .on::<ToolPreInvoke>(before, SchemaGuard::before)
        .on::<ToolPostInvoke>(after, SchemaGuard::after)
        .into_plugin())
}

struct SchemaGuard {
    args: Schemas,
    results: Schemas,
    result_part: ResultPart,
    blocks: bool,
}

impl SchemaGuard {
    fn before(
        &self,
        payload: &ToolPreInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        let Some(schema) = self.args.of(&payload.name, cx.request()) else { return Ok(Verdict::Pass) };
        let errors = judge(&payload.args, |args| match args {
            // A client that sends no arguments means none.
            Value::Null => schema.errors(&Value::Object(Map::new())),
            args => schema.errors(args),
        });
        let reason = "Tool arguments do not match their schema";
        Ok(self.verdict(errors, "SCHEMA_GUARD_ARGS", reason, &payload.name, cx))
    }

    fn after(
        &self,
        payload: &ToolPostInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPostInvokePayload>, PluginError> {
        // In the place of an answer that never came stands a substitute, which is nobody's result.
        if cx.call.end != End::Ok {
            return Ok(Verdict::Pass);
        }
        let Some(schema) = self.results.of(&payload.name, cx.request()) else { return Ok(Verdict::Pass) };
        let errors = judge(&payload.result, |result| match self.result_part {
            ResultPart::Result => schema.errors(result),
            ResultPart::Structured if result.get("isError") == Some(&Value::Bool(true)) => Vec::new(),
            ResultPart::Structured => match structured(result) {
                Some(value) => schema.errors(&value),
                None => vec!["the result has neither structuredContent nor one text that is JSON".to_owned()],
            },
        });
        let reason = "Tool result does not match its schema";
        Ok(self.verdict(errors, "SCHEMA_GUARD_RESULT", reason, &payload.name, cx))
    }

    fn verdict<C>(
        &self,
        errors: Vec<String>,
        code: &str,
        reason: &str,
        tool: &str,
        cx: &mut Cx<'_>,
    ) -> Verdict<C> {
        if errors.is_empty() {
            return Verdict::Pass;
        }
        cx.metadata("schema_errors", errors.clone());
        if !self.blocks {
            return Verdict::Pass;
        }
        Violation::new(code, reason)
            .describe(format!("{tool}: {}", errors.join("; ")))
            .detail("tool", tool)
            .detail("errors", errors)
            .into()
    }
}

/// What is wrong with a value; that it cannot be read, or that it could be read in two ways, is wrong with it too.
fn judge(json: &Json, check: impl FnOnce(&Value) -> Vec<String>) -> Vec<String> {
    match json.value() {
        Err(error) => vec![error.to_string()],
        Ok(value) => match unique::repeated_member(json.text()) {
            Some(name) => vec![format!("an object names the member {} twice", json!(name))],
            None => check(value),
        },
    }
}

/// The data of a result: its structured content, or the JSON that is its only text.
fn structured(result: &Value) -> Option<Value> {
    if let Some(value) = result.get("structuredContent").filter(|value| !value.is_null()) {
        return Some(value.clone());
    }
    let [only] = result.get("content")?.as_array()?.as_slice() else { return None };
    let text = only.get("text")?.as_str()?;
    match unique::repeated_member(text.as_bytes()) {
        Some(_) => None,
        None => serde_json::from_str(text).ok(),
    }
}
