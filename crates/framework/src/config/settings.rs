//! `plugin_settings`: what holds for all plugins of a file.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnostic::{Diagnostic, DiagnosticKind, Notice};
use super::node::Node;

/// Above this, `plugin_timeout` was probably meant in milliseconds.
const SUSPICIOUS_TIMEOUT_SECONDS: u64 = 300;

/// The `plugin_settings` section. Every key is optional.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PluginSettings {
    /// Whether plugins of equal priority run at the same time.
    pub parallel_execution_within_band: bool,
    /// How long one plugin may take for one call, in seconds.
    #[schemars(range(min = 1))]
    pub plugin_timeout: u64,
    /// Whether an error of a plugin blocks the call in every mode.
    pub fail_on_plugin_error: bool,
    /// Whether the management endpoints are served.
    pub enable_plugin_api: bool,
    /// Seconds between health checks of a plugin.
    #[schemars(range(min = 1))]
    pub plugin_health_check_interval: u64,
    /// Whether plugins are told the user's record rather than the e-mail address alone.
    pub include_user_info: bool,
    /// How the values of conditions match.
    pub condition_matching: ConditionMatching,
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            parallel_execution_within_band: false,
            plugin_timeout: 30,
            fail_on_plugin_error: false,
            enable_plugin_api: true,
            plugin_health_check_interval: 60,
            include_user_info: false,
            condition_matching: ConditionMatching::Superset,
        }
    }
}

impl PluginSettings {
    /// [`PluginSettings::plugin_timeout`] as a duration.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.plugin_timeout)
    }

    /// What deserves a word: a time-out in the wrong unit, and given settings that are in `without_effect`.
    #[must_use]
    pub fn notices(&self, section: Option<&Node>, path: &str, without_effect: &[&str]) -> Vec<Notice> {
        let Some(section) = section else { return Vec::new() };
        let remark = |key: &str, message: String| {
            let notice = Diagnostic::new(DiagnosticKind::Remark, message).path(format!("{path}.{key}"));
            match section.key_span(key) {
                Some(span) => notice.at(span.clone()),
                None => notice,
            }
        };
        let mut notices = Vec::new();
        if self.plugin_timeout > SUSPICIOUS_TIMEOUT_SECONDS {
            let message = format!(
                "`plugin_timeout` is in seconds: {} means {}",
                self.plugin_timeout,
                in_words(self.timeout())
            );
            notices.push(remark("plugin_timeout", message));
        }
        for key in without_effect.iter().filter(|key| section.get(key).is_some()) {
            notices.push(remark(key, format!("`{key}` is accepted and has no effect yet")));
        }
        notices
    }
}

fn in_words(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    if minutes < 120 { format!("{minutes} minutes") } else { format!("{} hours", minutes / 60) }
}

/// How the values of conditions match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConditionMatching {
    /// Equal, or as a glob, or as an anchored regular expression, or (user patterns) contained: rather once too
    /// often than silently never.
    #[default]
    Superset,
    /// Literally equal; user patterns contained.
    Exact,
}
