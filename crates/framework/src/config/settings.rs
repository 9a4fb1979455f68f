//! `plugin_settings`: what holds for all plugins of a file.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::breaker::Limits;

use super::diagnostic::{Diagnostic, DiagnosticKind, Notice};
use super::node::Node;
use super::python::PythonSettings;

/// Above this, `plugin_timeout` was probably meant in milliseconds.
const SUSPICIOUS_TIMEOUT_SECONDS: u64 = 300;

/// The `plugin_settings` section. Every key is optional.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PluginSettings {
    /// Whether plugins of equal priority run at the same time. Those that may change the payload still run one after
    /// another in file order, before the others.
    pub parallel_execution_within_band: bool,
    /// How long one plugin may take for one call, in seconds.
    #[schemars(range(min = 1))]
    pub plugin_timeout: u64,
    /// How long a request may wait for all its plugins together, in seconds (`0.5`); without limit unless set. What
    /// comes to its turn with nothing left counts as timed out, by its mode.
    pub request_budget: Option<Seconds>,
    /// Whether a plugin that fails several times in a row is not called for a while.
    pub circuit_breaker_enabled: bool,
    /// Failures in a row after which a plugin is not called for a while.
    #[schemars(range(min = 1))]
    pub circuit_breaker_failure_threshold: u32,
    /// For how long it is not called at first, in seconds. Then one call is tried; each that fails doubles the time, up
    /// to eight times.
    pub circuit_breaker_timeout: Seconds,
    /// Whether an error of a plugin blocks the call in every mode.
    pub fail_on_plugin_error: bool,
    /// Whether the management endpoints are served.
    pub enable_plugin_api: bool,
    /// Seconds between health checks of a plugin; 0 for none.
    pub plugin_health_check_interval: u64,
    /// Whether plugins are told the user's record rather than the e-mail address alone.
    pub include_user_info: bool,
    /// How the values of conditions match.
    pub condition_matching: ConditionMatching,
    /// How plugins that are Python classes are run.
    pub python: PythonSettings,
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            parallel_execution_within_band: false,
            plugin_timeout: 30,
            request_budget: None,
            circuit_breaker_enabled: true,
            circuit_breaker_failure_threshold: 5,
            circuit_breaker_timeout: Seconds(Duration::from_secs(30)),
            fail_on_plugin_error: false,
            enable_plugin_api: true,
            plugin_health_check_interval: 60,
            include_user_info: false,
            condition_matching: ConditionMatching::Superset,
            python: PythonSettings::default(),
        }
    }
}

impl PluginSettings {
    /// [`PluginSettings::plugin_timeout`] as a duration.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.plugin_timeout)
    }

    /// How often plugins are asked whether they are well; `None` for never.
    #[must_use]
    pub fn health_interval(&self) -> Option<Duration> {
        let interval = Duration::from_secs(self.plugin_health_check_interval);
        (!interval.is_zero()).then_some(interval)
    }

    /// What the breakers of plugins go by that say nothing of their own.
    #[must_use]
    pub fn breaker(&self) -> Limits {
        if !self.circuit_breaker_enabled {
            return Limits::OFF;
        }
        let cooldown = self.circuit_breaker_timeout.0;
        Limits { failures: self.circuit_breaker_failure_threshold, cooldown }
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

/// A time in seconds, with fractions; more than nothing and less than a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Seconds(pub Duration);

impl Seconds {
    const MOST: f64 = 31_536_000.0;
}

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        match Duration::try_from_secs_f64(seconds) {
            Ok(time) if !time.is_zero() && seconds <= Self::MOST => Ok(Self(time)),
            _ => Err(format!("a time of {seconds} seconds is not between 0 and {}", Self::MOST)),
        }
    }
}

impl From<Seconds> for f64 {
    fn from(Seconds(time): Seconds) -> Self {
        time.as_secs_f64()
    }
}

impl JsonSchema for Seconds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "exclusiveMinimum": 0, "maximum": Self::MOST })
    }
}

/// What one plugin says of its circuit breaker, over what `plugin_settings` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BreakerKeys {
    /// `circuit_breaker_enabled`.
    pub enabled: Option<bool>,
    /// `circuit_breaker_failure_threshold`.
    pub failure_threshold: Option<u32>,
    /// `circuit_breaker_timeout`.
    pub timeout: Option<Seconds>,
}

impl BreakerKeys {
    /// The keys as they stand in a `config` that no schema describes; what is not of its type is not there.
    pub(super) fn in_config(config: &Map<String, Json>) -> Self {
        let number =
            |key| config.get(key).and_then(Json::as_u64).and_then(|number| u32::try_from(number).ok());
        let seconds = config.get("circuit_breaker_timeout").and_then(Json::as_f64);
        Self {
            enabled: config.get("circuit_breaker_enabled").and_then(Json::as_bool),
            failure_threshold: number("circuit_breaker_failure_threshold").filter(|number| *number > 0),
            timeout: seconds.and_then(|seconds| Seconds::try_from(seconds).ok()),
        }
    }

    /// These keys, and those of `other` that are not among them.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            enabled: self.enabled.or(other.enabled),
            failure_threshold: self.failure_threshold.or(other.failure_threshold),
            timeout: self.timeout.or(other.timeout),
        }
    }

    /// These keys where they are given, else what `general` says. Switched on by a plugin where it is off in general,
    /// what is not given is the default.
    #[must_use]
    pub fn over(self, general: Limits) -> Limits {
        let base = if general.is_on() { general } else { Limits::default() };
        if !self.enabled.unwrap_or(general.is_on()) {
            return Limits::OFF;
        }
        Limits {
            failures: self.failure_threshold.unwrap_or(base.failures),
            cooldown: self.timeout.map_or(base.cooldown, |timeout| timeout.0),
        }
    }
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
