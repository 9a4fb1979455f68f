//! Keeps results of tools for a time and serves calls with them.
//!
//! A result is kept as it is when the hook after the call reaches this plugin, and plugins that stand later see it again
//! whenever it is served: what they mask is masked each time, under the configuration of that moment. Results are kept
//! apart by who calls, unless the configuration says otherwise, and only those that went well are kept.

pub mod config;
mod key;
mod store;

#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mortise_plugin_api::{
    BuildError, Cx, End, Hook, Json, Native, NativeKind, Needs, Plugin, PluginError, Verdict,
    hooks::{
        ToolPostInvoke, ToolPreInvoke,
        tool::{ToolPostInvokePayload, ToolPreInvokePayload},
    },
};
use serde_json::Value;

use crate::tool_result;
use config::Config;
use key::{Key, key};
use store::Store;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "cached_tool_result",
        class_paths: &["plugins.cached_tool_result.cached_tool_result.CachedToolResultPlugin"],
        about: "Keeps results of tools for a time and serves calls with them.",
        hooks: &[ToolPreInvoke::ID, ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    for (field, value) in [("max_entries", config.max_entries), ("max_bytes", config.max_bytes)] {
        if value == 0 {
            return Err(BuildError::new(field, "must be 1 or more"));
        }
    }
    let cache = Cache {
        tools: config.cacheable_tools.iter().cloned().collect(),
        store: Mutex::new(Store::new(config.max_entries, config.max_bytes)),
        config,
    };
    Ok(Native::new(cache)
        .on::<ToolPreInvoke>(Needs::change(), Cache::before)
        .on::<ToolPostInvoke>(Needs::observe(), Cache::after)
        .into_plugin())
}

struct Cache {
    tools: HashSet<String>,
    store: Mutex<Store>,
    config: Config,
}

impl Cache {
    fn before(
        &self,
        payload: &ToolPreInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        if !self.tools.contains(&payload.name) {
            return Ok(Verdict::Pass);
        }
        let fields = self.config.key_fields.get(&payload.name).map(Vec::as_slice).unwrap_or_default();
        let key = key(cx.request(), self.config.scope, &payload.name, &payload.args, fields);
        let now = cx.host().instant();
        let found = key.and_then(|key| self.lock().get(&key, now));
        cx.metadata("cache_hit", found.is_some());
        // What was served from here is not kept anew: its time would never end.
        *cx.context.native::<Option<Key>>() = key.filter(|_| found.is_none());
        Ok(found.map_or(Verdict::Pass, |result| Verdict::Serve(Json::assume_valid(result))))
    }

    fn after(
        &self,
        payload: &ToolPostInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPostInvokePayload>, PluginError> {
        // Tools whose results are not kept have nothing here, and need not be given anything.
        if cx.context.own_ref().is_none() {
            return Ok(Verdict::Pass);
        }
        let Some(key) = cx.context.native::<Option<Key>>().take() else { return Ok(Verdict::Pass) };
        if cx.call.end != End::Ok || tool_result::is_error(&payload.result) {
            return Ok(Verdict::Pass);
        }
        let (ttl, now) = (Duration::from_secs(self.config.ttl), cx.host().instant());
        if self.lock().put(key, payload.result.text(), ttl, now) {
            cx.metadata("cache_stored", true);
        }
        Ok(Verdict::Pass)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
