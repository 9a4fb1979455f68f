//! Configuration of the circuit breaker.

use std::{collections::BTreeMap, time::Duration};

use mortise_plugin_api::BuildError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::circuit::Rules;
use crate::rate_limiter::rate::nanos;

/// Configuration of the circuit breaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Share of failures, over 0 and up to 1, at which a tool's circuit opens.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_rate_threshold: f64,
    /// Seconds over which calls and failures are counted.
    #[schemars(range(min = 1, max = 86_400))]
    pub window_seconds: u32,
    /// Calls in the window before the share of failures counts.
    #[schemars(range(min = 1))]
    pub min_calls: u32,
    /// Failures in a row at which it opens, however few the calls.
    #[schemars(range(min = 1))]
    pub consecutive_failure_threshold: u32,
    /// Seconds for which it stays open before one call may try.
    #[schemars(range(min = 1, max = 86_400))]
    pub cooldown_seconds: u32,
    /// Other values for single tools, by name: any of the keys above.
    pub tool_overrides: BTreeMap<String, Override>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            error_rate_threshold: 0.5,
            window_seconds: 60,
            min_calls: 10,
            consecutive_failure_threshold: 5,
            cooldown_seconds: 60,
            tool_overrides: BTreeMap::new(),
        }
    }
}

/// Other values for one tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Override {
    /// As above.
    pub error_rate_threshold: Option<f64>,
    /// As above.
    pub window_seconds: Option<u32>,
    /// As above.
    pub min_calls: Option<u32>,
    /// As above.
    pub consecutive_failure_threshold: Option<u32>,
    /// As above.
    pub cooldown_seconds: Option<u32>,
}

impl Config {
    /// The rules for tools without values of their own.
    ///
    /// # Errors
    /// A value is out of range.
    pub fn rules(&self) -> Result<Rules, BuildError> {
        rules(self, "")
    }

    /// The rules for each tool with values of its own.
    ///
    /// # Errors
    /// A value is out of range.
    pub fn overrides(&self) -> Result<Vec<(String, Rules)>, BuildError> {
        let one = |(name, own): (&String, &Override)| {
            let merged = Self {
                error_rate_threshold: own.error_rate_threshold.unwrap_or(self.error_rate_threshold),
                window_seconds: own.window_seconds.unwrap_or(self.window_seconds),
                min_calls: own.min_calls.unwrap_or(self.min_calls),
                consecutive_failure_threshold: own
                    .consecutive_failure_threshold
                    .unwrap_or(self.consecutive_failure_threshold),
                cooldown_seconds: own.cooldown_seconds.unwrap_or(self.cooldown_seconds),
                tool_overrides: BTreeMap::new(),
            };
            Ok((name.clone(), rules(&merged, &format!("tool_overrides.{name}."))?))
        };
        self.tool_overrides.iter().map(one).collect()
    }
}

fn rules(config: &Config, prefix: &str) -> Result<Rules, BuildError> {
    let wrong = |key: &str, allowed: &str| {
        let field = format!("{prefix}{key}");
        let message = format!("{field} must be {allowed}");
        Err(BuildError::new(field, message))
    };
    let rate = config.error_rate_threshold;
    if !(rate > 0.0 && rate <= 1.0) {
        return wrong("error_rate_threshold", "over 0 and at most 1");
    }
    for (key, seconds) in
        [("window_seconds", config.window_seconds), ("cooldown_seconds", config.cooldown_seconds)]
    {
        if !(1..=86_400).contains(&seconds) {
            return wrong(key, "1 to 86400");
        }
    }
    for (key, count) in [
        ("min_calls", config.min_calls),
        ("consecutive_failure_threshold", config.consecutive_failure_threshold),
    ] {
        if count == 0 {
            return wrong(key, "1 or more");
        }
    }
    let seconds = |seconds: u32| nanos(Duration::from_secs(seconds.into()));
    Ok(Rules {
        error_rate: rate,
        window: seconds(config.window_seconds),
        min_calls: config.min_calls,
        consecutive: config.consecutive_failure_threshold,
        cooldown: seconds(config.cooldown_seconds),
    })
}
