//! Coverage: which plugins would run where, told before any call is made.
//!
//! [`Survey`] asks the compiled chains about each thing that can be called, at each of its hooks. Mode, bindings,
//! conditions and the state of plugins count as they do for calls; what only a caller can decide is said to depend on
//! it. For bindings that are [`required`](super::scope::Binding::required) it names each hole: where the plugin would
//! not run, or only for some callers, although the scope covers it.
//!
//! Nothing is run, and no call pays for any of this.

pub mod facts;
pub mod holes;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use mortise_plugin_api::{
    Family, Hook, HookId, Request, Stream,
    hooks::{
        AgentPostInvoke, AgentPreInvoke, AuthPostCheck, HttpAuthCheckPermission, HttpAuthResolveUser,
        HttpPostForwardingCall, HttpPostRequest, HttpPreForwardingCall, HttpPreRequest, LlmInput, LlmOutput,
        PromptPostFetch, PromptPreFetch, ResourcePostFetch, ResourcePreFetch, ToolPostInvoke, ToolPreInvoke,
    },
};
use serde::Serialize;

use super::{
    Pipelines,
    chain::{Chain, Step},
    policy::{Trouble, trouble_stops},
    scope::Binding,
};
use crate::{
    config::Mode,
    instance::{Instance, State},
};
use facts::{Fact, Facts, Fields, Truth, Who};

/// Sorts of things that plugins can stand around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum What {
    /// A request as such, at one path.
    Request,
    /// The HTTP call to an upstream.
    Upstream,
    Tool,
    Prompt,
    Resource,
    /// Resources of which only the template of their URIs is listed.
    ResourceTemplate,
    Agent,
    Llm,
}

impl What {
    /// A stable word, as it is serialised.
    pub fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Upstream => "upstream",
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::ResourceTemplate => "resource_template",
            Self::Agent => "agent",
            Self::Llm => "llm",
        }
    }

    /// The hooks around it, in the order they run.
    pub fn hooks(self) -> &'static [HookId] {
        match self {
            Self::Request => &[
                HttpPreRequest::ID,
                HttpAuthResolveUser::ID,
                AuthPostCheck::ID,
                HttpAuthCheckPermission::ID,
                HttpPostRequest::ID,
            ],
            Self::Upstream => &[HttpPreForwardingCall::ID, HttpPostForwardingCall::ID],
            Self::Tool => &[ToolPreInvoke::ID, ToolPostInvoke::ID],
            Self::Prompt => &[PromptPreFetch::ID, PromptPostFetch::ID],
            Self::Resource | Self::ResourceTemplate => &[ResourcePreFetch::ID, ResourcePostFetch::ID],
            Self::Agent => &[AgentPreInvoke::ID, AgentPostInvoke::ID],
            Self::Llm => &[LlmInput::ID, LlmOutput::ID],
        }
    }

    fn guards_calls(self) -> bool {
        !matches!(self, Self::Request | Self::Upstream)
    }
}

/// Something that can be called, at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// What sort of thing.
    pub what: What,
    /// Its name as it is called: of a resource its URI, of a request its path.
    pub name: Arc<str>,
    /// Its name at the upstream.
    pub original: Option<Arc<str>>,
    /// The upstream that has it.
    pub upstream: Option<Arc<str>>,
    /// The virtual server it is called through; `None` for the root.
    pub server: Option<Arc<str>>,
    /// The LLM it is part of asking.
    pub llm: Option<Arc<str>>,
    /// The path it is called through.
    pub path: Option<Arc<str>>,
    /// The type of its content, where the list says so.
    pub content_type: Option<Arc<str>>,
}

/// What becomes of one plugin at one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runs {
    /// It runs, whoever calls.
    Always,
    /// It runs for some calls and not for others, and what that depends on.
    Depends(Fields),
    /// It would run and cannot: why, and whether its mode refuses the call then.
    Unavailable {
        /// Why.
        reason: Arc<str>,
        /// Whether calls are refused.
        blocks: bool,
    },
    /// It does not run: why.
    Never(Arc<str>),
}

/// One plugin at one hook of an item.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its name.
    pub plugin: Arc<str>,
    /// The mode it runs in; of several that depend on the caller, the one that is most likely to hold.
    pub mode: Mode,
    /// How it takes streams; only where answers can come as streams.
    pub stream: Option<Stream>,
    /// Whether it runs. Never [`Runs::Never`].
    pub runs: Runs,
}

/// Everything that is asked about.
pub struct Survey<'a> {
    pipelines: &'a Pipelines,
    plugins: HashMap<&'a str, Plugin<'a>>,
    /// The steps of each plugin at each hook.
    steps: HashMap<(HookId, &'a str), Vec<&'a Step>>,
    who: &'a Who,
    nobody: Who,
}

