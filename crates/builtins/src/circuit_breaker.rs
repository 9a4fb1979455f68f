//! Stops calls of a tool that keeps failing, and lets one call try again after a pause.
//!
//! Every tool of every upstream has a circuit of its own ([`circuit`]), whatever names it is exposed under. A call asks
//! it for leave before and says afterwards how it went: a result that says it is an error, an upstream that failed and
//! one that was too slow are failures; a call that another plugin refused, or whose client left, says nothing.

pub mod circuit;
pub mod config;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use mortise_plugin_api::{
    BuildError, Cx, End, Hook, Init, Native, NativeKind, Needs, Plugin, PluginError, Request, Verdict,
    Violation,
    hooks::{
        ToolPostInvoke, ToolPreInvoke,
        tool::{ToolPostInvokePayload, ToolPreInvokePayload},
    },
    host::LogLevel,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{rate_limiter::Clock, tool_result};
use circuit::{Circuit, Left, Pass, Refused, Rules, Standing};
use config::Config;

/// Tools whose circuits are kept.
const MAX_TOOLS: usize = 10_000;
const SECOND: u64 = 1_000_000_000;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "circuit_breaker",
        class_paths: &["plugins.circuit_breaker.circuit_breaker.CircuitBreakerPlugin"],
        about: "Stops calls of a tool that keeps failing, and lets one call try again after a pause.",
        hooks: &[ToolPreInvoke::ID, ToolPostInvoke::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let breaker = CircuitBreaker {
        rules: config.rules()?,
        overrides: config.overrides()?.into_iter().collect(),
        circuits: RwLock::default(),
        clock: Clock::default(),
    };
    Ok(Native::new(breaker)
        .on::<ToolPreInvoke>(Needs::block().without_body(), CircuitBreaker::before)
        .on::<ToolPostInvoke>(Needs::observe(), CircuitBreaker::after)
        .on_start(|breaker, init| {
            breaker.start(&init);
            Box::pin(std::future::ready(Ok(())))
        })
        .on_hand_over(|breaker| Box::pin(std::future::ready(breaker.leave())))
        .into_plugin())
}

/// A tool as its upstream knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Tool {
    upstream: Option<Arc<str>>,
    name: Arc<str>,
}

impl Tool {
    fn of(request: &Request, exposed: &str) -> Self {
        let name = request.original_name.clone().unwrap_or_else(|| exposed.into());
        Self { upstream: request.upstream.clone(), name }
    }
}

/// What is kept from the hook before to the hook after.
#[derive(Debug, Default)]
enum Held {
    /// The hook before did not run.
    #[default]
    Nothing,
    /// The call was refused; if it was made all the same, its result says nothing.
    Refused,
    Pass(Pass),
}

struct CircuitBreaker {
    rules: Rules,
    overrides: HashMap<String, Rules>,
    circuits: RwLock<HashMap<Tool, (Arc<Circuit>, Rules)>>,
    clock: Clock,
}

