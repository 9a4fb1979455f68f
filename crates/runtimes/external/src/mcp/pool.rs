//! Sizes and deadlines of the connections to a server. The environment sets them for all plugins, under the names that
//! ContextForge has for its HTTP client; what cannot be read there is as if it were not set.

use std::{path::PathBuf, time::Duration};

use mortise_mcp_transport::http::pool::PoolConfig;

/// What all these variables begin with.
const FAMILY: &str = "PLUGINS_HTTPX_";

/// Connections beside those of calls, for telling the server that one was given up.
const SPARE: usize = 8;

/// The connections for this many calls at once, `variable` giving what the environment holds.
pub(super) fn config(
    in_flight: usize,
    unix_socket: Option<PathBuf>,
    variable: impl Fn(&str) -> Option<String>,
) -> PoolConfig {
    let text = |name: &str| variable(&format!("{FAMILY}{name}"));
    let count = |name: &str| text(name)?.trim().parse::<usize>().ok().filter(|count| *count > 0);
    let seconds = |name: &str| {
        let seconds = text(name)?.trim().parse::<f64>().ok()?;
        Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero())
    };
    let defaults = PoolConfig::default();
    PoolConfig {
        max_connections: count("MAX_CONNECTIONS").map_or(in_flight, |most| most.min(in_flight)) + SPARE,
        max_idle: count("MAX_KEEPALIVE_CONNECTIONS").unwrap_or(defaults.max_idle).min(in_flight),
        idle_timeout: seconds("KEEPALIVE_EXPIRY").unwrap_or(defaults.idle_timeout),
        connect_timeout: seconds("CONNECT_TIMEOUT").unwrap_or(defaults.connect_timeout),
        acquire_timeout: seconds("POOL_TIMEOUT").unwrap_or(defaults.acquire_timeout),
        unix_socket,
        ..defaults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_sets_what_it_can_be_read_as() {
        let variable = |name: &str| match name {
            "PLUGINS_HTTPX_MAX_CONNECTIONS" => Some("20".to_owned()),
            "PLUGINS_HTTPX_CONNECT_TIMEOUT" => Some("1.5".to_owned()),
            "PLUGINS_HTTPX_POOL_TIMEOUT" => Some("soon".to_owned()),
            _ => None,
        };
        let config = config(256, None, variable);
        assert_eq!(
            (config.max_connections, config.connect_timeout),
            (20 + SPARE, Duration::from_millis(1500))
        );
        assert_eq!(config.acquire_timeout, PoolConfig::default().acquire_timeout);
    }
}