/// A configured plugin.
struct Plugin<'a> {
    instance: &'a Arc<Instance>,
    hooks: Vec<HookId>,
    /// Its bindings with their positions, the most specific first.
    bindings: Vec<(usize, &'a Binding)>,
}

impl<'a> Survey<'a> {
    /// About these pipelines, for calls of `who`. `hooks_of` tells at which hooks a plugin stands.
    pub fn new(pipelines: &'a Pipelines, hooks_of: impl Fn(&Instance) -> Vec<HookId>, who: &'a Who) -> Self {
        let mut plugins: HashMap<&str, Plugin<'_>> = HashMap::new();
        for instance in pipelines.instances() {
            let named = pipelines.bindings().iter().enumerate();
            let mut bindings: Vec<_> =
                named.filter(|(_, binding)| *binding.plugin == *instance.name).collect();
            // As bindings are ranked when pipelines are made: of equals, the one that stands later.
            bindings.reverse();
            bindings.sort_by_key(|(_, binding)| std::cmp::Reverse(binding.scope.rank()));
            plugins.insert(&instance.name, Plugin { instance, hooks: hooks_of(instance), bindings });
        }
        let nobody =
            Who { app: Fact::Absent, user: Fact::Absent, tenant: Fact::Absent, teams: Some(Vec::new()) };
        let mut steps: HashMap<_, Vec<_>> = HashMap::new();
        for row in pipelines.hooks().rows() {
            for step in pipelines.chain(row.id).into_iter().flat_map(Chain::steps) {
                steps.entry((row.id, &*step.instance.name)).or_default().push(step);
            }
        }
        Self { pipelines, plugins, steps, who, nobody }
    }

    /// The plugins that run, may run, or would run if they could, at one of the hooks of an item: in the order they run.
    pub fn at(&self, item: &Item, hook: HookId) -> Vec<Standing> {
        let Some(chain) = self.pipelines.chain(hook) else { return Vec::new() };
        let asked = Asked::of(item);
        let facts = asked.facts(item, self.who_at(hook, self.who));
        let mut told: HashSet<&str> = HashSet::new();
        let mut standings: Vec<Standing> = Vec::new();
        for step in chain.steps() {
            let name = &*step.instance.name;
            // Bindings of one plugin exclude each other: it is told once, where it runs first.
            if told.contains(name) || !step.may_apply(&facts) {
                continue;
            }
            let Some(plugin) = self.plugins.get(name) else { continue };
            let (runs, mode) = self.runs(plugin, hook, &facts, None);
            if matches!(runs, Runs::Never(_)) {
                continue;
            }
            told.insert(name);
            let streams = chain.spec.family == Family::Llm;
            standings.push(Standing {
                plugin: step.instance.name.clone(),
                mode,
                stream: step.needs.filter(|_| streams).map(|_| step.stream()),
                runs,
            });
        }
        standings
    }

    /// Before somebody was authenticated, callers are nobody in particular.
    fn who_at<'w>(&'w self, hook: HookId, who: &'w Who) -> &'w Who {
        if hook == HttpPreRequest::ID || hook == HttpAuthResolveUser::ID { &self.nobody } else { who }
    }

    /// What becomes of a plugin at a hook, and in which mode. Calls are taken to be in the scope of the binding
    /// `assumed`.
    fn runs(
        &self,
        plugin: &Plugin<'_>,
        hook: HookId,
        facts: &Facts<'_>,
        assumed: Option<usize>,
    ) -> (Runs, Mode) {
        let entry = &plugin.instance.entry;
        let row = self.pipelines.hooks().spec(hook);
        let Some((family, may_stop)) = row.map(|row| (row.family, trouble_stops(row))) else {
            return (Runs::Never("there is no such hook".into()), entry.mode);
        };
        if !self.pipelines.settings().enabled {
            return (Runs::Never("all plugins are switched off".into()), entry.mode);
        }
        if !plugin.hooks.contains(&hook) {
            return (Runs::Never("it does not stand at this hook".into()), entry.mode);
        }
        let mut outcomes = Outcomes::default();
        for (at, binding) in &plugin.bindings {
            if !binding.scope.can_hold(family) {
                continue;
            }
            let truth = if assumed == Some(*at) { Truth::Yes } else { binding.scope.judge(facts) };
            if truth == Truth::No {
                continue;
            }
            let step = self.step(plugin, hook, Some(binding));
            let mode = step.map_or(binding.mode.unwrap_or(entry.mode), |step| step.mode);
            let off = || match binding.mode {
                Some(Mode::Disabled) if entry.mode != Mode::Disabled => {
                    format!("bindings[{at}] switches it off here")
                }
                _ => "its mode is disabled".to_owned(),
            };
            outcomes.add(
                step.map_or_else(|| Runs::Never(off().into()), |step| step.runs(facts, may_stop)),
                mode,
                truth,
            );
            if truth == Truth::Yes {
                return outcomes.all();
            }
        }
        let step = self.step(plugin, hook, None);
        let off = || Runs::Never("its mode is disabled".into());
        let mode = step.map_or(entry.mode, |step| step.mode);
        outcomes.add(step.map_or_else(off, |step| step.runs(facts, may_stop)), mode, Truth::Yes);
        outcomes.all()
    }