impl CircuitBreaker {
    fn before(
        &self,
        payload: &ToolPreInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPreInvokePayload>, PluginError> {
        let now = self.clock.now(cx.host());
        let Some((circuit, rules)) = self.circuit(cx.request(), &payload.name, now) else {
            return Ok(Verdict::Pass);
        };
        let refused = match circuit.enter(now) {
            Ok(pass) => {
                *cx.context.native::<Held>() = Held::Pass(pass);
                return Ok(Verdict::Pass);
            }
            Err(refused) => refused,
        };
        *cx.context.native::<Held>() = Held::Refused;
        let standing = circuit.standing(&rules, now);
        tell(&standing, now, cx);
        let violation = violation(refused, &payload.name, now);
        if let Some(seconds) = violation.http_headers.as_ref().and_then(|headers| headers.get("retry-after"))
        {
            cx.response_header("retry-after", seconds);
        }
        Ok(violation.into())
    }

    fn after(
        &self,
        payload: &ToolPostInvokePayload,
        cx: &mut Cx<'_>,
    ) -> Result<Verdict<ToolPostInvokePayload>, PluginError> {
        let held = std::mem::take(cx.context.native::<Held>());
        let failed = match cx.call.end {
            // Dropping the pass gives its place back.
            End::Blocked | End::Cancelled => return Ok(Verdict::Pass),
            End::UpstreamFailed | End::TimedOut => true,
            End::Ok => tool_result::is_error(&payload.result),
        };
        let now = self.clock.now(cx.host());
        let Some((circuit, rules)) = self.circuit(cx.request(), &payload.name, now) else {
            return Ok(Verdict::Pass);
        };
        let standing = match held {
            Held::Refused => circuit.standing(&rules, now),
            Held::Pass(pass) if pass.is_of(&circuit) => pass.settle(&rules, now, failed),
            // Another plugin had another tool called than the one that gave leave.
            Held::Pass(_) | Held::Nothing => circuit.observe(&rules, now, failed),
        };
        tell(&standing, now, cx);
        Ok(Verdict::Pass)
    }

    fn rules(&self, exposed: &str) -> Rules {
        self.overrides.get(exposed).copied().unwrap_or(self.rules)
    }

    /// The circuit of a tool and the rules for the name it is called by; `None` where there are too many to keep.
    fn circuit(&self, request: &Request, exposed: &str, now: u64) -> Option<(Arc<Circuit>, Rules)> {
        let (tool, rules) = (Tool::of(request, exposed), self.rules(exposed));
        let known = self.circuits.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((circuit, _)) = known.get(&tool) {
            return Some((circuit.clone(), rules));
        }
        drop(known);
        let mut circuits = self.circuits.write().unwrap_or_else(PoisonError::into_inner);
        if circuits.len() >= MAX_TOOLS {
            circuits
                .retain(|_, (circuit, rules)| Arc::strong_count(circuit) > 1 || !circuit.is_idle(rules, now));
            if circuits.len() >= MAX_TOOLS {
                return None;
            }
        }
        let (circuit, _) = circuits.entry(tool).or_insert_with(|| (Arc::default(), rules));
        Some((circuit.clone(), rules))
    }

    fn start(&self, init: &Init) {
        self.clock.set(init.host.clone());
        let Some(bytes) = &init.inherited else { return };
        let left: Vec<(Tool, Left)> = match serde_json::from_slice(bytes) {
            Ok(left) => left,
            Err(error) => {
                let error = error.to_string();
                let message = "what the predecessor left cannot be read";
                return init.host.log(LogLevel::Warn, message, &[("error", &error)]);
            }
        };
        let now = self.clock.at_hand();
        let mut circuits = self.circuits.write().unwrap_or_else(PoisonError::into_inner);
        for (tool, left) in left.into_iter().take(MAX_TOOLS) {
            let rules = self.rules(&tool.name);
            circuits.insert(tool, (Arc::new(Circuit::inheriting(left, &rules, now)), rules));
        }
    }

    fn leave(&self) -> Option<Bytes> {
        let now = self.clock.at_hand();
        let circuits = self.circuits.read().unwrap_or_else(PoisonError::into_inner);
        let left: Vec<(&Tool, Left)> = circuits
            .iter()
            .filter(|(_, (circuit, rules))| !circuit.is_idle(rules, now))
            .map(|(tool, (circuit, rules))| (tool, circuit.leave(rules, now)))
            .collect();
        serde_json::to_vec(&left).ok().map(Bytes::from)
    }
}

/// Whole seconds until `time`, rounded up.
fn seconds_until(time: u64, now: u64) -> u64 {
    time.saturating_sub(now).div_ceil(SECOND)
}

fn violation(refused: Refused, tool: &str, now: u64) -> Violation {
    let (violation, wait) = match refused {
        Refused::Open(until) => {
            let wait = seconds_until(until, now).max(1);
            let violation = Violation::new("CIRCUIT_OPEN", "Circuit open")
                .describe(format!("Breaker open for tool '{tool}': it may be tried again in {wait} s"))
                .detail("open_until", until.div_ceil(SECOND))
                .detail("retry_after_seconds", wait);
            (violation, wait)
        }
        Refused::Probing => {
            let violation = Violation::new("CIRCUIT_HALF_OPEN_PROBE_IN_FLIGHT", "Circuit half open")
                .describe(format!("Breaker half open for tool '{tool}': another call is trying it"))
                .detail("retry_after_seconds", 1);
            (violation, 1)
        }
    };
    let mut violation = violation.http_status(503);
    violation.http_headers.get_or_insert_default().set("retry-after", wait.to_string());
    violation
}

fn tell(standing: &Standing, now: u64, cx: &mut Cx<'_>) {
    let rate = f64::from(standing.failures) / f64::from(standing.calls.max(1));
    cx.metadata("circuit_calls_in_window", standing.calls);
    cx.metadata("circuit_failures_in_window", standing.failures);
    cx.metadata("circuit_failure_rate", rate);
    cx.metadata("circuit_consecutive_failures", standing.consecutive);
    cx.metadata("circuit_open_until", standing.open_until.div_ceil(SECOND));
    cx.metadata("circuit_half_open", standing.half_open);
    cx.metadata("circuit_retry_after_seconds", seconds_until(standing.open_until, now));
}
