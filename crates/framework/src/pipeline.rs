//! Pipelines: which plugins run at which hook, in which order, for which calls, and what becomes of their answers.
//!
//! Compiled ahead and immutable. A hook without plugins costs a null check; a plugin whose conditions do not match
//! costs the match. [`chain`] runs one hook; [`pair`] runs the hook before and the hook after one event and sees to
//! it that every pre hook that ran gets its post hook, however the call ends.

use std::{sync::Arc, time::Duration};

use mortise_plugin_api::{HookId, HookTable, Limit};

use crate::{
    background::Background,
    breaker::Limits,
    endpoints::{Mount, Mounts},
    instance::Instance,
};

pub mod chain;
pub mod condition;
pub mod context;
pub mod coverage;
pub mod isolate;
pub mod outcome;
pub mod pair;
pub mod policy;
pub mod scope;
pub mod streamed;
pub mod trace;

mod at_once;
mod background;
mod band;
mod budget;
mod call;
mod compile;
mod ran;
mod row;
mod run;
mod settle;

pub use compile::{Member, compile};

/// What holds for all chains.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Longest time a plugin may take for one call.
    pub plugin_timeout: Duration,
    /// What the breakers of plugins go by that say nothing of their own.
    pub breaker: Limits,
    /// Whether plugins of equal priority run at the same time, as far as they do not change the payload.
    pub parallel_bands: bool,
    /// Longest time a request may wait for all plugins together; `None` for no limit.
    pub request_budget: Option<Duration>,
    /// How often plugins are asked whether they are well; `None` for never.
    pub health_interval: Option<Duration>,
    /// Whether an error of any plugin blocks, whatever its mode.
    pub fail_on_plugin_error: bool,
    /// Whether conditions match literally only.
    pub exact_conditions: bool,
    /// Largest raw JSON of arguments and of tool and prompt results, in bytes.
    pub max_arguments: usize,
    /// Largest raw JSON of resources and LLM bodies, in bytes.
    pub max_content: usize,
    /// Whether plugins run at all.
    pub enabled: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            plugin_timeout: Duration::from_secs(30),
            breaker: Limits::default(),
            parallel_bands: false,
            request_budget: None,
            health_interval: Some(Duration::from_secs(60)),
            fail_on_plugin_error: false,
            exact_conditions: false,
            max_arguments: 1_000_000,
            max_content: 32 << 20,
            enabled: true,
        }
    }
}

impl Settings {
    pub(crate) fn limit(&self, limit: Limit) -> usize {
        match limit {
            Limit::Arguments => self.max_arguments,
            Limit::Content => self.max_content,
        }
    }
}

/// The compiled chains of one configuration.
pub struct Pipelines {
    pub(crate) hooks: Arc<HookTable>,
    pub(crate) chains: Vec<Option<chain::Chain>>,
    /// Those that are listed, then those that bindings with a configuration of their own made.
    pub(crate) instances: Vec<Arc<Instance>>,
    pub(crate) listed: usize,
    /// Their names, shared by all traces of requests.
    pub(crate) names: trace::Names,
    pub(crate) settings: Settings,
    pub(crate) background: Background,
    /// The bindings it was compiled of, for those who ask where plugins run.
    pub(crate) bindings: Vec<scope::Binding>,
    /// Where plugins have endpoints of their own.
    pub(crate) mounts: Mounts,
}

impl Pipelines {
    /// Pipelines without plugins.
    pub fn empty(hooks: Arc<HookTable>, background: Background) -> Self {
        compile(hooks, &[], Vec::new(), Settings::default(), background)
    }

    /// The chain of a hook, or `None` when no plugin is there.
    #[inline]
    pub fn chain(&self, hook: HookId) -> Option<&chain::Chain> {
        self.chains.get(hook.index())?.as_ref()
    }

    /// One instance for each configured plugin: those that run, that cannot, and that are disabled, in file order.
    pub fn instances(&self) -> &[Arc<Instance>] {
        &self.instances[..self.listed]
    }

    /// All instances, those of bindings with a configuration of their own too.
    pub fn all_instances(&self) -> &[Arc<Instance>] {
        &self.instances
    }

    /// The bindings these were compiled of, in file order.
    pub fn bindings(&self) -> &[scope::Binding] {
        &self.bindings
    }

    /// The plugin whose endpoints stand under a slug.
    pub fn mount(&self, slug: &str) -> Option<&Mount> {
        self.mounts.get(slug)
    }

    /// All plugins that have endpoints of their own, by slug.
    pub fn mounts(&self) -> Vec<&Mount> {
        let mut all: Vec<&Mount> = self.mounts.values().collect();
        all.sort_by_key(|mount| mount.slug().clone());
        all
    }

    /// Whether a binding asks for the path of requests. Where none does, nobody need note it.
    pub fn ask_for_paths(&self) -> bool {
        self.bindings.iter().any(|binding| binding.scope.path.is_some())
    }

    /// Whether a binding has a plugin stand at one of these hooks for this LLM in particular.
    pub fn is_bound_to_llm(&self, llm: &str, hooks: &[HookId]) -> bool {
        let steps = hooks.iter().filter_map(|hook| self.chain(*hook)).flat_map(chain::Chain::steps);
        let mut scopes = steps.filter_map(|step| step.scope.as_ref()?.llm.as_deref());
        scopes.any(|word| scope::Scope::fits(word, llm))
    }

    /// The hook table these were compiled for.
    pub fn hooks(&self) -> &Arc<HookTable> {
        &self.hooks
    }

    /// What holds for all chains.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where work goes that outlives its call.
    pub fn background(&self) -> &Background {
        &self.background
    }
}

impl std::fmt::Debug for Pipelines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipelines").field("instances", &self.instances).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
