//! Configuration of the rate limiter.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of the rate limiter. It has no `Debug`: `redis_url` may hold a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Calls of one user, such as `60/m`; unset for no limit. Callers without a user share the name `anonymous`.
    pub by_user: Option<String>,
    /// Calls of tools by one user at one upstream; unset for no limit.
    pub by_user_per_server: Option<String>,
    /// Calls of one tenant; unset for no limit. Callers without a tenant share the name `default`.
    pub by_tenant: Option<String>,
    /// Calls of one app; unset for no limit. Callers without an app share the name `anonymous`.
    pub by_app: Option<String>,
    /// Calls of one tool or prompt within a tenant, by its name.
    pub by_tool: BTreeMap<String, String>,
    /// How calls are counted.
    pub algorithm: Algorithm,
    /// Names whose calls are counted one by one in each dimension; further ones share one allowance.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_keys: usize,
    /// Where calls are counted. `redis` counts in this process too, and the log says so at start.
    pub backend: Backend,
    /// Accepted for compatibility, without effect: calls are counted in this process.
    pub redis_url: Option<String>,
    /// Accepted for compatibility, without effect.
    pub redis_key_prefix: String,
    /// Accepted for compatibility, without effect.
    pub redis_ssl_ca_certs: Option<String>,
    /// Accepted for compatibility, without effect.
    pub redis_ssl_certfile: Option<String>,
    /// Accepted for compatibility, without effect.
    pub redis_ssl_keyfile: Option<String>,
    /// Accepted for compatibility, without effect.
    pub redis_ssl_check_hostname: bool,
    /// Accepted for compatibility, without effect: counting in this process cannot fail.
    pub fail_mode: FailMode,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            by_user: None,
            by_user_per_server: None,
            by_tenant: None,
            by_app: None,
            by_tool: BTreeMap::new(),
            algorithm: Algorithm::FixedWindow,
            max_keys: 100_000,
            backend: Backend::Memory,
            redis_url: None,
            redis_key_prefix: "rl".to_owned(),
            redis_ssl_ca_certs: None,
            redis_ssl_certfile: None,
            redis_ssl_keyfile: None,
            redis_ssl_check_hostname: true,
            fail_mode: FailMode::Open,
        }
    }
}

/// How calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// In windows of the clock: `60/m` begins anew with every minute.
    FixedWindow,
    /// In the time before each call: never more than the limit in any stretch as long as the window.
    SlidingWindow,
    /// A bucket that holds as many calls as the limit and fills evenly over the window.
    TokenBucket,
}

/// Where calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// In this process.
    Memory,
    /// In a shared store, which this version does not have.
    Redis,
}

/// What would happen to calls that cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailMode {
    /// They pass.
    Open,
    /// They are blocked.
    Closed,
}
