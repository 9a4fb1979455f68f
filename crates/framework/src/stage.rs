//! A changed plan, built beside the one in force and put in its place.
//!
//! What the two have in common runs on. What is new or changed starts beside; only when all of it is ready does the
//! new plan take over, and what it replaced serves the requests that began with it and ends after the last of them.
//! A plugin that ran and, changed, would not run is a reason to refuse the plan: a reload must not turn a guard off.
//!
//! A plugin with state is replaced in four steps, so that nothing it counted is lost or counted twice: calls are held
//! at its gate (`gate.rs`), those inside finish, it hands its state over, and the successor starts with it. Then
//! pipelines are swapped and the held calls go to the successor, those of requests that began before too: the order,
//! mode and conditions a request runs under are its snapshot's, state is where it is now. What a held call waits is
//! bounded by its plugin's time limit, and by the ones of draining and starting here. If any step fails, the old one
//! goes on with what it has, which is why handing over is a copy.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use mortise_plugin_api::Plugin;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use crate::{
    config::{Diagnostic, DiagnosticKind, Errors, Mode, Notice, PluginEntry},
    essence::Essence,
    instance::{Instance, State},
    load::{Framework, LIFECYCLE_PATIENCE, Plan, Prepared, merged},
    pipeline::{Member, Pipelines, isolate::timed, scope::Scope},
    registry::start_in_order,
    supervisor::Supervisor,
};

/// How long calls under way in a plugin with state may hold up its replacement, and how long handing over may take.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(10);

/// The instances of a plan and how they take part.
pub(crate) struct Layout<'a> {
    pub(crate) members: Vec<Member>,
    pub(crate) listed: Vec<Arc<Instance>>,
    /// Those to start.
    pub(crate) fresh: Vec<Fresh<'a>>,
}

/// An instance to start.
pub(crate) struct Fresh<'a> {
    pub(crate) instance: Arc<Instance>,
    pub(crate) prepared: &'a Prepared,
    pub(crate) config: Value,
    /// The one it replaces.
    predecessor: Option<Arc<Instance>>,
}

/// What runs now, of which a plan may take over.
struct Running<'a> {
    left: Vec<&'a Arc<Instance>>,
    renew: Option<&'a str>,
}

impl<'a> Running<'a> {
    fn new(pipelines: Option<&'a Pipelines>, renew: Option<&'a str>) -> Self {
        Self { left: pipelines.map(|now| now.all_instances().iter().collect()).unwrap_or_default(), renew }
    }

    /// The instance that stood where one of this essence is to stand.
    fn take(&mut self, name: &str, essence: &Essence) -> Option<Arc<Instance>> {
        let stood = |now: &&Arc<Instance>| *now.name == *name && now.essence.role == essence.role;
        let at = self.left.iter().position(|now| stood(now) && now.essence.is_same(essence));
        let at = at.or_else(|| self.left.iter().position(stood))?;
        Some(self.left.swap_remove(at).clone())
    }

    /// Whether it can simply go on.
    fn goes_on(&self, now: &Instance, essence: &Essence, rest: Option<&State>) -> bool {
        let stands = rest.unwrap_or(&State::Ready);
        self.renew != Some(&*now.name) && now.state() == *stands && now.essence.is_same(essence)
    }
}

