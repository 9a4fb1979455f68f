//! Bindings: where a plugin runs in which way.
//!
//! A plugin runs everywhere its conditions let it. A binding says that within a scope (a tenant, a virtual server,
//! a tool, …) it runs in another order, mode or configuration; the most specific binding of a plugin decides.
//! Where a plugin should run nowhere else, its own mode is `disabled` and the binding's is not. A binding that is
//! `required` changes nothing about calls: [`coverage`](super::coverage) tells where the plugin would be missing.

use mortise_plugin_api::{Family, Payload, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    coverage::facts::{Facts, Fields, Truth},
    row::{Field, Key},
};
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
    /// Whether `mortise coverage` fails where the plugin would not run in this scope: `true` for all of its hooks, or
    /// a list of hooks.
    #[serde(default, skip_serializing_if = "Required::is_no")]
    pub required: Required,
}

/// Whether a plugin must run in a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Required {
    /// `true`: at each hook it stands at, and at one hook at least of everything in the scope.
    All(bool),
    /// At these hooks, by name, of whatever in the scope has them.
    At(Vec<String>),
}

impl Default for Required {
    fn default() -> Self {
        Self::All(false)
    }
}

impl Required {
    /// Whether nothing is required.
    pub fn is_no(&self) -> bool {
        *self == Self::All(false)
    }
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
    /// Configured LLM. At hooks of HTTP requests it is known where the path names it, as in `/llm/call/gpt/…`.
    pub llm: Option<String>,
    /// Path of the HTTP request, such as `/mcp` or `/servers/*`; a slash at the end makes no difference.
    pub path: Option<String>,
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
        weight(&self.tool, 1280)
            + weight(&self.llm, 640)
            + weight(&self.server, 320)
            + weight(&self.path, 160)
            + weight(&self.upstream, 80)
            + weight(&self.app, 40)
            + weight(&self.team, 20)
            + weight(&self.tenant, 10)
    }

    /// Whether calls at the hooks of a family can be within it at all: others name no tool, or no LLM.
    pub fn can_hold(&self, family: Family) -> bool {
        use Family::{Agent, Http, Llm, Open, Prompt, Record, Resource, Tool};
        (self.llm.is_none() || matches!(family, Http | Llm | Open | Record))
            && (self.tool.is_none() || matches!(family, Tool | Prompt | Resource | Agent | Open))
    }

    /// Whether a word of a scope, in which `*` stands for anything, is one for this name.
    pub fn fits(word: &str, name: &str) -> bool {
        matches(word, name)
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
            && self.path.as_deref().is_none_or(|word| {
                request.path.as_deref().is_some_and(|path| matches(end_cut(word), end_cut(path)))
            })
            && is(&self.llm, [llm(request, subject)])
            && self.tool.as_deref().is_none_or(|word| names(request, subject, |name| matches(word, name)))
    }

    /// A word that every call within it has, where it names one without a pattern.
    pub(crate) fn key(&self) -> Option<Key> {
        let fields = [
            (Field::Subject, &self.tool),
            (Field::Llm, &self.llm),
            (Field::Place, &self.server),
            (Field::Place, &self.upstream),
            (Field::App, &self.app),
            (Field::Tenant, &self.tenant),
        ];
        let plain = |word: &&str| !word.contains('*');
        fields.into_iter().find_map(|(field, word)| Some((field, word.as_deref().filter(plain)?.into())))
    }

    /// The same of a call of which not everything is known.
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Truth {
        let request = facts.request;
        let yes = |holds: bool| if holds { Truth::Yes } else { Truth::No };
        let known = |word: &Option<String>, value: Option<&str>| yes(is(word, [value]));
        let path = self.path.as_deref().is_none_or(|word| {
            request.path.as_deref().is_some_and(|path| matches(end_cut(word), end_cut(path)))
        });
        let tool = self.tool.as_deref().map_or(Truth::Yes, |word| match facts.subject {
            _ if word == "*" => Truth::Yes,
            Some(_) => yes(names(request, facts.subject, |name| matches(word, name))),
            None => Truth::Unknown(Fields::NAME),
        });
        let teams = self.team.as_ref().map_or(Truth::Yes, |_| match &facts.who.teams {
            Some(teams) => yes(is(&self.team, teams.iter().map(|team| Some(&**team)))),
            None => Truth::Unknown(Fields::TEAM),
        });
        facts
            .who
            .app
            .judge(self.app.as_ref(), Fields::APP, |app| known(&self.app, app))
            .and(
                facts
                    .who
                    .tenant
                    .judge(self.tenant.as_ref(), Fields::TENANT, |tenant| known(&self.tenant, tenant)),
            )
            .and(teams)
            .and(known(&self.upstream, request.upstream.as_deref()))
            .and(known(&self.server, request.server_id.as_deref()))
            .and(yes(path))
            .and(known(&self.llm, llm(request, facts.subject)))
            .and(tool)
    }
}

