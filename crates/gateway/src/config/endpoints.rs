//! `endpoints`: limits of plugins' own HTTP endpoints.

use std::time::Duration;

use mortise_framework::config::{Environment, Seconds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{check::flag_error, place::Findings};

/// Longest streamed answer, as the documents name it: `5m`, `1h30m`, `90s`.
const STREAM_TIMEOUT: &str = "PLUGIN_ENDPOINT_STREAM_TIMEOUT";

/// Largest body of a request, in bytes.
const MAX_BODY_SIZE: &str = "PLUGIN_ENDPOINT_MAX_BODY_SIZE";

/// Limits of plugins' own HTTP endpoints, at `/plugins/{slug}/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointsConfig {
    /// Seconds that a plugin has for an answer that is not streamed. Default 60.
    pub timeout: Seconds,
    /// Longest time of a streamed answer, from the request to its end, in seconds. Default 300. The variable
    /// `PLUGIN_ENDPOINT_STREAM_TIMEOUT` (`5m`, `90s`) wins over it.
    pub stream_timeout: Seconds,
    /// Longest time between two pieces of a streamed answer, in seconds. Without it, as long as the whole.
    pub stream_idle_timeout: Option<Seconds>,
    /// Largest body of a request, in bytes. Default 1,048,576. The variable `PLUGIN_ENDPOINT_MAX_BODY_SIZE` wins over
    /// it.
    #[schemars(range(min = 1))]
    pub max_body_bytes: usize,
    /// Whether a path that is registered with other methods answers 405, and not 404 as one that is not registered.
    /// Default false.
    pub method_not_allowed: bool,
}

impl Default for EndpointsConfig {
    fn default() -> Self {
        Self {
            timeout: Seconds(Duration::from_secs(60)),
            stream_timeout: Seconds(Duration::from_secs(300)),
            stream_idle_timeout: None,
            max_body_bytes: 1 << 20,
            method_not_allowed: false,
        }
    }
}

/// Validated [`EndpointsConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointLimits {
    /// For an answer that is not streamed.
    pub timeout: Duration,
    /// For a streamed one as a whole.
    pub stream_timeout: Duration,
    /// Between two pieces of it.
    pub stream_idle_timeout: Option<Duration>,
    /// Largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// Whether another method answers 405.
    pub method_not_allowed: bool,
}

/// Lays the variables over the section.
pub(super) fn settle(
    raw: &EndpointsConfig,
    environment: &Environment,
    found: &mut Findings<'_>,
) -> EndpointLimits {
    let mut limits = EndpointLimits {
        timeout: raw.timeout.0,
        stream_timeout: raw.stream_timeout.0,
        stream_idle_timeout: raw.stream_idle_timeout.map(|Seconds(time)| time),
        max_body_bytes: raw.max_body_bytes,
        method_not_allowed: raw.method_not_allowed,
    };
    if let Some(text) = environment.non_empty(STREAM_TIMEOUT) {
        match duration(text.trim()) {
            Some(time) => limits.stream_timeout = time,
            None => found.errors.push(flag_error(
                STREAM_TIMEOUT,
                format!("the variable {STREAM_TIMEOUT} is no time: write it as `5m`, `90s` or `1h30m`"),
            )),
        }
    }
    if let Some(text) = environment.non_empty(MAX_BODY_SIZE) {
        match text.trim().parse().ok().filter(|bytes| *bytes > 0) {
            Some(bytes) => limits.max_body_bytes = bytes,
            None => found.errors.push(flag_error(
                MAX_BODY_SIZE,
                format!("the variable {MAX_BODY_SIZE} is no number of bytes: write it as `1048576`"),
            )),
        }
    }
    limits
}

/// A time as Go programs write it: numbers with units, one after another. More than nothing, and no more than a year.
fn duration(text: &str) -> Option<Duration> {
    const YEAR: f64 = 31_536_000.0;
    let (mut seconds, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.');
        let end = unit_end.map_or(rest.len(), |length| digits + length);
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = match &rest[digits..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number * unit;
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero() && seconds <= YEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_writes_them() {
        for (text, seconds) in [
            ("5m", 300.0),
            ("30m", 1800.0),
            ("1h30m", 5400.0),
            ("90s", 90.0),
            ("1.5h", 5400.0),
            ("250ms", 0.25),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for wrong in ["", "5", "m", "0s", "-5m", "5 m", "5x", "1..5s", "9999999h", "5m3"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