impl Framework {
    /// Decides which instance stands where: those of `now` that can go on do.
    pub(crate) fn lay_out<'a>(
        &self,
        plan: &Plan,
        prepared: &'a [Prepared],
        now: Option<&Pipelines>,
        renew: Option<&str>,
    ) -> Layout<'a> {
        let mut running = Running::new(now, renew);
        let mut layout = Layout { members: Vec::new(), listed: Vec::new(), fresh: Vec::new() };
        for prepared in prepared {
            self.lay_out_one(plan, prepared, &mut running, &mut layout);
        }
        layout
    }

    fn lay_out_one<'a>(
        &self,
        plan: &Plan,
        prepared: &'a Prepared,
        running: &mut Running<'_>,
        layout: &mut Layout<'a>,
    ) {
        let entry = &prepared.entry;
        let bindings: Vec<_> = plan.bindings.iter().filter(|binding| binding.plugin == entry.name).collect();
        // The most specific first; of equals, the one that stands later in the file.
        let mut ranked: Vec<usize> = (0..bindings.len()).rev().collect();
        ranked.sort_by_key(|at| std::cmp::Reverse(bindings[*at].scope.rank()));
        let scopes: Vec<_> = ranked.iter().map(|at| bindings[*at].scope.clone()).collect();
        let wanted = |mode: Mode| plan.enabled && mode != Mode::Disabled;
        let shared_by_binding =
            bindings.iter().any(|b| b.config.is_none() && wanted(b.mode.unwrap_or(entry.mode)));
        let runs = wanted(entry.mode) || shared_by_binding;
        let base = self.place(prepared, None, prepared.config.clone(), runs, running, &mut layout.fresh);
        layout.listed.push(base.clone());
        if wanted(entry.mode) {
            layout.members.push(Member {
                instance: base.clone(),
                hooks: prepared.hooks.clone(),
                mode: entry.mode,
                modes: if entry.names_mode() { Vec::new() } else { prepared.default_modes() },
                on_error: entry.on_error,
                priority: entry.priority,
                scope: None,
                unless: scopes.clone(),
            });
        }
        for (at, binding) in bindings.iter().enumerate() {
            let mode = binding.mode.unwrap_or(entry.mode);
            if !wanted(mode) {
                continue;
            }
            let instance = match &binding.config {
                None => base.clone(),
                Some(over) => {
                    let config = merged(&prepared.config, over);
                    self.place(prepared, Some(&binding.scope), config, true, running, &mut layout.fresh)
                }
            };
            // An entry that is disabled without naming a mode was bound by whoever keeps it, with the default.
            let named = entry.names_mode()
                || (binding.mode.is_some() && (entry.mode != Mode::Disabled || mode != Mode::default()));
            layout.members.push(Member {
                instance,
                hooks: prepared.hooks.clone(),
                mode,
                modes: if named { Vec::new() } else { prepared.default_modes() },
                on_error: binding.on_error.or(entry.on_error),
                priority: binding.order.unwrap_or(entry.priority),
                scope: Some(binding.scope.clone()),
                unless: scopes[..ranked.iter().position(|ranked| *ranked == at).unwrap_or(0)].to_vec(),
            });
        }
    }

    /// The instance for a place: the one that stands there, or a fresh one.
    fn place<'a>(
        &self,
        prepared: &'a Prepared,
        role: Option<&Scope>,
        config: Value,
        runs: bool,
        running: &mut Running<'_>,
        fresh: &mut Vec<Fresh<'a>>,
    ) -> Arc<Instance> {
        let essence =
            Essence::of(&prepared.entry, prepared.runtime_name(), role, &config, &prepared.beside());
        let rest = prepared.rest(runs);
        let predecessor = running.take(&prepared.entry.name, &essence);
        if let Some(now) = predecessor.as_ref().filter(|now| running.goes_on(now, &essence, rest.as_ref())) {
            return Arc::new(now.under(prepared.entry.clone()));
        }
        let instance = self.instance(prepared, essence);
        match rest {
            None => fresh.push(Fresh { instance: instance.clone(), prepared, config, predecessor }),
            Some(rest) => instance.set_state(rest),
        }
        instance
    }

    /// Builds a plan beside the one in force: what is new or changed is started, what is unchanged is shared. The
    /// plugin named `renew` is started anew even if it did not change, and so is each that could not run.
    ///
    /// Nothing takes effect before [`Staged::commit`]; dropped instead, what was started is ended. Of several changes
    /// at a time one waits for the other.
    ///
    /// # Errors
    /// Everything that is wrong with the plan, and plugins that run and would not do so under it.
    pub async fn stage(&self, plan: Plan, renew: Option<&str>) -> Result<Staged, Errors> {
        let turn = self.turn().await;
        let (prepared, notices) = self.prepare(&plan)?;
        let now = self.pipelines();
        let Layout { members, listed, fresh } = self.lay_out(&plan, &prepared, Some(&now), renew);
        let aside = fresh.iter().map(|fresh| fresh.instance.clone()).collect();
        let aside = Aside { started: aside, supervisor: self.supervisor().clone() };
        let (heirs, others): (Vec<_>, Vec<_>) = fresh.into_iter().partition(Fresh::inherits);
        start_in_order(&others, |fresh| &fresh.prepared.entry, |fresh| self.start(fresh)).await;
        let mut refused: Vec<_> = others.iter().filter_map(Fresh::lost).collect();
        let mut hand_overs = Vec::new();
        for heir in heirs {
            match (self.create(&heir), &heir.predecessor) {
                (Some(plugin), Some(old)) => {
                    hand_overs.push(HandOver { old: old.clone(), new: heir.instance, plugin });
                }
                _ => refused.extend(heir.lost()),
            }
        }
        match Errors::from_list(refused) {
            Some(errors) => Err(errors),
            None => Ok(Staged {
                framework: self.clone(),
                plan,
                members,
                listed,
                hand_overs,
                aside,
                notices,
                _turn: turn,
            }),
        }
    }

    /// Puts a plan in the place of the one in force.
    ///
    /// # Errors
    /// As [`Framework::stage`] and [`Staged::commit`]; what was in force stays.
    pub async fn reload(&self, plan: Plan) -> Result<Vec<Notice>, Errors> {
        let staged = self.stage(plan, None).await?;
        let notices = staged.notices.clone();
        staged.commit(|_| ()).await?;
        Ok(notices)
    }
}

impl Fresh<'_> {
    /// Whether it is to start with the state of the one it replaces.
    fn inherits(&self) -> bool {
        self.predecessor.as_ref().is_some_and(|old| {
            old.state() == State::Ready && old.gate().is_some() && old.essence.is_kin(&self.instance.essence)
        })
    }

    /// An error where the plugin ran and does not run now.
    fn lost(&self) -> Option<Diagnostic> {
        let ran = self.predecessor.as_ref().is_some_and(|old| old.state() == State::Ready);
        match self.instance.state() {
            State::Unavailable(reason) if ran => Some(lost(&self.instance.entry, &reason)),
            _ => None,
        }
    }
}

