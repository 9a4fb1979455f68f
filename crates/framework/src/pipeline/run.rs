//! Running one chain for one call.
//!
//! On this path a native plugin that lets a payload pass costs its match, its call and two clock readings: no
//! allocation, no lock, no timer.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use mortise_plugin_api::{
    Answer, Call, Change, Context, End, Part, PluginError, Reply, Request, Revision, Rule, Violation,
};
use smallvec::SmallVec;

use super::{
    Pipelines,
    chain::{Chain, Step},
    context::{Contexts, InstanceIx, Slots},
    isolate,
    outcome::{Blocked, Execution, Outcome, Status},
    policy::Trouble,
};

/// Instances whose hook before an event ran.
pub(crate) type Ran = SmallVec<[InstanceIx; 24]>;

/// What holds for one run of a chain.
pub(crate) struct Run<'a> {
    pub(crate) pipelines: &'a Pipelines,
    pub(crate) request: &'a Request,
    /// How the call has ended, for a hook after an event.
    pub(crate) end: End,
    /// For a hook after an event: who ran before it.
    pub(crate) before: &'a [InstanceIx],
}

impl Run<'_> {
    /// Whether answers count for nothing.
    fn observing(&self) -> bool {
        mortise_plugin_api::native::is_final(self.end)
    }

    fn wants(&self, step: &Step, payload: &Revision) -> bool {
        if self.observing() {
            return !step.instance.foreign && self.before.contains(&step.ix);
        }
        self.before.contains(&step.ix) || step.applies(self.request, payload.payload())
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
        let run = Run { pipelines, request, end: End::Ok, before: &[] };
        self.execute(&run, contexts, payload, &mut Ran::new()).await
    }

    pub(crate) async fn execute(
        &self,
        run: &Run<'_>,
        contexts: &mut Contexts,
        payload: &Arc<Revision>,
        ran: &mut Ran,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let mut measured = run.observing();
        if !measured && self.background.iter().any(|step| run.wants(step, payload)) {
            measured = true;
            outcome.blocked = self.too_large(payload);
            if outcome.blocked.is_some() {
                return outcome;
            }
        }
        self.start_background(run, contexts, payload, ran);
        let mut clock = Instant::now();
        for step in &self.serial {
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
            ran.push(step.ix);
            let mut slots = Slots { own: contexts.take(step.ix), patch: None };
            let result = match step.call(self, run, current, clock, slots.context(contexts.shared())) {
                Answer::Ready(result) => result,
                Answer::Later(future) => isolate::timed(step.timeout, future).await,
            };
            let now = Instant::now();
            let took = now - clock;
            clock = now;
            contexts.put(step.ix, slots.own);
            if step.policy.shares {
                contexts.merge(slots.patch);
            }
            // What nearly every call of nearly every plugin comes to.
            if took <= step.timeout && result.as_ref().is_ok_and(Reply::is_pass) {
                step.stats.count(Status::Pass, took);
                outcome.executions.push(Execution::new(step.ix, Status::Pass, took));
                continue;
            }
            self.settle(step, run, payload, result, took, &mut outcome);
            if outcome.blocked.is_some() || outcome.answer.is_some() {
                return outcome;
            }
        }
        if !self.concurrent.is_empty() {
            self.run_concurrent(run, contexts, payload, measured, ran, &mut outcome).await;
        }
        outcome
    }

    /// A payload over the limit is refused where a plugin would have looked at it, whatever the plugin's mode: an
    /// unguarded payload must not pass because it is large.
    fn too_large(&self, payload: &Revision) -> Option<Box<Blocked>> {
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

    async fn run_concurrent(
        &self,
        run: &Run<'_>,
        contexts: &mut Contexts,
        original: &Arc<Revision>,
        measured: bool,
        ran: &mut Ran,
        outcome: &mut Outcome,
    ) {
        let current = outcome.changed.clone().unwrap_or_else(|| original.clone());
        let steps: Vec<&Step> = self.concurrent.iter().filter(|step| run.wants(step, &current)).collect();
        if !steps.is_empty() && !measured {
            outcome.blocked = self.too_large(original);
            if outcome.blocked.is_some() {
                return;
            }
        }
        ran.extend(steps.iter().map(|step| step.ix));
        let mut slots: Vec<Slots> =
            steps.iter().map(|step| Slots { own: contexts.take(step.ix), patch: None }).collect();
        {
            let shared = contexts.shared();
            let mut pending: FuturesUnordered<_> = steps
                .iter()
                .zip(&mut slots)
                .map(|(step, slots)| async {
                    let started = Instant::now();
                    let answer = step.call(self, run, &current, started, slots.context(shared));
                    let result = answered(answer, step.timeout).await;
                    (*step, started.elapsed(), result)
                })
                .collect();
            while let Some((step, took, result)) = pending.next().await {
                self.settle(step, run, original, result, took, outcome);
                // The first refusal decides; dropping the others cancels them.
                if outcome.blocked.is_some() {
                    break;
                }
            }
        }
        for (step, slots) in steps.into_iter().zip(slots) {
            contexts.put(step.ix, slots.own);
            if step.policy.shares {
                contexts.merge(slots.patch);
            }
        }
    }

    /// Starts background plugins on the payload as it came in; they run also where a later plugin blocks.
    fn start_background(&self, run: &Run<'_>, contexts: &Contexts, payload: &Arc<Revision>, ran: &mut Ran) {
        for step in &self.background {
            if !run.wants(step, payload) {
                continue;
            }
            ran.push(step.ix);
            if step.instance.plugin().is_none() {
                step.count_error(&step.instance.why_unavailable(), Duration::ZERO);
                continue;
            }
            let (instance, stats) = (step.instance.clone(), step.stats.clone());
            let (request, shared, payload) =
                (run.request.clone(), contexts.shared().clone(), payload.clone());
            let (hook, end, timeout) = (self.spec.id, run.end, step.timeout);
            let started = run.pipelines.background.spawn(async move {
                let clock = Instant::now();
                let mut slots = Slots::default();
                let result = {
                    let context = slots.context(&shared);
                    let deadline = clock + timeout;
                    let host = &*instance.host;
                    let payload = &payload;
                    let request = &request;
                    let call = Call { hook, payload, part: Part::Whole, request, end, deadline, host };
                    answered(instance.call(call, context), timeout).await
                };
                match result {
                    Ok(reply) if reply.violation.is_some() => stats.count(Status::WouldBlock, clock.elapsed()),
                    Ok(_) => stats.count(Status::Pass, clock.elapsed()),
                    Err(error) => {
                        tracing::warn!(plugin = &*instance.name, request = &*request.id, %error, "background plugin failed");
                        instance.stats.error(error.kind());
                        stats.count(Status::Error, clock.elapsed());
                    }
                }
            });
            if !started {
                step.instance.stats.dropped.fetch_add(1, Relaxed);
            }
        }
    }

    /// Takes one plugin's answer into the outcome.
    fn settle(
        &self,
        step: &Step,
        run: &Run<'_>,
        original: &Arc<Revision>,
        result: Result<Reply, PluginError>,
        took: Duration,
        outcome: &mut Outcome,
    ) {
        let status = match result {
            Ok(reply) => {
                if took > step.timeout {
                    step.instance.stats.overruns.fetch_add(1, Relaxed);
                }
                self.take_reply(step, run, original, reply, outcome)
            }
            Err(error) => Some(self.take_error(step, run, &error, outcome)),
        };
        // An answer that could not be applied is an error like any other.
        let status = status.unwrap_or(Status::Error);
        step.stats.count(status, took);
        outcome.executions.push(Execution::new(step.ix, status, took));
    }

    fn take_reply(
        &self,
        step: &Step,
        run: &Run<'_>,
        original: &Arc<Revision>,
        reply: Reply,
        outcome: &mut Outcome,
    ) -> Option<Status> {
        if let Some(notes) = reply.notes {
            outcome.notes.push((step.ix, notes));
        }
        let mut status = Status::Pass;
        if let Some(violation) = reply.violation {
            // Where the upstream failed there is nothing left to withhold.
            let blocks = step.policy.blocks && self.spec.may.block && run.end == End::Ok;
            step.instance.stats.violation(&violation.code, blocks);
            log_violation(step, run, &self.spec.name, &violation, blocks);
            if blocks {
                let plugin = step.instance.name.clone();
                outcome.blocked = Some(Box::new(Blocked { violation: *violation, plugin }));
                return Some(Status::Block);
            }
            status = Status::WouldBlock;
        }
        let Some(change) = reply.change else { return Some(status) };
        if !step.policy.changes || !self.spec.may.change || run.observing() {
            return Some(status);
        }
        match self.apply(step, original, change, outcome) {
            Ok(true) if status == Status::Pass => Some(Status::Change),
            Ok(_) => Some(status),
            Err(error) => Some(self.take_error(step, run, &error, outcome)),
        }
    }

    /// Applies a change; says whether anything effectively changed.
    fn apply(
        &self,
        step: &Step,
        original: &Arc<Revision>,
        change: Change,
        outcome: &mut Outcome,
    ) -> Result<bool, PluginError> {
        let current = outcome.changed.as_ref().unwrap_or(original).payload();
        let changed = match change {
            Change::Answer(answer) if self.spec.rule == Rule::FirstAnswer => {
                outcome.answer = Some(answer);
                return Ok(true);
            }
            Change::Answer(answer) => {
                let applied = self.spec.apply(current, answer)?;
                if !applied.refused.is_empty() {
                    tracing::warn!(
                        plugin = &*step.instance.name,
                        hook = &*self.spec.name,
                        fields = applied.refused.join(", "),
                        "plugin tried to change what it may not at this hook"
                    );
                }
                applied.payload
            }
            Change::Text(edits) => {
                let edited = current.edited(&edits);
                Some(edited.map_err(|error| PluginError::InvalidAnswer(error.to_string()))?)
            }
        };
        let Some(changed) = changed else { return Ok(false) };
        outcome.changed = Some(Revision::new(changed));
        Ok(true)
    }

    fn take_error(&self, step: &Step, run: &Run<'_>, error: &PluginError, outcome: &mut Outcome) -> Status {
        let name = &*step.instance.name;
        let blocks = step.policy.trouble == Trouble::Block && self.spec.may.block && run.end == End::Ok;
        step.instance.stats.error(error.kind());
        if step.policy.trouble == Trouble::PassAndDisable && !step.off.swap(true, Relaxed) {
            tracing::error!(plugin = name, hook = &*self.spec.name, %error, "plugin failed and is switched off");
        } else {
            tracing::warn!(plugin = name, hook = &*self.spec.name, request = &*run.request.id, %error, blocks,
                "plugin gave no answer");
        }
        if blocks {
            let violation = error_violation(name, error);
            outcome.blocked = Some(Box::new(Blocked { violation, plugin: name.into() }));
        }
        Status::Error
    }
}

