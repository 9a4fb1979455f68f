//! The background group: plugins that see the payload as it came in, beside the call and without influence on it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mortise_plugin_api::{
    Answer, Call, End, HookId, Outcome as CallOutcome, Part, Request, Revision, Shared,
};

use super::{
    chain::{Chain, Step},
    context::{Contexts, Slots},
    outcome::Status,
    policy::Trouble,
    ran::Ran,
    run::Run,
};
use crate::{breaker::Limits, instance::Instance, stats::HookStats};

impl Chain {
    /// Starts background plugins on the payload as it came in; they run also where a later plugin blocks.
    pub(super) fn start_background(
        &self,
        run: &Run<'_>,
        contexts: &Contexts,
        payload: &Arc<Revision>,
        ran: &mut Ran,
    ) {
        for step in self.background.candidates(run, payload) {
            if !run.wants(step, payload) {
                continue;
            }
            ran.add(step.place);
            let beside = Beside::of(step);
            if step.instance.plugin().is_none() {
                beside.settle(&run.request.id, &Err(step.instance.why_unavailable()), Duration::ZERO);
                continue;
            }
            let (request, payload) = (run.request.clone(), payload.clone());
            let (hook, end, shared) = (self.spec.id, run.end, contexts.shared().clone());
            let started = run.pipelines.background.spawn(async move {
                let clock = Instant::now();
                let result = beside.call(hook, end, &request, &payload, &shared).await;
                beside.settle(&request.id, &result, clock.elapsed());
            });
            if !started {
                step.instance.stats.dropped.fetch_add(1, Relaxed);
            }
        }
    }
}

/// A step as it goes on beside its call, and after it.
struct Beside {
    instance: Arc<Instance>,
    stats: Arc<HookStats>,
    limits: Limits,
    timeout: Duration,
    /// The switch to turn where an error switches the plugin off.
    off: Option<Arc<AtomicBool>>,
}

impl Beside {
    fn of(step: &Step) -> Self {
        Self {
            instance: step.instance.clone(),
            stats: step.stats.clone(),
            limits: step.breaker,
            timeout: step.timeout,
            off: (step.policy.trouble == Trouble::PassAndDisable).then(|| step.off.clone()),
        }
    }

    async fn call(
        &self,
        hook: HookId,
        end: End,
        request: &Request,
        payload: &Arc<Revision>,
        shared: &Shared,
    ) -> CallOutcome {
        let (instance, timeout) = (&*self.instance, self.timeout);
        let mut slots = Slots::default();
        let deadline = Instant::now() + timeout;
        let call = Call { hook, payload, part: Part::Whole, request, end, deadline, host: &*instance.host };
        match instance.call_guarded(self.limits, call, timeout, slots.context(shared)) {
            Answer::Ready(result) => result,
            Answer::Later(future) => instance.wait_guarded(self.limits, future, timeout, timeout).await,
        }
    }

    fn settle(&self, request: &str, result: &CallOutcome, took: Duration) {
        let plugin = &*self.instance.name;
        let status = match result {
            Ok(reply) => {
                self.instance.note_success(self.limits);
                if reply.violation.is_some() { Status::WouldBlock } else { Status::Pass }
            }
            Err(error) => {
                if self.off.as_ref().is_some_and(|off| !off.swap(true, Relaxed)) {
                    tracing::error!(plugin, request, %error, "background plugin failed and is switched off");
                } else {
                    tracing::warn!(plugin, request, %error, "background plugin failed");
                }
                self.instance.stats.error(error.kind());
                Status::Error
            }
        };
        self.stats.count(status, took);
    }
}
