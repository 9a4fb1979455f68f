//! Decides by rules about roles, in process: the native engine of ContextForge's unified decision point.
//!
//! Keys, rules and results are those of that plugin, so that an entry of it runs as it is. Its other engines are not
//! here: an agent is what `opa` asks, Cedar policies are what `cedar` decides by, and both say more than the adapters do.
//! An entry that wants one of them is unavailable, since a point that decides by a part of what it was told is none.

pub mod config;
pub mod rules;

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use mortise_plugin_api::{
    BuildError, Cx, Fut, Hook, HookId, Native, NativeKind, Needs, Outcome, Payload, Plugin, PluginError,
    Reply, Verdict, Violation,
    hooks::{ResourcePreFetch, ToolPreInvoke},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::service::facts;
use config::{Config, Decision, EngineName};
use rules::{Asked, Rule};

const HOOKS: &[HookId] = &[ToolPreInvoke::ID, ResourcePreFetch::ID];

/// Who calls where nobody is known.
const NOBODY: &str = "anonymous@internal";
/// Largest file of rules, in bytes.
const MOST_BYTES: u64 = 4 << 20;

/// The kind, for registration.
#[must_use]
pub fn kind() -> NativeKind {
    NativeKind {
        name: "unified_pdp",
        class_paths: &["plugins.unified_pdp.unified_pdp.UnifiedPDPPlugin"],
        about: "Decides by rules about roles, in process.",
        hooks: HOOKS,
        config_schema: NativeKind::schema_of::<Config>,
        build,
    }
}

fn build(config: &Value) -> Result<Arc<dyn Plugin>, BuildError> {
    let config: Config = NativeKind::read(config)?;
    let point = DecisionPoint { config, rules: OnceLock::new() };
    let needs = Needs::block().without_body();
    let plugin = Native::new(point).on_each(HOOKS, needs, DecisionPoint::look);
    Ok(plugin.on_start(|point, _| point.start()).into_plugin())
}

struct DecisionPoint {
    config: Config,
    /// Known from the start on; `None` in it where no engine is switched on.
    rules: OnceLock<Option<Vec<Rule>>>,
}

/// A file of rules.
#[derive(Deserialize)]
#[serde(untagged)]
enum RulesFile {
    Bare(Vec<Rule>),
    Within { rules: Vec<Rule> },
}

impl DecisionPoint {
    fn start(&self) -> Fut<'_, Result<(), PluginError>> {
        let read = self.read().map_err(PluginError::Unavailable).map(|rules| {
            // It is started once.
            let _ = self.rules.set(rules);
        });
        Box::pin(std::future::ready(read))
    }

    /// The rules of the engines that are switched on.
    fn read(&self) -> Result<Option<Vec<Rule>>, String> {
        let engines = || self.config.engines.iter().filter(|engine| engine.enabled);
        if let Some(other) = engines().find(|engine| engine.name != EngineName::Native) {
            let instead = match other.name {
                EngineName::Opa => "; `builtin.opa` asks an agent",
                EngineName::Cedar => "; `builtin.cedar` decides by Cedar policies",
                _ => "",
            };
            return Err(format!("the engine `{}` is not part of this version{instead}", other.name.word()));
        }
        let mut all: Option<Vec<Rule>> = None;
        for engine in engines() {
            let rules = match (&engine.settings.rules, &engine.settings.rules_file) {
                (Some(rules), _) => rules.clone(),
                (None, Some(file)) => rules_in(file)?,
                (None, None) => Vec::new(),
            };
            all.get_or_insert_default().extend(rules);
        }
        Ok(all)
    }

    fn look(&self, payload: &dyn Payload, cx: &mut Cx<'_>) -> Outcome {
        let tool = cx.call.hook == ToolPreInvoke::ID;
        let subject = facts::subject(payload);
        let request = cx.request();
        let caller = &*request.caller;
        let user = caller.user.as_deref().unwrap_or(NOBODY);
        let known = |key: &str| caller.metadata.get(key).cloned().unwrap_or_default();
        let reason = match self.rules.get().and_then(Option::as_ref) {
            None if self.config.default_decision == Decision::Allow => None,
            None => Some("Access denied by unified PDP".to_owned()),
            Some(rules) => {
                let team = caller.teams.first().or(caller.tenant.as_ref());
                let mut about = Map::new();
                about.insert("subject.email".into(), user.into());
                about.insert("subject.mfa_verified".into(), (known("mfa_verified") == true).into());
                about.insert("subject.team_id".into(), team.map(ToString::to_string).into());
                about.insert("subject.clearance_level".into(), known("clearance_level"));
                about
                    .insert("context.ip".into(), request.client.map(|client| client.ip().to_string()).into());
                about.insert("context.session_id".into(), (&*request.id).into());
                let roles = caller.metadata.get("roles").and_then(Value::as_array);
                let asked = Asked {
                    roles: roles.into_iter().flatten().filter_map(Value::as_str).collect(),
                    action: if tool {
                        format!("tools.invoke.{subject}")
                    } else {
                        "resources.fetch".to_owned()
                    },
                    kind: if tool { "tool" } else { "resource" },
                    id: subject,
                    facts: about,
                };
                rules::refusal(rules, &asked)
            }
        };
        let Some(reason) = reason else { return Ok(Reply::pass()) };
        let engines: Vec<&str> =
            self.config.engines.iter().filter(|e| e.enabled).map(|e| e.name.word()).collect();
        let violation = Violation::new("PDP_DENY", "Policy decision: DENY")
            .describe(reason)
            .detail(if tool { "tool" } else { "resource_uri" }, subject)
            .detail("user", user)
            .detail("engines", engines);
        Ok(Verdict::<()>::from(violation).into())
    }
}

fn rules_in(file: &str) -> Result<Vec<Rule>, String> {
    let read = || {
        let about = std::fs::metadata(file)?;
        if !about.is_file() || about.len() > MOST_BYTES {
            return Err(std::io::Error::other(format!("it is no file of at most {MOST_BYTES} bytes")));
        }
        std::fs::read(file)
    };
    let bytes = read().map_err(|error| format!("its rules in {file} cannot be read: {error}"))?;
    match serde_json::from_slice(&bytes) {
        Ok(RulesFile::Bare(rules) | RulesFile::Within { rules }) => Ok(rules),
        Err(_) => Err(format!("{file} holds no rules: a list of them in JSON, or an object with `rules`")),
    }
}
