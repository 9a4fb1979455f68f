//! Brings the text of arguments into one form: Unicode, white space, letter case, dates, numbers.
//!
//! It runs before guards and tools, so that both see the same spelling. Every step is idempotent and leaves alone what
//! it is not sure of: an identifier that happens to look like a number is worth more than a tidy number. Only string
//! values are touched; a number written as text stays text.

pub mod config;
mod dates;
mod normal;
mod numbers;
mod space;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use mortise_plugin_api::{
    BuildError, Hook, HookId, Native, NativeKind, Needs, Plugin, TextPart,
    hooks::{PromptPreFetch, ToolPreInvoke},
    native::TextVerdict,
};
use serde_json::Value;

use config::Config;
use normal::Normalizer;

const HOOKS: &[HookId] = &[PromptPreFetch::ID, ToolPreInvoke::ID];

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "argument_normalizer",
        class_paths: &["plugins.argument_normalizer.argument_normalizer.ArgumentNormalizerPlugin"],
        about: "Brings the text of arguments into one form: Unicode, white space, letter case, dates, numbers.",
        hooks: HOOKS,
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let normalizer = Normalizer::new(&config)?;
    let plugin = Native::new(ArgumentNormalizer { normalizer });
    Ok(plugin
        .on_texts(HOOKS, Needs::change(), |p, part, verdict, _| {
            p.normalize(&part, verdict);
            Ok(())
        })
        .into_plugin())
}

struct ArgumentNormalizer {
    normalizer: Normalizer,
}

impl ArgumentNormalizer {
    fn normalize(&self, part: &TextPart<'_>, verdict: &mut TextVerdict) {
        if let Cow::Owned(text) = self.normalizer.normalize(&part.key, &part.text) {
            verdict.edits.replace_all(part.id, part.text.len(), text);
        }
    }
}
