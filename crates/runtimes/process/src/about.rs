//! What a plugin is told about a request beside its payload, and numbers for what has only names.
//!
//! The plugins' contract knows plugins, apps and users by number. Here they have names, so the number is made of the
//! name: always the same, on every machine, without a table to keep. A name that is a number stands for itself.

use std::collections::HashMap;

use mortise_plugin_api::{Context, Request};
use mortise_proto::tyk::plugin::PluginContext;
use serde_json::{Map, Value};

/// Where plugins' updates of the context are kept among what all plugins of a request share.
const UPDATES: &str = "plugin_context";

/// The number that stands for a name; never 0, which means nobody.
pub(crate) fn number(name: &str) -> u32 {
    if let Some(number) = name.parse::<u32>().ok().filter(|number| *number > 0) {
        return number;
    }
    // FNV-1a. The highest bit stays free for whoever reads it as a signed number.
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash & 0x7fff_ffff).max(1)
}

/// The context of a call.
pub(crate) fn context(request: &Request, context: &Context<'_>) -> PluginContext {
    let mut about = of(request);
    if let Some(updates) = context.shared(UPDATES).and_then(Value::as_object) {
        about.metadata.extend(
            updates.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))),
        );
    }
    about
}

/// What is known of a request as such.
pub(crate) fn of(request: &Request) -> PluginContext {
    let trace = request.traceparent.as_deref().map(|trace| ("traceparent".to_owned(), trace.to_owned()));
    PluginContext {
        request_id: request.id.to_string(),
        app_id: request.caller.app.as_deref().map_or(0, number),
        user_id: request.caller.user.as_deref().map_or(0, number),
        trace_context: trace.into_iter().collect(),
        ..PluginContext::default()
    }
}

/// Keeps what a plugin wants those after it to be told.
pub(crate) fn update(context: &mut Context<'_>, updates: HashMap<String, String>) {
    if updates.is_empty() {
        return;
    }
    let mut kept: Map<String, Value> =
        context.shared(UPDATES).and_then(Value::as_object).cloned().unwrap_or_default();
    kept.extend(updates.into_iter().map(|(key, value)| (key, Value::String(value))));
    context.set_shared(UPDATES, kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_themselves_and_names_for_one_number_each() {
        assert_eq!(number("7"), 7);
        assert_eq!(number("ci"), number("ci"));
        assert_ne!(number("ci"), number("ic"));
        for name in ["", "0", "4294967296", "-1"] {
            assert!(number(name) > 0 && number(name) <= 0x7fff_ffff, "{name}");
        }
    }
}
