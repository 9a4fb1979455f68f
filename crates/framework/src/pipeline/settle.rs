//! What becomes of one plugin's answer: the mode and the hook decide whether it blocks, changes, or only counts.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use mortise_plugin_api::{Change, End, PluginError, Reply, Revision, Rule, Violation};

use super::{
    chain::{Chain, Step},
    outcome::{Blocked, Execution, Outcome, Status},
    policy::{Trouble, trouble_stops},
    run::Run,
};

impl Chain {
    /// Takes one plugin's answer into the outcome.
    pub(super) fn settle(
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
                let status = self.take_reply(step, run, original, reply, outcome);
                // An answer that could not be applied is an error like any other.
                if status == Status::Error {
                    step.failed();
                } else {
                    step.succeeded();
                }
                status
            }
            Err(error) => self.take_error(step, run, &error, outcome),
        };
        step.stats.count(status, took);
        outcome.executions.push(Execution::new(step.ix, status, took));
    }

    pub(super) fn take_reply(
        &self,
        step: &Step,
        run: &Run<'_>,
        original: &Arc<Revision>,
        reply: Reply,
        outcome: &mut Outcome,
    ) -> Status {
        if let Some(notes) = reply.notes {
            outcome.notes.push((step.ix, notes));
        }
        let mut status = Status::Pass;
        if let Some(violation) = reply.violation {
            // Where the upstream failed there is nothing left to withhold.
            let blocks = step.policy.blocks && self.spec.may.block && run.end == End::Ok && !run.is_over();
            step.instance.stats.violation(&violation.code, blocks);
            log_violation(step, run, &self.spec.name, &violation, blocks);
            if blocks {
                let plugin = step.instance.name.clone();
                outcome.blocked = Some(Box::new(Blocked { violation: *violation, plugin }));
                return Status::Block;
            }
            status = Status::WouldBlock;
        }
        let Some(change) = reply.change else { return status };
        if !step.policy.changes || !self.spec.may.change || run.is_over() {
            if step.left_out {
                log_undeclared(step, &self.spec.name);
            }
            return status;
        }
        let change = match change {
            Change::Serve(_) if !self.spec.serves => {
                let error = PluginError::InvalidAnswer("a call cannot be served at this hook".to_owned());
                return self.take_error(step, run, &error, outcome);
            }
            // Whoever stands later does not run: an answer ends the chain.
            Change::Serve(result) => {
                outcome.answer = Some(result);
                return Status::Serve;
            }
            change => change,
        };
        match self.apply(step, original, change, outcome) {
            Ok(true) if status == Status::Pass => Status::Change,
            Ok(_) => status,
            Err(error) => self.take_error(step, run, &error, outcome),
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
            // Taken before anything is applied.
            Change::Serve(_) => None,
        };
        let Some(changed) = changed else { return Ok(false) };
        outcome.change(Revision::new(changed));
        Ok(true)
    }

    pub(super) fn take_error(
        &self,
        step: &Step,
        run: &Run<'_>,
        error: &PluginError,
        outcome: &mut Outcome,
    ) -> Status {
        let name = &*step.instance.name;
        let blocks = step.policy.trouble == Trouble::Block
            && trouble_stops(&self.spec)
            && run.end == End::Ok
            && !run.is_over();
        step.instance.stats.error(error.kind());
        if step.policy.trouble == Trouble::PassAndDisable && !step.off.swap(true, Relaxed) {
            tracing::error!(plugin = name, hook = &*self.spec.name, %error, "plugin failed and is switched off");
        } else {
            tracing::warn!(plugin = name, hook = &*self.spec.name, request = &*run.request.id,
                traceparent = run.request.traceparent.as_deref(), %error, blocks,
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
        PluginError::Timeout(Duration::ZERO) => {
            format!("Plugin {plugin}: the time that plugins may take in a request is used up")
        }
        error => format!("Plugin {plugin}: {error}"),
    };
    Violation::new(code, reason).describe(description)
}

fn log_undeclared(step: &Step, hook: &str) {
    tracing::warn!(
        plugin = &*step.instance.name,
        hook,
        "plugin did not declare that it changes payloads and runs beside others: its change is left out"
    );
}

fn log_violation(step: &Step, run: &Run<'_>, hook: &str, violation: &Violation, blocks: bool) {
    let (plugin, request) = (&*step.instance.name, &*run.request.id);
    let traceparent = run.request.traceparent.as_deref();
    let Violation { code, reason, .. } = violation;
    if blocks {
        tracing::info!(plugin, hook, request, traceparent, code, reason, "call blocked");
    } else {
        tracing::info!(plugin, hook, request, traceparent, code, reason, "call would have been blocked");
    }
}
