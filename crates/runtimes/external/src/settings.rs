//! How an external plugin is called, whatever carries the calls: limits, retries, cache, pauses.
//!
//! The documents show these keys in two places, in the block of the transport and in `config:`. Both are read; what
//! the block says counts. `circuit_breaker_*` is not here: breakers are the pipeline's, which reads the same keys.

use std::time::Duration;

use mortise_framework::config::PluginEntry;
use mortise_plugin_api::BuildError;
use serde_json::{Map, Value};

use crate::cache::Limits as CacheLimits;

/// What holds for calls over any transport.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `timeout_ms`: longest wait for one answer, below the pipeline's own limit. Default: that alone.
    pub timeout: Option<Duration>,
    /// `retry_attempts`: how often a call is sent again that nobody has seen. Default 0.
    pub retries: u32,
    /// `max_response_size_mb`: most bytes of one answer. Default 32 MiB.
    pub max_answer_bytes: usize,
    /// `connection_pool_size`: calls under way at once; further ones wait within their time limit. Default 256.
    pub in_flight: usize,
    /// `cache_ttl_seconds` and `cache_max_entries`: answers that are kept. Default: none.
    pub cache: Option<CacheLimits>,
    /// `health_check_interval`: seconds between looks at the server. Default: only when the framework asks.
    pub health_interval: Option<Duration>,
    /// `reconnect_attempts`: attempts at the start before the plugin counts as away; those after that never end.
    /// Default 3.
    pub reconnect_attempts: u32,
    /// `reconnect_delay`: the first pause between attempts; it doubles, with jitter, up to 10 s. Default 0.25 s.
    pub reconnect_delay: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: None,
            retries: 0,
            max_answer_bytes: 32 << 20,
            in_flight: 256,
            cache: None,
            health_interval: None,
            reconnect_attempts: 3,
            reconnect_delay: Duration::from_millis(250),
        }
    }
}

impl Settings {
    /// Reads the settings of an entry.
    ///
    /// # Errors
    /// Values that are no numbers, or out of range.
    pub fn of(entry: &PluginEntry) -> Result<Self, BuildError> {
        let keys = Keys::of(entry);
        let defaults = Self::default();
        let cache = match keys.number("cache_ttl_seconds", 0.0..=86_400.0)? {
            Some(seconds) if seconds > 0.0 => Some(CacheLimits {
                keep: Duration::from_secs_f64(seconds),
                entries: keys.count("cache_max_entries", 1..=1_000_000)?.unwrap_or(10_000),
            }),
            _ => None,
        };
        let interval = keys.number("health_check_interval", 0.0..=86_400.0)?;
        let megabytes = keys.number("max_response_size_mb", 0.001..=1024.0)?;
        Ok(Self {
            timeout: keys
                .number("timeout_ms", 1.0..=3_600_000.0)?
                .map(|ms| Duration::from_secs_f64(ms / 1e3)),
            retries: keys.small("retry_attempts", 0..=10)?.unwrap_or(0),
            max_answer_bytes: megabytes.map_or(defaults.max_answer_bytes, |mb| (mb * 1_048_576.0) as usize),
            in_flight: keys.count("connection_pool_size", 1..=10_000)?.unwrap_or(defaults.in_flight),
            cache,
            health_interval: interval.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64),
            reconnect_attempts: keys
                .small("reconnect_attempts", 0..=1_000)?
                .map_or(defaults.reconnect_attempts, |given| given.max(1)),
            reconnect_delay: keys
                .number("reconnect_delay", 0.0..=600.0)?
                .map_or(defaults.reconnect_delay, |seconds| Duration::from_secs_f64(seconds.max(0.05))),
        })
    }
}

/// The keys of an entry's transport, and behind them those of its `config:`.
pub(crate) struct Keys<'e> {
    name: &'static str,
    block: Option<&'e Map<String, Value>>,
    config: &'e Map<String, Value>,
}

