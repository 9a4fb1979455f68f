//! Bindings: where a plugin runs in which way.
//!
//! A plugin runs everywhere its conditions let it. A binding says that within a scope (a tenant, a virtual server,
//! a tool, …) it runs in another order, mode or configuration; the most specific binding of a plugin decides.
//! Where a plugin should run nowhere else, its own mode is `disabled` and the binding's is not.

use mortise_plugin_api::{Payload, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::{Mode, OnError};

/// A plugin in a scope.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Name of the plugin.
    pub plugin: String,
    /// Where.
    #[serde(default)]
    pub scope: Scope,
    /// Order there instead of the plugin's priority; lower runs first.
    #[serde(default)]
    pub order: Option<i64>,
    /// Mode there instead of the plugin's.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// What the plugin's errors do there.
    #[serde(default)]
    pub on_error: Option<OnError>,
    /// Configuration there: these keys over the plugin's.
    #[serde(default)]
    pub config: Option<Map<String, Value>>,
}

/// Where a binding holds: every field that is set must match. Words may hold `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// App that calls.
    pub app: Option<String>,
    /// Team of the caller.
    pub team: Option<String>,
    /// Tenant of the caller.
    pub tenant: Option<String>,
    /// Upstream the call goes to.
    pub upstream: Option<String>,
    /// Virtual server the call came through.
    pub server: Option<String>,
    /// Tool, prompt, resource or agent: exposed name, name at the upstream, or `upstream-name`.
    pub tool: Option<String>,
    /// Configured LLM.
    pub llm: Option<String>,
}

impl Scope {
    /// How much more specific than others a scope is: what names the thing called beats what names the place, which
    /// beats who calls; a name beats a pattern.
    pub fn rank(&self) -> u32 {
        let weight = |field: &Option<String>, weight: u32| match field.as_deref() {
            None | Some("*") => 0,
            Some(word) if word.contains('*') => weight,
            Some(_) => weight + 1,
        };
        weight(&self.tool, 640)
            + weight(&self.llm, 320)
            + weight(&self.server, 160)
            + weight(&self.upstream, 80)
            + weight(&self.app, 40)
            + weight(&self.team, 20)
            + weight(&self.tenant, 10)
    }

    /// Whether a call is within it.
    pub fn holds(&self, request: &Request, payload: &dyn Payload) -> bool {
        let caller = &request.caller;
        let subject = payload.subject();
        is(&self.app, [caller.app.as_deref()])
            && is(&self.tenant, [caller.tenant.as_deref()])
            && is(&self.team, caller.teams.iter().map(|team| Some(&**team)))
            && is(&self.upstream, [request.upstream.as_deref()])
            && is(&self.server, [request.server_id.as_deref()])
            && is(&self.llm, [subject])
            && self.tool.as_deref().is_none_or(|word| {
                let original = request.original_name.as_deref();
                let qualified = request.upstream.as_deref().zip(original.or(subject));
                let qualified = qualified.map(|(upstream, name)| format!("{upstream}-{name}"));
                [subject, original, qualified.as_deref()]
                    .into_iter()
                    .flatten()
                    .any(|name| matches(word, name))
            })
    }
}

fn is<'a>(word: &Option<String>, values: impl IntoIterator<Item = Option<&'a str>>) -> bool {
    word.as_deref().is_none_or(|word| values.into_iter().flatten().any(|value| matches(word, value)))
}

/// Whether `value` is `word`, in which `*` stands for anything.
fn matches(word: &str, value: &str) -> bool {
    let Some((head, rest)) = word.split_once('*') else { return word == value };
    let Some(mut value) = value.strip_prefix(head) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return value.ends_with(part);
        }
        match value.find(part) {
            Some(at) => value = &value[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (word, value, expected) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ab", false),
            ("*b*", "abc", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("ab", "abc", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(word, value), expected, "{word} {value}");
        }
    }

    #[test]
    fn naming_the_tool_is_more_specific_than_naming_who_calls() {
        let tool = Scope { tool: Some("t".into()), ..Scope::default() };
        let wild = Scope { tool: Some("t*".into()), ..Scope::default() };
        let who = Scope {
            tenant: Some("a".into()),
            team: Some("b".into()),
            app: Some("c".into()),
            ..Scope::default()
        };
        assert!(tool.rank() > wild.rank() && wild.rank() > who.rank());
        assert_eq!(Scope { tool: Some("*".into()), ..Scope::default() }.rank(), 0);
    }
}
