//! Decides by rules in the Common Expression Language, in process.
//!
//! Expressions are compiled when the plugin is made, so that a mistake in one is an error of the configuration with its
//! place, and evaluated per call. They always come to an end: the language has no loops but over what is there. What
//! they refer to decides what is prepared for them: rules about callers alone cost no reading of arguments. A rule that
//! cannot be evaluated is no decision; its message never repeats values, which may be anything.

pub mod config;
mod facts;
mod rule;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use ::cel::{Context, Env};
use mortise_plugin_api::{
    BuildError, Cx, Hook, Native, NativeKind, Needs, Outcome, Payload, Plugin, Reply, Verdict,
    hooks::{PromptPreFetch, ResourcePreFetch, ToolPreInvoke},
    host::LogLevel,
    native::is_final,
};
use serde_json::Value;

use crate::service::{
    Action, OnFailure,
    facts::{HookNames, JUDGED},
};
use config::Config;
use facts::Variables;
use rule::Rule;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "cel",
        class_paths: &[],
        about: "Decides by rules in the Common Expression Language, in process.",
        hooks: &[ToolPreInvoke::ID, PromptPreFetch::ID, ResourcePreFetch::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    if config.rules.is_empty() {
        return Err(BuildError::new("rules", "is empty; a policy without rules would let everything pass"));
    }
    let env = Arc::new(Env::stdlib());
    let rules: Vec<Rule> = config
        .rules
        .iter()
        .enumerate()
        .map(|(at, rule)| Rule::new(&env, at, rule))
        .collect::<Result<_, _>>()?;
    let uses = rules.iter().fold(Variables::default(), |all, rule| all.and(rule.uses));
    let needs = if uses.payload { Needs::block() } else { Needs::block().without_body() };
    let policy = CelPolicy { env, rules, uses, hooks: HookNames::new(), config };
    Ok(Native::new(policy).on_each(JUDGED, needs, CelPolicy::look).into_plugin())
}

struct CelPolicy {
    env: Arc<Env>,
    rules: Vec<Rule>,
    uses: Variables,
    hooks: HookNames,
    config: Config,
}

impl CelPolicy {
    fn look(&self, _: &dyn Payload, cx: &mut Cx<'_>) -> Outcome {
        let hook = self.hooks.of(&cx.call);
        if is_final(cx.call.end) || !self.rules.iter().any(|rule| rule.is_at(hook)) {
            return Ok(Reply::pass());
        }
        let mut context = Context::with_env(self.env.clone());
        let refused = facts::fill(&mut context, self.uses, hook, cx).and_then(|()| {
            for rule in self.rules.iter().filter(|rule| rule.is_at(hook)) {
                if rule.refuses(&context)? {
                    return Ok(Some(rule));
                }
            }
            Ok(None)
        });
        match refused {
            Ok(None) => Ok(Reply::pass()),
            Ok(Some(rule)) if self.config.action == Action::Audit => {
                cx.host().log(LogLevel::Warn, "a rule would refuse", &[("rule", &rule.name)]);
                cx.metadata("cel_would_refuse", rule.name.as_str());
                Ok(Reply::pass())
            }
            Ok(Some(rule)) => Ok(Verdict::<()>::from(rule.violation()).into()),
            Err(error) if self.config.on_failure == OnFailure::Pass => {
                cx.host().log(
                    LogLevel::Warn,
                    "a call passes without a decision",
                    &[("error", &error.to_string())],
                );
                cx.metadata("unjudged", error.kind());
                Ok(Reply::pass())
            }
            Err(error) => Err(error),
        }
    }
}
