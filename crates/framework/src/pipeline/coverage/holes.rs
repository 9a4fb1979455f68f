//! Where plugins that must run would not.

use std::sync::Arc;

use mortise_plugin_api::{HookId, Request};
use serde::Serialize;

use super::{
    Asked, Item, Runs, Survey, What,
    facts::{Fact, Facts, Truth, Who},
};
use crate::pipeline::scope::{Binding, Required, Scope};

/// A place where a plugin that must run would not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// The plugin.
    pub plugin: Arc<str>,
    /// Position of the binding that requires it.
    pub binding: usize,
    /// What is not guarded.
    pub kind: What,
    /// Its name.
    pub name: Arc<str>,
    /// The virtual server it is called through; `None` for the root.
    pub server: Option<Arc<str>>,
    /// The hook; `None` where it stands at none of them.
    pub hook: Option<Arc<str>>,
    /// Why it would not run.
    pub reason: String,
}

impl Survey<'_> {
    /// All holes, in the order of bindings and items, and the positions of required bindings that cover none of the
    /// items.
    pub fn holes(&self, items: &[Item]) -> (Vec<Hole>, Vec<usize>) {
        let (mut holes, mut idle) = (Vec::new(), Vec::new());
        for (at, binding) in self.pipelines.bindings().iter().enumerate() {
            if binding.required.is_no() {
                continue;
            }
            let who = binding.scope.assume(self.who);
            let mut covers = false;
            for item in items {
                covers |= self.look((at, binding), item, &who, &mut holes);
            }
            if !covers {
                idle.push(at);
            }
        }
        (holes, idle)
    }

    /// Looks for holes of one binding at one item; whether its scope covers that.
    fn look(&self, (at, binding): (usize, &Binding), item: &Item, who: &Who, holes: &mut Vec<Hole>) -> bool {
        let Some(plugin) = self.plugins.get(binding.plugin.as_str()) else { return false };
        let asked = Asked::of(item);
        let covered = |hook: HookId, facts: &Facts<'_>| {
            let row = self.pipelines.hooks().spec(hook);
            row.is_some_and(|row| binding.scope.can_hold(row.family))
                && binding.scope.judge(facts) != Truth::No
        };
        let hooks = item.what.hooks().iter().copied();
        let hooks: Vec<HookId> =
            hooks.filter(|hook| covered(*hook, &asked.facts(item, self.who_at(*hook, who)))).collect();
        let mut hole = |hook: Option<HookId>, reason: String| {
            let row = hook.and_then(|hook| self.pipelines.hooks().spec(hook));
            holes.push(Hole {
                plugin: plugin.instance.name.clone(),
                binding: at,
                kind: item.what,
                name: item.name.clone(),
                server: item.server.clone(),
                hook: row.map(|row| row.name.clone()),
                reason,
            });
        };
        let wanted: Vec<HookId> = match &binding.required {
            Required::At(names) => {
                let named =
                    |hook: &HookId| names.iter().any(|name| self.pipelines.hooks().id(name) == Some(*hook));
                hooks.into_iter().filter(named).collect()
            }
            Required::All(_) => {
                let stands: Vec<HookId> =
                    hooks.iter().copied().filter(|hook| plugin.hooks.contains(hook)).collect();
                if stands.is_empty() && !hooks.is_empty() && self.is_missing(item, &plugin.hooks) {
                    hole(None, format!("it stands at no hook of a {}", item.what.word().replace('_', " ")));
                    return true;
                }
                stands
            }
        };
        for hook in &wanted {
            let facts = asked.facts(item, self.who_at(*hook, who));
            let (runs, _) = self.runs(plugin, *hook, &facts, Some(at));
            if let Some(reason) = runs.lacks() {
                hole(Some(*hook), reason);
            }
        }
        !wanted.is_empty()
    }

    /// Whether a plugin that stands at none of an item's hooks leaves a hole there: not where it looks at each request
    /// anyway, and not at requests and upstreams, of which only some plugins want to know.
    fn is_missing(&self, item: &Item, stands: &[HookId]) -> bool {
        item.what.guards_calls() && !What::Request.hooks().iter().any(|hook| stands.contains(hook))
    }
}

impl Runs {
    /// Why that is not enough for a plugin that must run.
    fn lacks(&self) -> Option<String> {
        match self {
            Self::Always => None,
            Self::Depends(fields) => {
                Some(format!("it runs only for some calls: that depends on {}", fields.words().join(", ")))
            }
            Self::Unavailable { reason, blocks: true } => {
                Some(format!("it is unavailable, and calls are refused: {reason}"))
            }
            Self::Unavailable { reason, blocks: false } => {
                Some(format!("it is unavailable, and calls pass without it: {reason}"))
            }
            Self::Never(reason) => Some(reason.to_string()),
        }
    }
}

impl Scope {
    /// Whether this caller can be within it, wherever the call goes.
    pub fn admits(&self, who: &Who) -> bool {
        let Self { app, team, tenant, .. } = self.clone();
        let request = Request::new("coverage");
        let facts = Facts { request: &request, who, subject: None, content_type: None };
        Self { app, team, tenant, ..Self::default() }.judge(&facts) != Truth::No
    }

    /// Whether it says who calls.
    pub fn names_callers(&self) -> bool {
        self.app.is_some() || self.team.is_some() || self.tenant.is_some()
    }

    /// A caller who is in this scope, as far as that follows from it.
    fn assume(&self, who: &Who) -> Who {
        let fact = |known: &Fact, word: &Option<String>| match (known, exact(word)) {
            (Fact::Unknown, Some(word)) => Fact::Is(word.into()),
            _ => known.clone(),
        };
        Who {
            app: fact(&who.app, &self.app),
            user: who.user.clone(),
            tenant: fact(&who.tenant, &self.tenant),
            // A member of one team may be one of others too.
            teams: who.teams.clone(),
        }
    }
}

fn exact(word: &Option<String>) -> Option<&str> {
    word.as_deref().filter(|word| !word.contains('*'))
}
