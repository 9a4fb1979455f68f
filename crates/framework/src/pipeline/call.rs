//! Making one call of one plugin: under its breaker, within its time, and counting what fails.
//!
//! What counts as a failure of the plugin is decided here: an error, a panic, a time-out, an answer that is none, and
//! a service that a native plugin finds away. Not a violation, which is an answer; not the time-out of a call that got
//! less time than the plugin's own limit because others had used the request's up; not that it never started, which no
//! pause will change; and not that a foreign plugin is away: its runtime knows, makes calls wait for nothing, and
//! brings it back with pauses of its own, to which another one would only add.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mortise_plugin_api::{Answer, Call, Context, Fut, Outcome as CallOutcome, PluginError, Revision};

use super::{
    chain::{Chain, Step},
    isolate,
    run::Run,
};
use crate::{
    breaker::{self, Admission, Limits, Probed},
    instance::Instance,
};

impl Step {
    /// Calls the plugin, which has `patience` to answer. What answers at once never becomes a future.
    #[inline]
    pub(super) fn call<'a>(
        &'a self,
        chain: &Chain,
        run: &'a Run<'_>,
        payload: &'a Arc<Revision>,
        clock: Instant,
        patience: Duration,
        context: Context<'a>,
    ) -> Answer<'a> {
        if self.needs.is_none() && self.instance.plugin().is_some() {
            let reason = format!("it does not have the hook {}", chain.spec.name);
            return Answer::Ready(Err(PluginError::Unavailable(reason)));
        }
        if patience.is_zero() {
            return Answer::Ready(Err(PluginError::Timeout(patience)));
        }
        let call = Call {
            hook: chain.spec.id,
            payload,
            part: run.part,
            request: run.request,
            end: run.end,
            deadline: clock + patience,
            host: &*self.instance.host,
        };
        self.instance.call_guarded(self.breaker, call, patience, context)
    }

    /// Waits for an answer, `patience` at most.
    pub(super) fn wait<'a>(
        &'a self,
        future: Fut<'a, CallOutcome>,
        patience: Duration,
    ) -> impl Future<Output = CallOutcome> + 'a {
        self.instance.wait_guarded(self.breaker, future, patience, self.timeout)
    }

    /// The plugin gave an answer: what failed before is not in a row with what fails later.
    #[inline]
    pub(super) fn succeeded(&self) {
        self.instance.note_success(self.breaker);
    }

    /// The plugin gave an answer that turned out to be none.
    pub(super) fn failed(&self) {
        self.instance.count_failure(self.breaker);
    }
}

impl Instance {
    /// Calls the plugin unless its breaker is open.
    #[inline]
    pub(super) fn call_guarded<'a>(
        &'a self,
        limits: Limits,
        call: Call<'a>,
        patience: Duration,
        context: Context<'a>,
    ) -> Answer<'a> {
        if self.breaker().switch.is_closed() || !limits.is_on() {
            let answer = self.call(call, context);
            if let Answer::Ready(Err(error)) = &answer
                && self.counts(error)
            {
                self.count_failure(limits);
            }
            return answer;
        }
        self.call_tripped(limits, call, patience, context)
    }

    #[cold]
    fn call_tripped<'a>(
        &'a self,
        limits: Limits,
        call: Call<'a>,
        patience: Duration,
        context: Context<'a>,
    ) -> Answer<'a> {
        match self.breaker().switch.admit(breaker::now()) {
            Admission::Through => self.call(call, context),
            Admission::Refused => {
                Answer::Ready(Err(PluginError::Unavailable(self.breaker().read().refusal())))
            }
            Admission::Probe => {
                let mut probe = Probe { instance: self, limits, probed: Probed::Abandoned };
                match self.call(call, context) {
                    Answer::Ready(result) => {
                        probe.ended(&result);
                        Answer::Ready(result)
                    }
                    Answer::Later(future) => {
                        // The timer is set before that of whoever waits for this, so that it is the first to go off
                        // and a time-out is not taken for a request that was given up.
                        let timed = isolate::timed(patience, future);
                        Answer::Later(Box::pin(async move {
                            let result = timed.await;
                            probe.ended(&result);
                            drop(probe);
                            result
                        }))
                    }
                }
            }
        }
    }

    /// Waits for an answer at most `patience`, of a plugin whose own time limit is `limit`.
    pub(super) async fn wait_guarded(
        &self,
        limits: Limits,
        future: Fut<'_, CallOutcome>,
        patience: Duration,
        limit: Duration,
    ) -> CallOutcome {
        let result = isolate::timed(patience, future).await;
        if let Err(error) = &result {
            let cut_short = matches!(error, PluginError::Timeout(_)) && patience < limit;
            if !cut_short && self.counts(error) {
                self.count_failure(limits);
            }
        }
        result
    }

    /// Whether this is a failure of the plugin, and not only its absence.
    #[cold]
    fn counts(&self, error: &PluginError) -> bool {
        !(self.foreign && matches!(error, PluginError::Unavailable(_)))
    }

    #[inline]
    pub(super) fn note_success(&self, limits: Limits) {
        if !self.breaker().switch.is_clear() {
            self.count_success(limits);
        }
    }

    /// Counts a failure of the running plugin, and opens its breaker where that was one too many.
    #[cold]
    fn count_failure(&self, limits: Limits) {
        if !limits.is_on() || self.plugin().is_none() {
            return;
        }
        let now = breaker::now();
        if self.breaker().switch.failed(limits, now) {
            self.note_opened(now);
        }
    }

    #[cold]
    fn count_success(&self, limits: Limits) {
        let switch = &self.breaker().switch;
        if limits.is_on() { switch.passed() } else { switch.reset() }
    }

    fn note_opened(&self, now: u64) {
        self.breaker().note_change(now);
        self.stats.breaker_opened();
        let reading = self.breaker().read();
        tracing::error!(
            plugin = &*self.name,
            failures = reading.failures,
            seconds = reading.remaining.as_secs_f64(),
            "circuit breaker opened: the plugin is not called for a while"
        );
    }
}

/// The one call a half-open breaker lets through. Dropped before it ended, the next call is the probe.
struct Probe<'a> {
    instance: &'a Instance,
    limits: Limits,
    probed: Probed,
}

impl Probe<'_> {
    fn ended(&mut self, result: &CallOutcome) {
        self.probed = match result {
            Ok(_) => Probed::Passed,
            Err(error) if self.instance.counts(error) => Probed::Failed,
            Err(_) => Probed::Abandoned,
        };
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        let (breaker, now) = (self.instance.breaker(), breaker::now());
        breaker.switch.settle(self.probed, self.limits, now);
        match self.probed {
            Probed::Passed => {
                breaker.note_change(now);
                tracing::info!(
                    plugin = &*self.instance.name,
                    "circuit breaker closed: the plugin answers again"
                );
            }
            Probed::Failed => self.instance.note_opened(now),
            Probed::Abandoned => {}
        }
    }
}
