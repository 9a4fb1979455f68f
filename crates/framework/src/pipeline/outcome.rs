//! What a chain came to.

use std::{any::Any, sync::Arc, time::Duration};

use mortise_plugin_api::{Headers, Json, Notes, Revision, Violation};
use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::{Pipelines, context::InstanceIx, trace::Changed};

/// How one call of one plugin ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It had nothing to say.
    Pass = 0,
    /// It changed the payload, or gave the answer.
    Change = 1,
    /// It blocked the call.
    Block = 2,
    /// It would have blocked the call, but its mode does not let it.
    WouldBlock = 3,
    /// It gave no answer.
    Error = 4,
    /// It served the call: the upstream is not asked.
    Serve = 5,
}

impl Status {
    pub(crate) const COUNT: usize = 6;

    /// All, in order.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Pass, Self::Change, Self::Block, Self::WouldBlock, Self::Error, Self::Serve];

    /// A stable word for metrics and explain.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Change => "change",
            Self::Block => "block",
            Self::WouldBlock => "would_block",
            Self::Error => "error",
            Self::Serve => "serve",
        }
    }
}

/// One call of one plugin, as a chain remembers it.
#[derive(Clone, Copy, Debug)]
pub struct Execution {
    pub(crate) instance: InstanceIx,
    /// How it ended.
    pub status: Status,
    /// Nanoseconds it took, at most four seconds and a bit.
    pub took_ns: u32,
}

impl Execution {
    pub(crate) fn new(instance: InstanceIx, status: Status, took: Duration) -> Self {
        let took_ns = if took.as_secs() < 4 {
            took.as_secs() as u32 * 1_000_000_000 + took.subsec_nanos()
        } else {
            u32::MAX
        };
        Self { instance, status, took_ns }
    }

    /// Name of the plugin.
    pub fn plugin<'a>(&self, pipelines: &'a Pipelines) -> &'a str {
        pipelines.instances.get(self.instance as usize).map_or("", |instance| &*instance.name)
    }
}

/// A call that must not go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocked {
    /// Why.
    pub violation: Violation,
    /// Name of the plugin that said so; empty where the framework itself did.
    pub plugin: Arc<str>,
}

impl Blocked {
    /// The sentence clients get:
    /// `tool_pre_invoke blocked by plugin NAME: CODE - REASON (DESCRIPTION)`.
    pub fn message(&self, hook: &str) -> String {
        let Violation { code, reason, description, .. } = &self.violation;
        if self.plugin.is_empty() {
            return format!("{hook} blocked: {code} - {reason} ({description})");
        }
        if code.is_empty() && reason.is_empty() && description.is_empty() {
            return format!("{hook} blocked by plugin {}", self.plugin);
        }
        format!("{hook} blocked by plugin {}: {code} - {reason} ({description})", self.plugin)
    }
}

/// The result of running one chain.
#[derive(Default)]
pub struct Outcome {
    /// The payload as changed, or `None` when nobody changed it.
    pub changed: Option<Arc<Revision>>,
    /// Set when the call must not go on.
    pub blocked: Option<Box<Blocked>>,
    /// The answer, at hooks that look for one: a value of the hook's answer type. At hooks where a call can be
    /// served, the result as a [`Json`].
    pub answer: Option<Box<dyn Any + Send>>,
    /// Every plugin that was called, in order.
    pub executions: SmallVec<[Execution; 24]>,
    pub(crate) notes: Vec<(InstanceIx, Box<Notes>)>,
    /// What each plugin made of the payload, where somebody observes the request.
    pub(crate) changes: Option<Vec<Changed>>,
}

impl Outcome {
    /// Nothing yet; `traced` says whether each change is remembered by itself.
    #[inline]
    pub(crate) fn begin(traced: bool) -> Self {
        Self { changes: traced.then(Vec::new), ..Self::default() }
    }

    /// Takes a payload that the plugin which is answering has changed.
    pub(crate) fn change(&mut self, revision: Arc<Revision>) {
        if let Some(changes) = &mut self.changes {
            let execution = u16::try_from(self.executions.len()).unwrap_or(u16::MAX);
            changes.push(Changed { execution, revision: revision.clone() });
        }
        self.changed = Some(revision);
    }

    /// Metadata of all plugins, later ones winning per key.
    pub fn metadata(&self) -> Map<String, Value> {
        let all = self.notes.iter().flat_map(|(_, notes)| notes.metadata.clone());
        all.collect()
    }

    /// Metadata by plugin, in order of execution.
    pub fn metadata_by_plugin<'a>(
        &'a self,
        pipelines: &'a Pipelines,
    ) -> impl Iterator<Item = (&'a str, &'a Map<String, Value>)> {
        self.notes
            .iter()
            .filter_map(|(ix, notes)| Some((&*pipelines.instances.get(*ix as usize)?.name, &notes.metadata)))
    }

    /// Headers plugins would like on the answer to the client.
    pub fn response_headers(&self) -> Headers {
        let mut headers = Headers::new();
        for (_, notes) in &self.notes {
            headers.merge(&notes.response_headers);
        }
        headers
    }

    /// The longest wish for a retry.
    pub fn retry_after(&self) -> Duration {
        self.notes.iter().map(|(_, notes)| notes.retry_after).max().unwrap_or_default()
    }

    /// The result of a call that a plugin served.
    pub fn take_served(&mut self) -> Option<Json> {
        self.take_answer()
    }

    /// The answer as its type, at hooks that look for one.
    pub fn take_answer<T: Any>(&mut self) -> Option<T> {
        self.answer.take()?.downcast().ok().map(|answer| *answer)
    }
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outcome")
            .field("changed", &self.changed.is_some())
            .field("blocked", &self.blocked)
            .field("executions", &self.executions)
            .finish_non_exhaustive()
    }
}
