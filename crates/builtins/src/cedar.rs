//! Decides by policies in the Cedar language, in process.
//!
//! Policies are compiled when the plugin is made and evaluated per call. Cedar skips a policy that cannot be evaluated,
//! also one that forbids; a guard must not, so a call on which any policy failed has no decision unless it is refused
//! anyway. What callers send becomes plain values one by one and is never read as Cedar's own JSON, in which an object
//! can stand for an entity.

pub mod config;
mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use ::cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression,
};
use mortise_plugin_api::{
    BuildError, Cx, Hook, Native, NativeKind, Needs, Outcome, Payload, Plugin, PluginError, Reply, Verdict,
    Violation,
    hooks::{PromptPreFetch, ResourcePreFetch, ToolPreInvoke},
    host::LogLevel,
    native::is_final,
};
use serde_json::Value;

use crate::service::{
    Action, OnFailure,
    facts::{self, HookNames, JUDGED, RequestFacts},
};
use config::Config;
use values::Types;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "cedar",
        class_paths: &[],
        about: "Decides by policies in the Cedar language, in process.",
        hooks: &[ToolPreInvoke::ID, PromptPreFetch::ID, ResourcePreFetch::ID],
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let policies: PolicySet = config
        .policies
        .parse()
        .map_err(|error| BuildError::new("policies", format!("are no Cedar policies: {}", chain(&error))))?;
    if policies.is_empty() {
        return Err(BuildError::new(
            "policies",
            "are empty; without a policy that permits, every call is refused",
        ));
    }
    let entities = match &config.entities {
        Some(entities) => Entities::from_json_value(entities.clone().into(), None)
            .map_err(|error| BuildError::new("entities", format!("are no entities: {}", chain(&error))))?,
        None => Entities::empty(),
    };
    let shows_payload = config.policies.contains("payload");
    let policy = CedarPolicy {
        policies,
        entities,
        authorizer: Authorizer::new(),
        types: Types::new()?,
        shows_payload,
        hooks: HookNames::new(),
        config,
    };
    let needs = if shows_payload { Needs::block() } else { Needs::block().without_body() };
    Ok(Native::new(policy).on_each(JUDGED, needs, CedarPolicy::look).into_plugin())
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.chars().take(500).collect()
}

struct CedarPolicy {
    policies: PolicySet,
    entities: Entities,
    authorizer: Authorizer,
    types: Types,
    /// Whether any policy may look at the payload; one that does names it.
    shows_payload: bool,
    hooks: HookNames,
    config: Config,
}

/// What the policies say of a call.
struct Said {
    allows: bool,
    /// Names of the policies that decided.
    by: Vec<String>,
    failed: bool,
}

impl CedarPolicy {
    fn look(&self, payload: &dyn Payload, cx: &mut Cx<'_>) -> Outcome {
        if is_final(cx.call.end) {
            return Ok(Reply::pass());
        }
        let said = self.ask(payload, cx).and_then(|said| {
            let undecided = said.failed && said.allows;
            if undecided {
                Err(PluginError::failed("a policy cannot be evaluated on this call"))
            } else {
                Ok(said)
            }
        });
        match said {
            Ok(Said { allows: true, .. }) => Ok(Reply::pass()),
            Ok(said) if self.config.action == Action::Audit => {
                cx.host().log(LogLevel::Warn, "the policies would refuse", &[("by", &said.by.join(","))]);
                cx.metadata("cedar_would_refuse", said.by);
                Ok(Reply::pass())
            }
            Ok(said) => {
                let why = if said.by.is_empty() {
                    "No policy permits this call"
                } else {
                    "A policy forbids this call"
                };
                let violation = Violation::new("POLICY_DENIED", "Refused by policy").describe(why);
                Ok(Verdict::<()>::from(violation.detail("policies", said.by).http_status(403)).into())
            }
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

    fn ask(&self, payload: &dyn Payload, cx: &Cx<'_>) -> Result<Said, PluginError> {
        let failed = |_| PluginError::failed("the call cannot be shown to the policies");
        let request = cx.request();
        let hook = self.hooks.of(&cx.call);
        let (principal, resource) =
            (self.types.principal(request), self.types.resource(hook, facts::subject(payload)));
        let mut pairs: Vec<(String, RestrictedExpression)> = Vec::new();
        let about = serde_json::to_value(RequestFacts::of(request)).map_err(failed)?;
        pairs.extend(values::expression(&about).map(|about| ("request".to_owned(), about)));
        if self.shows_payload {
            let payload = facts::payload(&cx.call)?;
            let read = payload.value().map_err(|error| PluginError::failed(error.to_string()))?;
            pairs.extend(values::expression(read).map(|payload| ("payload".to_owned(), payload)));
        }
        let context = Context::from_pairs(pairs)
            .map_err(|_| PluginError::failed("the call cannot be shown to the policies"))?;
        let entities = self.entities(&principal, &resource, cx)?;
        let asked = Request::new(principal, self.types.action(hook), resource, context, None)
            .map_err(|_| PluginError::failed("the call cannot be shown to the policies"))?;
        let answer = self.authorizer.is_authorized(&asked, &self.policies, &entities);
        let diagnostics = answer.diagnostics();
        let mut by: Vec<String> = diagnostics
            .reason()
            .map(|id| {
                let named =
                    self.policies.policy(id).and_then(|policy| policy.annotation("id").map(str::to_owned));
                named.unwrap_or_else(|| id.to_string())
            })
            .collect();
        by.sort_unstable();
        Ok(Said {
            allows: answer.decision() == Decision::Allow,
            by,
            failed: diagnostics.errors().next().is_some(),
        })
    }

    /// The configured entities, and of the call's own those that are not configured.
    fn entities(
        &self,
        principal: &EntityUid,
        resource: &EntityUid,
        cx: &Cx<'_>,
    ) -> Result<Entities, PluginError> {
        let request = cx.request();
        let own = self.types.entities(principal, resource, request)?;
        let new = own.into_iter().filter(|entity| self.entities.get(&entity.uid()).is_none());
        self.entities
            .clone()
            .add_entities(new, None)
            .map_err(|_| PluginError::failed("the caller cannot be shown to the policies"))
    }
}