impl<'e> Keys<'e> {
    pub(crate) fn of(entry: &'e PluginEntry) -> Self {
        let blocks = [("mcp", &entry.mcp), ("grpc", &entry.grpc), ("unix_socket", &entry.unix_socket)];
        let found = blocks.into_iter().find_map(|(name, block)| Some((name, block.as_ref()?)));
        let (name, block) = found.map_or(("mcp", None), |(name, block)| (name, Some(block)));
        Self { name, block, config: &entry.config_json }
    }

    /// A value that is there and not null, and where it stands.
    pub(crate) fn find(&self, key: &str) -> Option<(&'e Value, String)> {
        let there = |map: &'e Map<String, Value>| map.get(key).filter(|value| !value.is_null());
        let in_block = self.block.and_then(there).map(|value| (value, format!("{}.{key}", self.name)));
        in_block.or_else(|| there(self.config).map(|value| (value, key.to_owned())))
    }

    /// A number, also one written as text, as variables leave it.
    pub(crate) fn number(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<Option<f64>, BuildError> {
        let Some((value, at)) = self.find(key) else { return Ok(None) };
        let number = match value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let message = format!("must be a number from {} to {}", range.start(), range.end());
                Err(BuildError::new(at, message))
            }
        }
    }

    fn count(&self, key: &str, range: std::ops::RangeInclusive<u32>) -> Result<Option<usize>, BuildError> {
        Ok(self.small(key, range)?.and_then(|number| usize::try_from(number).ok()))
    }

    fn small(&self, key: &str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, BuildError> {
        let range = f64::from(*range.start())..=f64::from(*range.end());
        match self.number(key, range)? {
            Some(number) if number.fract() == 0.0 => Ok(Some(number as u32)),
            Some(_) => {
                let at = self.find(key).map(|(_, at)| at).unwrap_or_default();
                Err(BuildError::new(at, "must be a whole number"))
            }
            None => Ok(None),
        }
    }

    /// A text.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'e str>, BuildError> {
        match self.find(key) {
            None => Ok(None),
            Some((Value::String(text), _)) => Ok(Some(text)),
            Some((_, at)) => Err(BuildError::new(at, "must be a text")),
        }
    }
}

/// Yes or no, also as a word.
pub(crate) fn switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(word) => Some(*word),
        Value::String(text) => word(text),
        _ => None,
    }
}

/// A word for yes or no, in any letter case.
pub(crate) fn word(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(mcp: &Value, config: &Value) -> PluginEntry {
        let mut entry =
            PluginEntry::new("guard", "external").with_config(config.as_object().unwrap().clone());
        entry.mcp = mcp.as_object().cloned();
        entry
    }

    #[test]
    fn keys_count_in_the_block_and_in_the_config_and_the_block_wins() {
        let entry = entry(
            &json!({ "timeout_ms": 500, "max_response_size_mb": 2 }),
            &json!({ "timeout_ms": 2000, "retry_attempts": "1", "cache_ttl_seconds": 300, "connection_pool_size": 20 }),
        );
        let settings = Settings::of(&entry).unwrap();
        assert_eq!(settings.timeout, Some(Duration::from_millis(500)));
        assert_eq!(settings.max_answer_bytes, 2 << 20);
        assert_eq!((settings.retries, settings.in_flight), (1, 20));
        assert_eq!(settings.cache.unwrap().entries, 10_000);
    }

    #[test]
    fn values_out_of_range_name_their_key() {
        let error = Settings::of(&entry(&json!({ "timeout_ms": -1 }), &json!({}))).unwrap_err();
        assert_eq!(error.field, "mcp.timeout_ms");
        let error = Settings::of(&entry(&json!({}), &json!({ "retry_attempts": 1.5 }))).unwrap_err();
        assert_eq!(
            (error.field.as_str(), error.message.as_str()),
            ("retry_attempts", "must be a whole number")
        );
    }

    #[test]
    fn without_keys_nothing_is_cached_or_repeated() {
        assert_eq!(Settings::of(&entry(&json!({}), &json!({}))).unwrap(), Settings::default());
    }
}
