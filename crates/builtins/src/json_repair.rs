//! Repairs texts of results that are nearly JSON, so that whoever reads them can parse them.
//!
//! Conservative: a text is changed only where what comes out is a JSON object or list, and only in its notation
//! (quotation marks, constants, commas, the outer braces), never in what it says. What is cut off in the middle stays
//! as it is, since closing it would pass a part off as the whole. Structured content is left alone: it is JSON already,
//! and its strings are what somebody meant them to be.

pub mod config;
mod repair;

#[cfg(test)]
mod tests;

use std::{ops::ControlFlow, sync::Arc};

use memchr::memmem;
use mortise_plugin_api::{
    BuildError, Cx, Edits, Hook, Native, NativeKind, Needs, Payload, Plugin, PluginError, TextId, Verdict,
    hooks::{ToolPostInvoke, tool::ToolPostInvokePayload},
};
use serde_json::Value;

use config::Config;

/// Bytes that are read to find out where repaired texts stand, for one call. Beyond it no more texts are repaired.
const PATH_BUDGET: usize = 64 << 20;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "json_repair",
        class_paths: &["plugins.json_repair.json_repair.JSONRepairPlugin"],
        about: "Repairs texts of results that are nearly JSON.",
        hooks: &[ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    Ok(Native::new(JsonRepair { config })
        .on::<ToolPostInvoke>(Needs::change(), JsonRepair::after)
        .into_plugin())
}

struct JsonRepair {
    config: Config,
}

impl JsonRepair {
    fn after(
        &self,
        payload: &ToolPostInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPostInvokePayload>, PluginError> {
        let mut place = Place::of(payload);
        let mut edits = Edits::new();
        payload.texts(&mut |part| {
            let text = &*part.text;
            if text.len() > self.config.max_text_bytes || !matches!(&*part.key, "" | "text" | "result") {
                return ControlFlow::Continue(());
            }
            if let Some(repaired) = repair::repair(text)
                && place.is_content(part.id)
            {
                edits.replace_all(part.id, text.len(), repaired);
            }
            ControlFlow::Continue(())
        });
        if edits.is_empty() {
            return Ok(Verdict::Pass);
        }
        cx.metadata("repaired", true);
        cx.metadata("repaired_texts", edits.len());
        Ok(Verdict::Edit(edits))
    }
}

/// Tells texts for the reader from strings of structured content.
struct Place<'a> {
    payload: &'a ToolPostInvokePayload,
    structured: bool,
    budget: usize,
}

impl<'a> Place<'a> {
    fn of(payload: &'a ToolPostInvokePayload) -> Self {
        // An escape could spell the name in another way.
        let structured = [&b"structuredContent"[..], b"\\u"]
            .iter()
            .any(|word| memmem::find(payload.result.text(), word).is_some());
        Self { payload, structured, budget: PATH_BUDGET / payload.result.size().max(1) }
    }

    fn is_content(&mut self, id: TextId) -> bool {
        if !self.structured {
            return true;
        }
        let Some(left) = self.budget.checked_sub(1) else { return false };
        self.budget = left;
        !self.payload.text_path(id).contains("structuredContent")
    }
}
