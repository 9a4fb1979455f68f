//! Asks for another attempt where a tool failed in passing.
//!
//! The plugin only judges: the gateway waits, calls again and sets the last bound. How often a call has failed is kept
//! with the request, so there is nothing to clean and calls cannot be mixed. A status that a result tells outweighs its
//! being an error: a 404 does not become better by asking again.

pub mod config;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use mortise_plugin_api::{
    BuildError, Cx, End, Hook, Json, Native, NativeKind, Needs, Plugin, PluginError, Verdict,
    hooks::{
        ResourcePostFetch, ToolPostInvoke, resource::ResourcePostFetchPayload, tool::ToolPostInvokePayload,
    },
};
use serde_json::{Value, json};

use crate::tool_result;
use config::Config;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "retry_with_backoff",
        class_paths: &[
            "plugins.retry_with_backoff.retry_with_backoff.RetryWithBackoffPlugin",
            "cpex_retry_with_backoff.retry_with_backoff.RetryWithBackoffPlugin",
            "cpex_retry_with_backoff.RetryWithBackoffPlugin",
        ],
        about: "Asks for another attempt where a tool failed in passing.",
        hooks: &[ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let overrides = config.tool_overrides.iter();
    let overrides = overrides.map(|(name, own)| (name.clone(), config.overridden(own))).collect();
    let retry = Retry { overrides, config, dice: Dice::default() };
    Ok(Native::new(retry)
        .on::<ToolPostInvoke>(Needs::observe(), Retry::after_tool)
        .on::<ResourcePostFetch>(Needs::observe().without_body(), Retry::after_resource)
        .into_plugin())
}

/// Failures of one tool in a row, within one request.
#[derive(Debug, Default)]
struct Failures {
    tool: String,
    count: u32,
}

struct Retry {
    config: Config,
    overrides: HashMap<String, Config>,
    dice: Dice,
}

impl Retry {
    fn after_tool(
        &self,
        payload: &ToolPostInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPostInvokePayload>, PluginError> {
        let policy = self.overrides.get(&payload.name).unwrap_or(&self.config);
        let traced = cx.request().traceparent.is_some();
        match failed(policy, cx.call.end, &payload.result) {
            None => return Ok(Verdict::Pass),
            Some(false) => {
                if cx.context.own_ref().is_some() {
                    *cx.context.native::<Failures>() = Failures::default();
                }
                if traced {
                    tell(cx, 0, Duration::ZERO);
                }
                return Ok(Verdict::Pass);
            }
            Some(true) => {}
        }
        let failures = cx.context.native::<Failures>();
        if failures.tool != payload.name {
            *failures = Failures { tool: payload.name.clone(), count: 0 };
        }
        let before = failures.count;
        failures.count = before.saturating_add(1);
        let delay = if before < policy.max_retries { self.delay(policy, before) } else { Duration::ZERO };
        if !delay.is_zero() {
            cx.retry_after(delay);
        }
        tell(cx, before.saturating_add(1), delay);
        Ok(Verdict::Pass)
    }

    /// Resources are not read again; who reads the answer's metadata is told what would hold.
    fn after_resource(
        &self,
        _: &ResourcePostFetchPayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ResourcePostFetchPayload>, PluginError> {
        let Config { max_retries, backoff_base_ms, max_backoff_ms, retry_on_status, .. } = &self.config;
        let policy = json!({
            "max_retries": max_retries,
            "backoff_base_ms": backoff_base_ms,
            "max_backoff_ms": max_backoff_ms,
            "retry_on_status": retry_on_status,
        });
        cx.metadata("retry_policy", policy);
        Ok(Verdict::Pass)
    }

    /// How long to wait after so many failures before; never zero, which would mean not to try.
    fn delay(&self, policy: &Config, before: u32) -> Duration {
        let factor = 1u64.checked_shl(before).unwrap_or(u64::MAX);
        let longest = policy.backoff_base_ms.saturating_mul(factor).min(policy.max_backoff_ms);
        let millis = if policy.jitter { self.dice.up_to(longest) } else { longest };
        Duration::from_millis(millis.max(1))
    }
}

/// Whether a call failed in a way that another attempt may mend; `None` where there is nothing to say.
fn failed(policy: &Config, end: End, result: &Json) -> Option<bool> {
    match end {
        End::Blocked | End::Cancelled => None,
        End::UpstreamFailed | End::TimedOut => Some(true),
        End::Ok => {
            let standing = tool_result::standing(result, policy.check_text_content);
            Some(match standing.status {
                Some(status) => policy.retry_on_status.contains(&status),
                None => standing.is_error,
            })
        }
    }
}

fn tell(cx: &mut Cx<'_>, failures: u32, delay: Duration) {
    let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    cx.metadata("retry_with_backoff", json!({ "retry_count": failures, "retry_delay_ms": millis }));
}

/// Random numbers good enough to spread callers; not for secrets.
#[derive(Default)]
struct Dice {
    seed: RandomState,
    thrown: AtomicU64,
}

impl Dice {
    /// A number from 0 to `most`.
    fn up_to(&self, most: u64) -> u64 {
        let thrown = self.seed.hash_one(self.thrown.fetch_add(1, Relaxed));
        let scaled = (u128::from(thrown) * (u128::from(most) + 1)) >> 64;
        u64::try_from(scaled).unwrap_or(most)
    }
}