/// The LLM that a request is for. Of one that goes nowhere else, a payload may say so by itself.
pub(super) fn llm<'r>(request: &'r Request, subject: Option<&'r str>) -> Option<&'r str> {
    request.llm.as_deref().or_else(|| subject.filter(|_| request.upstream.is_none()))
}

/// Whether one of the names of what is called passes a test: exposed, at the upstream, `upstream-name`.
pub(super) fn names(request: &Request, subject: Option<&str>, mut test: impl FnMut(&str) -> bool) -> bool {
    let original = request.original_name.as_deref();
    if [subject, original].into_iter().flatten().any(&mut test) {
        return true;
    }
    match (request.upstream.as_deref(), original.or(subject)) {
        (Some(upstream), Some(name)) => test(&format!("{upstream}-{name}")),
        _ => false,
    }
}

/// A path without a slash at its end: the gateway leads both to the same place.
fn end_cut(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
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

    #[test]
    fn each_field_outweighs_all_that_stand_behind_it() {
        let set = |at: usize, word: &str| {
            let mut scope = Scope::default();
            let fields = [
                &mut scope.tenant,
                &mut scope.team,
                &mut scope.app,
                &mut scope.upstream,
                &mut scope.path,
                &mut scope.server,
                &mut scope.llm,
                &mut scope.tool,
            ];
            for (field, place) in fields.into_iter().zip(0..) {
                *field = (if word == "all below" { place < at } else { place == at }).then(|| "x".to_owned());
                if place == at && word == "pattern" {
                    *field = Some("x*".to_owned());
                }
            }
            scope.rank()
        };
        for at in 1..8 {
            assert!(set(at, "pattern") > set(at, "all below"), "{at}");
            assert!(set(at, "name") > set(at, "pattern"), "{at}");
        }
    }

    #[test]
    fn path_holds_with_and_without_a_slash_at_the_end() {
        let payload = mortise_plugin_api::hooks::tool::ToolPreInvokePayload {
            name: "t".into(),
            args: mortise_plugin_api::Json::object(),
            headers: None,
        };
        let holds = |word: &str, path: &str| {
            let mut request = Request::new("r");
            request.path = Some(path.into());
            Scope { path: Some(word.into()), ..Scope::default() }.holds(&request, &payload)
        };
        assert!(holds("/mcp", "/mcp") && holds("/mcp", "/mcp/") && holds("/mcp/", "/mcp"));
        assert!(holds("/servers/*", "/servers/a/mcp") && !holds("/servers/*", "/mcp"));
        let scope = Scope { path: Some("*".into()), ..Scope::default() };
        assert!(!scope.holds(&Request::new("r"), &payload), "a call without a path is at none");
    }

    #[test]
    fn llm_and_tool_are_looked_for_where_they_are() {
        let llm = Scope { llm: Some("gpt".into()), ..Scope::default() };
        assert!(llm.can_hold(Family::Llm) && llm.can_hold(Family::Http) && !llm.can_hold(Family::Tool));
        let tool = Scope { tool: Some("gpt".into()), ..Scope::default() };
        let payload = mortise_plugin_api::hooks::http::HttpPreRequestPayload {
            path: "/llm/call/gpt/x".into(),
            method: "POST".into(),
            client_host: None,
            client_port: None,
            headers: mortise_plugin_api::Headers::new(),
        };
        let mut request = Request::new("r");
        assert!(!llm.holds(&request, &payload));
        request.upstream = Some("gpt".into());
        assert!(!llm.holds(&request, &payload), "an upstream of that name is no LLM");
        request.llm = Some("gpt".into());
        assert!(llm.holds(&request, &payload));
        assert!(tool.can_hold(Family::Prompt) && !tool.can_hold(Family::Llm) && !tool.can_hold(Family::Http));
    }
}
