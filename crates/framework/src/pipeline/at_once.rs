//! Steps that run at the same time: the concurrent group, and the members of a band that do not change the payload.
//!
//! What they come to does not depend on who is polled when, as far as that can be had without waiting for the slow:
//! answers are taken in file order, and so are what plugins share and what they note. The first refusal ends it. Of
//! plugins that have answered by then the one that stands first in the file decides; the others' calls are cancelled,
//! and what they had begun to share is dropped. Those that answer without waiting are asked in file order, so where
//! such a one refuses, later ones are not called at all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use mortise_plugin_api::{Answer, End, Outcome as CallOutcome, Revision, Shared};

use super::{
    budget::Budget,
    chain::{Chain, Step},
    context::{Contexts, Slots},
    outcome::Outcome,
    policy::{Trouble, trouble_stops},
    ran::Ran,
    row::Row,
    run::Run,
};

/// A run of a chain that has come to this point.
pub(super) struct Begun<'a> {
    pub(super) run: &'a Run<'a>,
    /// The payload as it came in.
    pub(super) original: &'a Arc<Revision>,
    pub(super) ran: &'a mut Ran,
    /// Whether the payload's size was looked at.
    pub(super) measured: &'a mut bool,
}

/// What one call came to, and how long it took. `None` where it was not made or not waited for.
type Answered = Option<(Duration, CallOutcome)>;

impl Chain {
    /// Runs those of `steps` that want the call. Blocks the call where one of them does.
    pub(super) async fn run_at_once(
        &self,
        steps: &Row,
        begun: Begun<'_>,
        contexts: &mut Contexts,
        budget: &mut Budget,
        outcome: &mut Outcome,
    ) {
        let Begun { run, original, ran, measured } = begun;
        let current = outcome.changed.clone().unwrap_or_else(|| original.clone());
        let steps: Vec<&Step> =
            steps.candidates(run, &current).filter(|step| run.wants(step, &current)).collect();
        if steps.is_empty() {
            return;
        }
        if !std::mem::replace(measured, true) {
            outcome.blocked = self.too_large(original);
            if outcome.blocked.is_some() {
                return;
            }
        }
        let mut slots: Vec<Slots> =
            steps.iter().map(|step| Slots { own: contexts.take(step.ix), patch: None }).collect();
        let began = Instant::now();
        let calls = Calls { chain: self, run, payload: &current, shared: contexts.shared(), budget: *budget };
        let answers = calls.make(&steps, &mut slots, ran).await;
        budget.spend(began.elapsed(), contexts);
        for ((step, slots), answered) in steps.into_iter().zip(slots).zip(answers) {
            contexts.put(step.ix, slots.own);
            let Some((took, result)) = answered else { continue };
            if step.policy.shares {
                contexts.merge(slots.patch);
            }
            // The one that stands first decides.
            let decided = outcome.blocked.take();
            self.settle(step, run, original, result, took, outcome);
            outcome.blocked = decided.or(outcome.blocked.take());
        }
    }

    /// Whether an answer blocks the call.
    fn is_refusal(&self, step: &Step, run: &Run<'_>, result: &CallOutcome) -> bool {
        let refuses = match result {
            Ok(reply) => reply.violation.is_some() && step.policy.blocks && self.spec.may.block,
            Err(_) => step.policy.trouble == Trouble::Block && trouble_stops(&self.spec),
        };
        refuses && run.end == End::Ok && !run.is_over()
    }
}

/// Calls at the same time.
struct Calls<'a> {
    chain: &'a Chain,
    run: &'a Run<'a>,
    payload: &'a Arc<Revision>,
    shared: &'a Shared,
    budget: Budget,
}

impl Calls<'_> {
    /// Makes them and waits for all, or for the first refusal. An answer for each step.
    async fn make(&self, steps: &[&Step], slots: &mut [Slots], ran: &mut Ran) -> Vec<Answered> {
        let Self { chain, run, payload, shared, budget } = *self;
        let mut answers: Vec<Answered> = steps.iter().map(|_| None).collect();
        let mut waiting = FuturesUnordered::new();
        for (index, (step, slots)) in steps.iter().zip(slots).enumerate() {
            ran.add(step.place);
            let started = Instant::now();
            let patience = budget.patience(step.timeout);
            match step.call(chain, run, payload, started, patience, slots.context(shared)) {
                Answer::Ready(result) => {
                    let refused = chain.is_refusal(step, run, &result);
                    answers[index] = Some((started.elapsed(), result));
                    if refused {
                        return answers;
                    }
                }
                Answer::Later(future) => waiting.push(async move {
                    let result = step.wait(future, patience).await;
                    (index, started.elapsed(), result)
                }),
            }
        }
        let mut refused = false;
        loop {
            let next = if refused { waiting.next().now_or_never().flatten() } else { waiting.next().await };
            let Some((index, took, result)) = next else { return answers };
            refused |= chain.is_refusal(steps[index], run, &result);
            answers[index] = Some((took, result));
        }
    }
}
