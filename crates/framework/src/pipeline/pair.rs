//! The hook before and the hook after one event, as one value that cannot be forgotten.
//!
//! A post hook runs exactly once for every pre hook that ran: when the upstream answered, when it failed or was too
//! slow, when a later plugin blocked the call, and when the client went away and the whole request was dropped.
//! The last is why this is a guard: its `Drop` hands the post hooks to the background.

use std::{ops::Deref, sync::Arc};

use mortise_plugin_api::{End, HookId, Part, Payload, Request, Revision};

use super::{Pipelines, context::Contexts, outcome::Outcome, ran::Ran, run::Run};

/// What a post hook is shown when there is no answer to show: made of the pre payload and how the call ended.
pub type Substitute = fn(&dyn Payload, End) -> Box<dyn Payload>;

/// What keeps the pipelines of a pair: a pointer to them, or to what holds them.
pub trait Keep: Deref<Target = Pipelines> + Clone + Send + Sync + 'static {}

impl<T: Deref<Target = Pipelines> + Clone + Send + Sync + 'static> Keep for T {}

/// One event between its two hooks.
pub struct Pair<P: Keep = Arc<Pipelines>> {
    pub(super) pipelines: P,
    pub(super) before: HookId,
    pub(super) after: HookId,
    pub(super) request: Arc<Request>,
    pub(super) contexts: Contexts,
    pub(super) ran: Ran,
    payload: Option<Arc<Revision>>,
    substitute: Substitute,
}

impl<P: Keep> Pair<P> {
    /// A pair for `before` and its counterpart in the table.
    ///
    /// A hook without counterpart is its own; its post chain never runs.
    pub fn new(
        pipelines: P,
        before: HookId,
        request: impl Into<Arc<Request>>,
        contexts: Contexts,
        substitute: Substitute,
    ) -> Self {
        let after = pipelines.hooks.spec(before).and_then(|spec| spec.pair).unwrap_or(before);
        let request = request.into();
        Self { pipelines, before, after, request, contexts, ran: Ran::default(), payload: None, substitute }
    }

    /// Whether a plugin stands at the hook before.
    pub fn has_before(&self) -> bool {
        self.pipelines.chain(self.before).is_some()
    }

    /// Whether a plugin stands at the hook after.
    pub fn has_after(&self) -> bool {
        self.after != self.before && self.pipelines.chain(self.after).is_some()
    }

    /// The request.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Replaces the request by what is known of it now (another upstream after a plugin renamed the tool).
    pub fn set_request(&mut self, request: Arc<Request>) {
        self.request = request;
    }

    /// The request's memory.
    pub fn contexts_mut(&mut self) -> &mut Contexts {
        &mut self.contexts
    }

    /// Runs the hook before. When it blocks, the post hooks of those that ran have been told on return. When a plugin
    /// serves the call, its result takes the place of the upstream's answer: it goes to [`Pair::after`].
    pub async fn before(&mut self, payload: Arc<Revision>) -> Outcome {
        self.payload = Some(payload.clone());
        let Self { pipelines, before, request, contexts, ran, .. } = self;
        let Some(chain) = pipelines.chain(*before) else { return Outcome::default() };
        let run = Run { pipelines, request, end: End::Ok, before: &Ran::default(), part: Part::Whole };
        let running = contexts.running(*before, End::Ok, &payload);
        let mut outcome = chain.execute(&run, contexts, &payload, ran).await;
        running.finish(&mut outcome);
        if let Some(changed) = &outcome.changed {
            self.payload = Some(changed.clone());
        }
        if outcome.blocked.is_some() {
            self.tell(End::Blocked).await;
        }
        outcome
    }

    /// Runs the hook after on the upstream's answer.
    pub async fn after(&mut self, answer: Arc<Revision>) -> Outcome {
        self.run_after(End::Ok, answer).await
    }

    /// Runs the hook after on what there is to show of an event that ended so.
    pub async fn ended(&mut self, end: End, shown: Arc<Revision>) -> Outcome {
        self.run_after(end, shown).await
    }

    /// Runs the hook after where there is no answer: shows a substitute and how the call ended.
    ///
    /// What plugins change of the substitute counts unless the call is over for good; nothing blocks.
    pub async fn failed(&mut self, end: End) -> Outcome {
        let Some(payload) = self.payload.clone() else { return Outcome::default() };
        if !self.has_after() {
            self.ran = Ran::default();
            return Outcome::default();
        }
        self.run_after(end, Revision::new((self.substitute)(payload.payload(), end))).await
    }

    async fn tell(&mut self, end: End) {
        let _ = self.failed(end).await;
    }

    async fn run_after(&mut self, end: End, answer: Arc<Revision>) -> Outcome {
        self.over(end, answer, Part::Whole).await
    }

    /// Ends the pair by the hook after, which is shown this part of the answer.
    pub(super) async fn over(&mut self, end: End, answer: Arc<Revision>, part: Part<'_>) -> Outcome {
        self.payload = None;
        let ran = std::mem::take(&mut self.ran);
        if !self.has_after() {
            return Outcome::default();
        }
        let Self { pipelines, after, request, contexts, .. } = self;
        let Some(chain) = pipelines.chain(*after) else { return Outcome::default() };
        let run = Run { pipelines, request, end, before: &ran, part };
        let running = contexts.running(*after, end, &answer);
        let mut outcome = chain.execute(&run, contexts, &answer, &mut Ran::default()).await;
        running.finish(&mut outcome);
        outcome
    }

    /// Ends the pair and gives the request's memory back, for later hooks of the same request.
    pub fn into_contexts(mut self) -> Contexts {
        self.ran = Ran::default();
        std::mem::take(&mut self.contexts)
    }
}

impl<P: Keep> Drop for Pair<P> {
    fn drop(&mut self) {
        let Some(payload) = self.payload.take() else { return };
        if self.ran.is_empty() || !self.has_after() {
            return;
        }
        let pipelines = self.pipelines.clone();
        let (after, ran) = (self.after, std::mem::take(&mut self.ran));
        let (request, mut contexts) = (self.request.clone(), std::mem::take(&mut self.contexts));
        let substitute = self.substitute;
        let told = self.pipelines.background.spawn(async move {
            let Some(chain) = pipelines.chain(after) else { return };
            let run = Run {
                pipelines: &pipelines,
                request: &request,
                end: End::Cancelled,
                before: &ran,
                part: Part::Whole,
            };
            let answer = Revision::new(substitute(payload.payload(), End::Cancelled));
            let running = contexts.running(after, End::Cancelled, &answer);
            let mut outcome = chain.execute(&run, &mut contexts, &answer, &mut Ran::default()).await;
            running.finish(&mut outcome);
        });
        if !told {
            tracing::error!(request = &*self.request.id, "no room to run post hooks of a cancelled call");
        }
    }
}