fn lost(entry: &PluginEntry, reason: &str) -> Diagnostic {
    let message = format!("the plugin `{}` runs and would not run any more: {reason}", entry.name);
    Diagnostic::new(DiagnosticKind::NotStarted, message)
        .at(entry.span.clone())
        .path(entry.path.clone())
        .hide_line()
}

/// A plan that is ready to take over.
pub struct Staged {
    framework: Framework,
    plan: Plan,
    members: Vec<Member>,
    listed: Vec<Arc<Instance>>,
    hand_overs: Vec<HandOver>,
    aside: Aside,
    notices: Vec<Notice>,
    _turn: OwnedMutexGuard<()>,
}

impl Staged {
    /// What was tolerated.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Lets plugins hand over their state and puts the plan in force. `swap` is called in between, once, with the
    /// pipelines that now are the [current ones](Framework::pipelines): for what must change together with them.
    ///
    /// # Errors
    /// When a plugin with state could not be replaced; what was in force stays.
    pub async fn commit(mut self, swap: impl FnOnce(&Arc<Pipelines>)) -> Result<Arc<Pipelines>, Errors> {
        let results = join_all(self.hand_overs.iter().map(HandOver::run)).await;
        let (mut held, mut refused) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(closed) => held.extend(closed),
                Err(error) => refused.push(error),
            }
        }
        if let Some(errors) = Errors::from_list(refused) {
            return Err(errors);
        }
        let listed = std::mem::take(&mut self.listed);
        let pipelines = Arc::new(self.framework.compile(&self.plan, &self.members, listed));
        self.aside.started.clear();
        let before = self.framework.swap(pipelines.clone());
        swap(&pipelines);
        // From here on calls that were held, and those of requests that began before, go to the successors.
        let handed_over: Vec<_> = held.into_iter().map(Closed::move_on).collect();
        let gone = |old: &&Arc<Instance>| !pipelines.all_instances().iter().any(|new| new.is_same(old));
        for old in before.all_instances().iter().filter(gone) {
            let at_once = handed_over.iter().any(|handed| handed.is_same(old));
            self.framework.supervisor().retire(old.clone(), at_once, LIFECYCLE_PATIENCE);
        }
        Ok(pipelines)
    }
}

impl std::fmt::Debug for Staged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staged").field("listed", &self.listed).finish_non_exhaustive()
    }
}

/// What was started and is not in force; dropped, it is ended.
struct Aside {
    started: Vec<Arc<Instance>>,
    supervisor: Supervisor,
}

impl Drop for Aside {
    fn drop(&mut self) {
        for instance in self.started.drain(..) {
            self.supervisor.retire(instance, true, LIFECYCLE_PATIENCE);
        }
    }
}

/// A plugin with state and its successor.
struct HandOver {
    old: Arc<Instance>,
    new: Arc<Instance>,
    plugin: Arc<dyn Plugin>,
}

impl HandOver {
    /// Brings the successor up with the state of the old one, whose gate stays closed on return. `None` where there
    /// was no state: then the old one serves its requests to their end like any other.
    async fn run(&self) -> Result<Option<Closed>, Diagnostic> {
        let (Some(gate), Some(plugin)) = (self.old.gate(), self.old.plugin()) else { return Ok(None) };
        let mut closed = Some(Closed { old: self.old.clone(), new: Some(self.new.clone()) });
        let left = gate.close(HAND_OVER_PATIENCE).await;
        if left > 0 {
            let patience = HAND_OVER_PATIENCE.as_secs();
            let reason = format!(
                "its state cannot be handed over, as {left} of its calls have been under way for more than {patience} s"
            );
            return Err(lost(&self.new.entry, &reason));
        }
        let state = timed(HAND_OVER_PATIENCE, async { Ok(plugin.hand_over().await) }).await;
        let state = state
            .map_err(|error| lost(&self.new.entry, &format!("its state was not handed over: {error}")))?;
        if state.is_none() {
            closed = None;
        }
        self.new.start(self.plugin.clone(), state, LIFECYCLE_PATIENCE).await;
        match self.new.state() {
            State::Unavailable(reason) => Err(lost(&self.new.entry, &reason)),
            _ => Ok(closed),
        }
    }
}

/// A gate that is closed. Dropped, it opens again and the old plugin goes on.
struct Closed {
    old: Arc<Instance>,
    new: Option<Arc<Instance>>,
}

impl Closed {
    /// Sends all calls to the successor; gives back the old plugin, which gets no more.
    fn move_on(mut self) -> Arc<Instance> {
        if let (Some(gate), Some(new)) = (self.old.gate(), self.new.take()) {
            gate.moved(&new);
        }
        self.old.clone()
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        if self.new.is_some()
            && let Some(gate) = self.old.gate()
        {
            gate.open();
        }
    }
}

#[cfg(test)]
mod tests;
