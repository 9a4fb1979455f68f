//! What happened to one request at hooks, for whoever observes it: explain, spans, recording.
//!
//! A trace travels with the request's [`Contexts`](super::context::Contexts), shared by all copies of them: pairs of
//! hooks, hooks around the upstream call, post hooks that run in the background after the client has left. Each run of
//! a chain adds one [`HookRun`]. When the last of the copies is gone nothing can be added any more; then the trace hands
//! what it has to its [`Observer`], whichever way the request ended.
//!
//! It is made of what is there anyway: payloads are the shared revisions, plugins are numbers into a table of names that
//! all requests of a configuration share. Nothing is formatted, compared or written down on a call's path; that is up to
//! whoever looks. It holds no pipelines, so that keeping it keeps no plugin from ending.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mortise_plugin_api::{End, HookId, Payload, Revision, native::is_final};
use smallvec::SmallVec;

use super::{
    Pipelines,
    context::InstanceIx,
    outcome::{Blocked, Execution, Outcome, Status},
    policy::Group,
};

/// Names of all instances of one configuration, by instance number.
pub type Names = Arc<[Arc<str>]>;

/// The runs of one request, in the order in which they ended.
pub type Runs = SmallVec<[HookRun; 2]>;

/// Whoever is told when nothing more happens to a request.
pub trait Observer: Send + Sync {
    /// Takes what happened. Called once, wherever the last of the request's memory went: it must not wait.
    fn ended(&self, happened: Happened);
}

/// Everything that happened to one request at hooks.
#[derive(Clone)]
pub struct Happened {
    /// The runs.
    pub runs: Runs,
    /// Names of the plugins.
    pub names: Names,
}

impl Happened {
    /// Name of the plugin of an execution.
    pub fn plugin(&self, execution: &Execution) -> &Arc<str> {
        static NOBODY: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "".into());
        self.names.get(execution.instance as usize).unwrap_or(&NOBODY)
    }
}

/// One run of one chain.
#[derive(Clone, Debug)]
pub struct HookRun {
    /// The hook.
    pub hook: HookId,
    /// When it began.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
    /// For a hook after an event: how the event ended.
    pub end: End,
    /// What it began with. Taken out by observers that keep runs and need it no more.
    pub payload: Option<Arc<Revision>>,
    /// Who ran, in order; those in the background are not among them.
    pub executions: SmallVec<[Execution; 8]>,
    /// What each of those whose status is `Change` made of the payload, in order.
    pub changes: Vec<Changed>,
    /// Who blocked the call here, and why.
    pub blocked: Option<Box<Blocked>>,
    /// Whether it came to its end; otherwise the client left while it ran, and nothing is known of who ran.
    pub finished: bool,
}

impl HookRun {
    /// The payload before and after the execution at `index` of [`Self::executions`], where that changed it.
    pub fn change(&self, index: usize) -> Option<(&Arc<Revision>, &Arc<Revision>)> {
        let at = self.changes.iter().position(|change| usize::from(change.execution) == index)?;
        let before = match at.checked_sub(1) {
            Some(earlier) => Some(&self.changes[earlier].revision),
            None => self.payload.as_ref(),
        };
        Some((before?, &self.changes[at].revision))
    }

    /// The execution that served the call, where one did.
    pub fn served(&self) -> Option<&Execution> {
        self.executions.last().filter(|last| last.status == Status::Serve)
    }
}

/// A payload as a plugin left it.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Position of the plugin in [`HookRun::executions`].
    pub execution: u16,
    /// The payload.
    pub revision: Arc<Revision>,
}

/// What happens to one request, while it does.
pub struct Trace {
    names: Names,
    runs: Mutex<Runs>,
    observer: Arc<dyn Observer>,
}

impl Trace {
    /// An empty one for a request that these pipelines serve.
    pub fn new(pipelines: &Pipelines, observer: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self { names: pipelines.names.clone(), runs: Mutex::default(), observer })
    }

    fn push(&self, run: HookRun) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let runs = std::mem::take(self.runs.get_mut().unwrap_or_else(PoisonError::into_inner));
        self.observer.ended(Happened { runs, names: self.names.clone() });
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").finish_non_exhaustive()
    }
}

/// A run that is under way. Dropped, it is noted as one that did not come to its end.
pub(crate) struct Running(Option<Begun>);

struct Begun {
    trace: Arc<Trace>,
    hook: HookId,
    began: Instant,
    end: End,
    payload: Arc<Revision>,
}

impl Running {
    /// Notes the beginning of a run, where somebody observes the request.
    #[inline]
    pub(crate) fn begin(trace: Option<&Arc<Trace>>, hook: HookId, end: End, payload: &Arc<Revision>) -> Self {
        Self(trace.map(|trace| Begun {
            trace: trace.clone(),
            hook,
            began: Instant::now(),
            end,
            payload: payload.clone(),
        }))
    }

