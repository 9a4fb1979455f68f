//! Limits how many calls a user, a tenant, an app or a tool may make in a time.
//!
//! Every limit that holds for a call is looked at in one step: a call takes from all of them or, when one refuses, from
//! none (`table`). Time is the host's monotonic clock, set to the time of the day once at start, so that windows lie
//! on whole minutes and hours and a clock that is put back gives nobody a second allowance. Counts pass to a successor
//! when the configuration changes.

pub mod config;
pub(crate) mod counter;
pub(crate) mod rate;
pub(crate) mod table;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use mortise_plugin_api::{
    BuildError, Cx, Hook, HookId, Host, Init, Native, NativeKind, Needs, Outcome, Payload, Plugin, Request,
    Verdict, Violation,
    hooks::{AgentPreInvoke, LlmInput, PromptPreFetch, ResourcePreFetch, ToolPreInvoke},
    host::LogLevel,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use config::{Backend, Config};
use rate::{Rate, nanos};
use table::{Calls, Decision, Key, Table, Want, admit};

const HOOKS: &[HookId] =
    &[PromptPreFetch::ID, ToolPreInvoke::ID, ResourcePreFetch::ID, AgentPreInvoke::ID, LlmInput::ID];
const BY_USER: &str = "by_user";
const BY_USER_PER_SERVER: &str = "by_user_per_server";
const BY_TENANT: &str = "by_tenant";
const BY_APP: &str = "by_app";
const BY_TOOL: &str = "by_tool";

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "rate_limiter",
        class_paths: &[
            "plugins.rate_limiter.rate_limiter.RateLimiterPlugin",
            "cpex_rate_limiter.rate_limiter.RateLimiterPlugin",
            "cpex_rate_limiter.RateLimiterPlugin",
        ],
        about: "Limits how many calls a user, a tenant, an app or a tool may make in a time.",
        hooks: &[PromptPreFetch::ID, ToolPreInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let limiter = RateLimiter::new(&NativeKind::read(config)?)?;
    Ok(Native::new(limiter)
        .on_each(HOOKS, Needs::block().without_body(), RateLimiter::look)
        .on_start(|limiter, init| {
            limiter.start(init);
            Box::pin(std::future::ready(Ok(())))
        })
        .on_hand_over(|limiter| Box::pin(std::future::ready(limiter.leave())))
        .into_plugin())
}

/// A dimension with one rate.
struct Limit {
    rate: Rate,
    table: Table,
}

struct RateLimiter {
    by_user: Option<Limit>,
    by_server: Option<Limit>,
    by_tenant: Option<Limit>,
    by_app: Option<Limit>,
    by_tool: HashMap<Arc<str>, Rate>,
    tools: Table,
    redis: bool,
    anonymous: Arc<str>,
    default: Arc<str>,
    clock: Clock,
}

impl RateLimiter {
    fn new(config: &Config) -> Result<Self, BuildError> {
        if config.max_keys == 0 {
            return Err(BuildError::new("max_keys", "must be 1 or more"));
        }
        let table = || Table::new(config.algorithm, config.max_keys);
        let limit = |field: &str, rate: &Option<String>| -> Result<Option<Limit>, BuildError> {
            let Some(text) = rate else { return Ok(None) };
            Ok(Some(Limit { rate: Rate::read(field, text)?, table: table() }))
        };
        let tools = config.by_tool.iter().map(|(name, text)| {
            Ok((Arc::from(name.as_str()), Rate::read(&format!("{BY_TOOL}.{name}"), text)?))
        });
        Ok(Self {
            by_user: limit(BY_USER, &config.by_user)?,
            by_server: limit(BY_USER_PER_SERVER, &config.by_user_per_server)?,
            by_tenant: limit(BY_TENANT, &config.by_tenant)?,
            by_app: limit(BY_APP, &config.by_app)?,
            by_tool: tools.collect::<Result<_, BuildError>>()?,
            tools: table(),
            redis: config.backend == Backend::Redis,
            anonymous: "anonymous".into(),
            default: "default".into(),
            clock: Clock::default(),
        })
    }

