//! Running one chain for one call.
//!
//! On this path a native plugin that lets a payload pass costs its match, its call and two clock readings: no
//! allocation, no lock, no timer.

use std::{sync::Arc, time::Instant};

use mortise_plugin_api::{Answer, End, Part, Reply, Request, Revision, Violation};

use super::{
    Pipelines,
    at_once::Begun,
    budget::Budget,
    chain::{Chain, Step},
    context::{Contexts, Slots},
    outcome::{Blocked, Execution, Outcome, Status},
    ran::Ran,
    streamed,
};

/// What holds for one run of a chain.
pub(crate) struct Run<'a> {
    pub(crate) pipelines: &'a Pipelines,
    pub(crate) request: &'a Request,
    /// How the call has ended, for a hook after an event.
    pub(crate) end: End,
    /// For a hook after an event: who ran before it.
    pub(crate) before: &'a Ran,
    /// What part of the payload plugins are shown.
    pub(crate) part: Part<'a>,
}

impl Run<'_> {
    /// Whether answers count for nothing.
    pub(super) fn observing(&self) -> bool {
        mortise_plugin_api::native::is_final(self.end)
    }

    /// Whether everything has gone out that could be refused or changed.
    pub(super) fn is_over(&self) -> bool {
        self.observing() || matches!(self.part, Part::Complete)
    }

    pub(super) fn wants(&self, step: &Step, payload: &Revision) -> bool {
        if !streamed::takes(step, self.part) {
            return false;
        }
        if self.observing() {
            return !step.instance.foreign && self.before.has(step.place);
        }
        // An instance that a binding shares is called once, by whoever called it before.
        self.before.has(step.place)
            || (!step.twins.iter().any(|twin| self.before.has(*twin))
                && step.applies(self.request, payload.payload()))
    }
}

impl Chain {
    /// Runs the chain over `payload`.
    ///
    /// Dropping the future cancels the plugin that is being waited for; plugins that have answered are done.
    pub async fn run(
        &self,
        pipelines: &Pipelines,
        request: &Request,
        contexts: &mut Contexts,
        payload: &Arc<Revision>,
    ) -> Outcome {
        let (nobody, mut ran) = (Ran::default(), Ran::default());
        let run = Run { pipelines, request, end: End::Ok, before: &nobody, part: Part::Whole };
        let running = contexts.running(self.spec.id, End::Ok, payload);
        let mut outcome = self.execute(&run, contexts, payload, &mut ran).await;
        running.finish(&mut outcome);
        outcome
    }

    pub(crate) async fn execute(
        &self,
        run: &Run<'_>,
        contexts: &mut Contexts,
        payload: &Arc<Revision>,
        ran: &mut Ran,
    ) -> Outcome {
        let mut outcome = Outcome::begin(contexts.is_traced());
        let mut measured = run.observing();
        if !measured && self.background.candidates(run, payload).any(|step| run.wants(step, payload)) {
            measured = true;
            outcome.blocked = self.too_large(payload);
            if outcome.blocked.is_some() {
                return outcome;
            }
        }
        self.start_background(run, contexts, payload, ran);
        let mut clock = Instant::now();
        let mut budget = Budget::left(run, contexts);
        for stage in &self.stages {
            let mut wanted = stage.in_turn.wanted(run, outcome.changed.as_ref().unwrap_or(payload));
            while let Some(at) = wanted.next() {
                let Some(step) = stage.in_turn.get(at as usize) else { break };
                let current = outcome.changed.as_ref().unwrap_or(payload);
                if !run.wants(step, current) {
                    continue;
                }
                if !measured {
                    measured = true;
                    if let Some(blocked) = self.too_large(payload) {
                        outcome.blocked = Some(blocked);
                        return outcome;
                    }
                }
                ran.add(step.place);
                let patience = budget.patience(step.timeout);
                let mut slots = Slots { own: contexts.take(step.ix), patch: None };
                let context = slots.context(contexts.shared());
                let result = match step.call(self, run, current, clock, patience, context) {
                    Answer::Ready(result) => result,
                    Answer::Later(future) => step.wait(future, patience).await,
                };
                let now = Instant::now();
                let took = now - clock;
                clock = now;
                budget.spend(took, contexts);
                contexts.put(step.ix, slots.own);
                if step.policy.shares {
                    contexts.merge(slots.patch);
                }
                // What nearly every call of nearly every plugin comes to.
                if took <= step.timeout && result.as_ref().is_ok_and(Reply::is_pass) {
                    step.succeeded();
                    step.stats.count(Status::Pass, took);
                    outcome.executions.push(Execution::new(step.ix, Status::Pass, took));
                    continue;
                }
                self.settle(step, run, payload, result, took, &mut outcome);
                if outcome.blocked.is_some() || outcome.answer.is_some() {
                    return outcome;
                }
                if let Some(changed) = &outcome.changed {
                    wanted.renew(&stage.in_turn, run, changed, at);
                }
            }
            if !stage.at_once.is_empty() {
                let begun = Begun { run, original: payload, ran, measured: &mut measured };
                // In a box: a future that most chains never need must not make theirs larger.
                Box::pin(self.run_at_once(&stage.at_once, begun, contexts, &mut budget, &mut outcome)).await;
                if outcome.blocked.is_some() {
                    return outcome;
                }
                clock = Instant::now();
            }
        }
        outcome
    }

    /// A payload over the limit is refused where a plugin would have looked at it, whatever the plugin's mode: an
    /// unguarded payload must not pass because it is large.
    pub(super) fn too_large(&self, payload: &Revision) -> Option<Box<Blocked>> {
        let size = payload.payload().size();
        (size > self.limit).then(|| {
            let violation = Violation::new("PAYLOAD_TOO_LARGE", "Payload too large")
                .describe(format!("Payload of {size} bytes exceeds the limit of {} bytes", self.limit))
                .detail("size", size)
                .detail("limit", self.limit)
                .http_status(413);
            Box::new(Blocked { violation, plugin: "".into() })
        })
    }
}