    /// Notes what it came to.
    #[inline]
    pub(crate) fn finish(mut self, outcome: &mut Outcome) {
        if let Some(begun) = self.0.take() {
            begun.push(Some(outcome));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(begun) = self.0.take() {
            begun.push(None);
        }
    }
}

impl Begun {
    fn push(self, outcome: Option<&mut Outcome>) {
        let Self { trace, hook, began, end, payload } = self;
        let mut run = HookRun {
            hook,
            began,
            took: began.elapsed(),
            end,
            payload: Some(payload),
            executions: SmallVec::new(),
            changes: Vec::new(),
            blocked: None,
            finished: outcome.is_some(),
        };
        if let Some(outcome) = outcome {
            run.executions.extend_from_slice(&outcome.executions);
            run.changes = outcome.changes.take().unwrap_or_default();
            run.blocked.clone_from(&outcome.blocked);
        }
        trace.push(run);
    }
}

/// Why a plugin that stands at a hook is not among those that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Its conditions, or the scope of its binding, do not match the call.
    NotMatched,
    /// The call was over before its turn or its answer: another plugin blocked it, served it or gave the answer.
    Over,
    /// It did not run at the hook before the event, and the call ended so that only those that did are told.
    NotBefore,
    /// It runs in another process; those are not told of calls that were blocked or given up.
    NotTold,
    /// It runs in the background, without influence on the call.
    Background,
    /// It failed earlier and is switched off.
    Off,
}

impl Absence {
    /// A stable word: `not_matched`, `over`, `not_before`, `not_told`, `background`, `off`.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotMatched => "not_matched",
            Self::Over => "over",
            Self::NotBefore => "not_before",
            Self::NotTold => "not_told",
            Self::Background => "background",
            Self::Off => "off",
        }
    }
}

impl Pipelines {
    /// The table of names that traces of requests under these pipelines share.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Who stands at the hook of a run and is not among those that ran, in order, and why. `None` where the run was
    /// under other pipelines: nobody knows any more.
    ///
    /// What conditions do not explain is told as they are now: whether a plugin is switched off.
    pub fn absent(&self, happened: &Happened, run: &HookRun) -> Option<Vec<(Arc<str>, Absence)>> {
        if !Arc::ptr_eq(&self.names, &happened.names) {
            return None;
        }
        let chain = self.chain(run.hook)?;
        let ran = |ix: InstanceIx| run.executions.iter().any(|execution| execution.instance == ix);
        let mut over = run.blocked.as_ref().is_some_and(|blocked| blocked.plugin.is_empty());
        let last = run.executions.last().map(|execution| execution.instance);
        let first_wins = chain.spec.rule == mortise_plugin_api::Rule::FirstAnswer;
        let decided = run.blocked.is_some() || run.served().is_some() || first_wins;
        // Of those that were asked at the same time, the others' calls were given up, wherever they stand.
        let given_up = chain
            .stages
            .iter()
            .map(|stage| &stage.at_once)
            .find(|group| run.blocked.is_some() && group.iter().any(|step| last == Some(step.ix)));
        let mut absent: Vec<(Arc<str>, Absence)> = Vec::new();
        for step in chain.steps() {
            let name = &step.instance.name;
            if step.policy.group == Group::Background {
                absent.push((name.clone(), Absence::Background));
            } else if ran(step.ix) {
                over |= decided && last == Some(step.ix);
            } else if !absent.iter().any(|(known, _)| known == name) {
                let why = match () {
                    () if is_final(run.end) && step.instance.foreign => Absence::NotTold,
                    () if is_final(run.end) => Absence::NotBefore,
                    () if over || given_up.is_some_and(|group| group.iter().any(|one| one.ix == step.ix)) => {
                        Absence::Over
                    }
                    () if step.off.load(std::sync::atomic::Ordering::Relaxed) => Absence::Off,
                    () => Absence::NotMatched,
                };
                absent.push((name.clone(), why));
            }
        }
        // A plugin that bindings let stand here several times ran, if it ran once.
        absent.retain(|(name, _)| !run.executions.iter().any(|execution| happened.plugin(execution) == name));
        Some(absent)
    }
}

/// Bytes of payloads that a run holds, as raw JSON.
pub fn payload_bytes(run: &HookRun) -> usize {
    let size = |revision: &Arc<Revision>| Payload::size(revision.payload());
    run.payload.as_ref().map_or(0, size)
        + run.changes.iter().map(|change| size(&change.revision)).sum::<usize>()
}

#[cfg(test)]
mod tests;