    fn look(&self, payload: &dyn Payload, cx: &mut Cx<'_>) -> Outcome {
        let hook = cx.call.hook;
        let tool = hook == ToolPreInvoke::ID;
        let named = tool || hook == PromptPreFetch::ID;
        let subject = if named { payload.subject() } else { None };
        let request = cx.request();
        let server = request.upstream.as_ref().or(request.server_id.as_ref());
        if tool && self.by_server.is_some() && server.is_none_or(|server| server.is_empty()) {
            let reason = "Rate limit cannot be applied: the server of the call is not known";
            let violation = Violation::new("RATE_LIMIT_CONTEXT_MISSING", reason).http_status(503);
            return Ok(Verdict::<()>::from(violation).into());
        }
        let wants = self.wants(request, subject, server.filter(|_| tool));
        let now = self.clock.now(cx.host());
        let Some(decision) = admit(&wants, now) else { return Ok(Verdict::<()>::Pass.into()) };
        let told = Told::new(&decision, now);
        for (name, value) in told.headers() {
            cx.response_header(name, value);
        }
        if decision.allowed {
            return Ok(Verdict::<()>::Pass.into());
        }
        Ok(Verdict::<()>::from(told.violation(&decision)).into())
    }

    /// The limits that hold for a call, in the order in which their locks are taken.
    fn wants(&self, request: &Request, subject: Option<&str>, server: Option<&Arc<str>>) -> Vec<Want<'_>> {
        let caller = &request.caller;
        let tenant = caller.tenant.as_ref();
        let user = caller.user.as_ref().unwrap_or(&self.anonymous);
        let mut wants = Vec::with_capacity(5);
        let mut add = |dimension, table, rate, key| wants.push(Want { dimension, table, key, rate });
        if let Some(limit) = &self.by_user {
            add(BY_USER, &limit.table, limit.rate, Key::new(tenant, user, None));
        }
        if let (Some(limit), Some(server)) = (&self.by_server, server) {
            add(BY_USER_PER_SERVER, &limit.table, limit.rate, Key::new(tenant, user, Some(server)));
        }
        if let Some(limit) = &self.by_tenant {
            add(BY_TENANT, &limit.table, limit.rate, Key::new(None, tenant.unwrap_or(&self.default), None));
        }
        if let Some(limit) = &self.by_app {
            let app = caller.app.as_ref().unwrap_or(&self.anonymous);
            add(BY_APP, &limit.table, limit.rate, Key::new(None, app, None));
        }
        if let Some((name, rate)) = subject.and_then(|name| self.by_tool.get_key_value(name)) {
            add(BY_TOOL, &self.tools, *rate, Key::new(tenant, name, None));
        }
        wants
    }

    fn tables(&self) -> impl Iterator<Item = (&'static str, &Table)> {
        let limits = [
            (BY_USER, &self.by_user),
            (BY_USER_PER_SERVER, &self.by_server),
            (BY_TENANT, &self.by_tenant),
            (BY_APP, &self.by_app),
        ];
        let limits = limits.into_iter().filter_map(|(name, limit)| Some((name, &limit.as_ref()?.table)));
        limits.chain([(BY_TOOL, &self.tools)])
    }

    fn rate(&self, dimension: &str, key: &Key) -> Option<Rate> {
        let limit = match dimension {
            BY_USER => &self.by_user,
            BY_USER_PER_SERVER => &self.by_server,
            BY_TENANT => &self.by_tenant,
            BY_APP => &self.by_app,
            _ => return self.by_tool.get(&key.name).copied(),
        };
        limit.as_ref().map(|limit| limit.rate)
    }