    /// The step of a plugin as configured, or of one of its bindings.
    fn step(&self, plugin: &Plugin<'_>, hook: HookId, binding: Option<&Binding>) -> Option<&'a Step> {
        let scope = binding.map(|binding| &binding.scope);
        let steps = self.steps.get(&(hook, &*plugin.instance.name))?;
        steps.iter().find(|step| step.scope.as_ref() == scope).copied()
    }
}

/// What can become of a plugin at one hook, by who calls.
#[derive(Default)]
struct Outcomes {
    all: Vec<(Runs, Mode)>,
    fields: Fields,
}

impl Outcomes {
    fn add(&mut self, runs: Runs, mode: Mode, when: Truth) {
        if let Truth::Unknown(fields) = when {
            self.fields = self.fields | fields;
        }
        self.all.push((runs, mode));
    }

    fn all(self) -> (Runs, Mode) {
        // The mode of where it runs; what stands last holds for all who are in no narrower scope.
        let mode = self.all.iter().rev().find(|(runs, _)| !matches!(runs, Runs::Never(_)));
        let mode = mode.or(self.all.last()).map_or(Mode::Disabled, |(_, mode)| *mode);
        let mut fields = self.fields;
        let mut same = true;
        for (runs, _) in &self.all {
            if let Runs::Depends(more) = runs {
                fields = fields | *more;
            }
            same &= std::mem::discriminant(runs) == std::mem::discriminant(&self.all[0].0);
        }
        let first = self.all.into_iter().next().map(|(runs, _)| runs);
        let runs = match first {
            Some(Runs::Depends(_)) | None => Runs::Depends(fields),
            Some(first) if same => first,
            Some(_) => Runs::Depends(fields),
        };
        (runs, mode)
    }
}

impl Step {
    /// Whether there are calls of which this is known that it runs for.
    fn may_apply(&self, facts: &Facts<'_>) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.judge(facts) != Truth::No)
            && !self.unless.iter().any(|scope| scope.judge(facts) == Truth::Yes)
            && self.conditions.judge(facts) != Truth::No
    }

    /// What becomes of it where its scope holds.
    fn runs(&self, facts: &Facts<'_>, may_stop: bool) -> Runs {
        if self.off.load(std::sync::atomic::Ordering::Relaxed) {
            return Runs::Never("it failed and was switched off, as `on_error: disable` says".into());
        }
        let conditions = self.conditions.judge(facts);
        if conditions == Truth::No {
            return Runs::Never("its conditions leave it out".into());
        }
        // A hook where nothing stops calls lets them pass whatever the plugin's mode says.
        let blocks = may_stop && self.policy.trouble == Trouble::Block;
        if self.instance.plugin().is_none() {
            let reason = match self.instance.state() {
                State::Unavailable(reason) | State::Idle(reason) => reason,
                other => other.word().into(),
            };
            return Runs::Unavailable { reason, blocks };
        }
        if self.needs.is_none() {
            return Runs::Unavailable { reason: "its code does not have this hook".into(), blocks };
        }
        if let Some(reason) = self.instance.circuit_breaker().reason() {
            return Runs::Unavailable { reason: reason.into(), blocks };
        }
        match conditions {
            Truth::Unknown(fields) => Runs::Depends(fields),
            _ => Runs::Always,
        }
    }
}

/// A request about an item, as far as it can be known.
struct Asked {
    request: Request,
}

impl Asked {
    fn of(item: &Item) -> Self {
        let mut request = Request::new("coverage");
        request.path.clone_from(&item.path);
        // All that comes in by MCP is JSON.
        request.content_type = Some("application/json".into());
        request.server_id.clone_from(&item.server);
        request.llm.clone_from(&item.llm);
        if item.what != What::Request {
            request.server_id = item.server.clone().or_else(|| item.upstream.clone());
            request.upstream.clone_from(&item.upstream);
            request.original_name = item.original.clone().filter(|original| *original != item.name);
        }
        Self { request }
    }

    fn facts<'f>(&'f self, item: &'f Item, who: &'f Who) -> Facts<'f> {
        Facts {
            request: &self.request,
            who,
            subject: (item.what != What::ResourceTemplate).then_some(&*item.name),
            content_type: match item.what {
                // Lists name the type of a resource only now and then, and nobody has read it yet.
                What::Resource => item.content_type.as_deref().map(Some),
                What::ResourceTemplate | What::Llm | What::Agent => None,
                _ => Some(None),
            },
        }
    }
}
