//! Overrides as they are shown: beside what is configured, secrets as `***`.

use mortise_framework::config::{Mode, PluginEntry};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Overrides;

/// What of a plugin is changed while running.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Overridden {
    /// Off, or on where the configuration says `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Its mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Its priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Keys over its configuration, secrets as `***`; null takes a key away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
    /// Who made the last part of it.
    pub by: String,
    /// When, in UTC.
    pub at: String,
}

/// What is configured of a plugin that is changed while running.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Configured {
    /// Its mode.
    pub mode: Mode,
    /// Its priority.
    pub priority: i64,
    /// Its configuration, secrets as `***`.
    pub config: Value,
}

impl Overrides {
    /// What is changed of the plugin of this name.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<Overridden> {
        let over = self.plugins.get(name)?;
        Some(Overridden {
            enabled: over.overlay.enabled,
            mode: over.overlay.mode,
            priority: over.overlay.priority,
            config: over.overlay.masked_config(),
            by: over.by.clone(),
            at: over.at.clone(),
        })
    }
}

impl Configured {
    /// What is configured below the override of an entry, where there is one.
    #[must_use]
    pub fn of(entry: &PluginEntry) -> Option<Self> {
        let before = entry.overlaid.as_ref()?;
        Some(Self { mode: before.mode, priority: before.priority, config: before.config.to_masked_json() })
    }
}