    fn start(&self, init: Init) {
        if self.redis {
            let message =
                "backend redis is not part of this version: calls are counted in this process alone";
            init.host.log(LogLevel::Warn, message, &[]);
        }
        self.clock.set(init.host.clone());
        let Some(bytes) = init.inherited else { return };
        match serde_json::from_slice::<Counts>(&bytes) {
            Ok(counts) => self.inherit(&counts),
            Err(error) => {
                let error = error.to_string();
                init.host.log(
                    LogLevel::Warn,
                    "the predecessor's counts cannot be read",
                    &[("error", &error)],
                );
            }
        }
    }

    fn inherit(&self, counts: &Counts) {
        let now = self.clock.at_hand();
        for (dimension, table) in self.tables() {
            for (key, calls) in counts.calls.get(dimension).into_iter().flatten() {
                if let Some(rate) = self.rate(dimension, key) {
                    table.restore(key.clone(), rate, calls, now);
                }
            }
        }
    }

    fn leave(&self) -> Option<Bytes> {
        let now = self.clock.at_hand();
        let calls = self
            .tables()
            .map(|(name, table)| (name.to_owned(), table.calls(now, |key| self.rate(name, key))))
            .collect();
        serde_json::to_vec(&Counts { calls }).ok().map(Bytes::from)
    }
}

/// What a limiter leaves to its successor: per dimension and key, times and numbers of calls.
#[derive(Serialize, Deserialize)]
struct Counts {
    calls: BTreeMap<String, Vec<(Key, Calls)>>,
}

/// What a client is told about the limit that is closest.
struct Told {
    limit: u32,
    remaining: u32,
    /// Seconds since 1970.
    reset: u64,
    /// Seconds until another call may pass; `None` where this one may.
    retry_after: Option<u64>,
}

impl Told {
    fn new(decision: &Decision, now: u64) -> Self {
        const SECOND: u64 = 1_000_000_000;
        let waits = decision.level.free_at.saturating_sub(now).div_ceil(SECOND).max(1);
        Self {
            limit: decision.limit,
            remaining: decision.remaining,
            reset: decision.level.reset_at.div_ceil(SECOND),
            retry_after: (!decision.allowed).then_some(waits),
        }
    }

    fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let limits = [
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-reset", self.reset.to_string()),
        ];
        limits.into_iter().chain(self.retry_after.map(|seconds| ("retry-after", seconds.to_string())))
    }

    fn violation(&self, decision: &Decision) -> Violation {
        let mut violation = Violation::new("RATE_LIMIT", "Rate limit exceeded")
            .detail("dimension", decision.dimension)
            .detail("limit", self.limit)
            .detail("remaining", self.remaining)
            .detail("reset", self.reset)
            .detail("retry_after", self.retry_after)
            .http_status(429);
        let headers = violation.http_headers.get_or_insert_default();
        for (name, value) in self.headers() {
            headers.set(name, value);
        }
        violation
    }
}

/// Time of the day in nanoseconds since 1970 that never goes back.
#[derive(Default)]
pub(crate) struct Clock {
    origin: OnceLock<(Instant, Duration)>,
    host: OnceLock<Arc<dyn Host>>,
}

impl Clock {
    /// Sets the clock by `host` and keeps it for when there is no call that brings one.
    pub(crate) fn set(&self, host: Arc<dyn Host>) {
        self.now(&*host);
        let _ = self.host.set(host);
    }

    /// The time by `host`.
    pub(crate) fn now(&self, host: &dyn Host) -> u64 {
        let (instant, time) = self.origin.get_or_init(|| {
            let time = host.now().duration_since(SystemTime::UNIX_EPOCH);
            (host.instant(), time.unwrap_or_default())
        });
        nanos(*time + host.instant().saturating_duration_since(*instant))
    }

    /// The time by the host it was set by.
    pub(crate) fn at_hand(&self) -> u64 {
        match self.host.get() {
            Some(host) => self.now(&**host),
            None => self.now(&mortise_plugin_api::host::NoHost),
        }
    }
}