/// The violation an error becomes where it blocks.
fn error_violation(plugin: &str, error: &PluginError) -> Violation {
    let (code, reason) = match error {
        PluginError::Timeout(_) => ("PLUGIN_TIMEOUT", "Plugin timed out"),
        PluginError::Unavailable(_) => ("PLUGIN_UNAVAILABLE", "Plugin unavailable"),
        _ => ("PLUGIN_ERROR", "Plugin error"),
    };
    let description = match error {
        // Another program's words and a panic's message stay in the log: they may hold anything.
        PluginError::Panicked(_) => format!("Plugin {plugin} panicked"),
        error => format!("Plugin {plugin}: {error}"),
    };
    Violation::new(code, reason).describe(description)
}

fn log_violation(step: &Step, run: &Run<'_>, hook: &str, violation: &Violation, blocks: bool) {
    let (plugin, request) = (&*step.instance.name, &*run.request.id);
    let Violation { code, reason, .. } = violation;
    if blocks {
        tracing::info!(plugin, hook, request, code, reason, "call blocked");
    } else {
        tracing::info!(plugin, hook, request, code, reason, "call would have been blocked");
    }
}

impl Step {
    /// Calls the plugin. What answers at once never becomes a future.
    #[inline]
    fn call<'a>(
        &'a self,
        chain: &Chain,
        run: &'a Run<'_>,
        payload: &'a Arc<Revision>,
        clock: Instant,
        context: Context<'a>,
    ) -> Answer<'a> {
        if self.needs.is_none() && self.instance.plugin().is_some() {
            let reason = format!("it does not have the hook {}", chain.spec.name);
            return Answer::Ready(Err(PluginError::Unavailable(reason)));
        }
        let call = Call {
            hook: chain.spec.id,
            payload,
            part: Part::Whole,
            request: run.request,
            end: run.end,
            deadline: clock + self.timeout,
            host: &*self.instance.host,
        };
        self.instance.call(call, context)
    }

    fn count_error(&self, error: &PluginError, took: Duration) {
        self.instance.stats.error(error.kind());
        self.stats.count(Status::Error, took);
    }
}

async fn answered(answer: Answer<'_>, patience: Duration) -> Result<Reply, PluginError> {
    match answer {
        Answer::Ready(outcome) => outcome,
        Answer::Later(future) => isolate::timed(patience, future).await,
    }
}
