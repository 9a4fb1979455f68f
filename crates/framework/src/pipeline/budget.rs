//! The time that all plugins together may take in one request.
//!
//! What counts is how long the request waited for plugins, so those that run at the same time count once, and the
//! upstream's time counts nothing. What was used goes with the request's [`Contexts`] from hook to hook; requests of one
//! batch each have their own. A post hook
//! that may only observe how a call ended is not held to it: it is there to tidy up, and has its own limit.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{context::Contexts, run::Run};

/// What is left of a request's time for plugins; nothing to keep where no budget is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget(Option<Duration>);

impl Budget {
    /// What is left at the start of a chain.
    #[inline]
    pub(super) fn left(run: &Run<'_>, contexts: &mut Contexts) -> Self {
        let whole = run.pipelines.settings.request_budget.filter(|_| !run.observing());
        Self(whole.map(|whole| whole.saturating_sub(contexts.waited.get_or_insert_default().time())))
    }

    /// How long a call may take whose plugin has this limit: zero where nothing is left.
    #[inline]
    pub(super) fn patience(self, limit: Duration) -> Duration {
        match self.0 {
            None => limit,
            Some(left) => limit.min(left),
        }
    }

    /// Takes away what was waited.
    #[inline]
    pub(super) fn spend(&mut self, time: Duration, contexts: &Contexts) {
        if let Some(left) = &mut self.0 {
            *left = left.saturating_sub(time);
            if let Some(waited) = &contexts.waited {
                waited.add(time);
            }
        }
    }
}

/// How long a request has waited for plugins, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Waited(AtomicU64);

impl Waited {
    fn time(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }

    fn add(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2), Relaxed);
    }
}

impl Clone for Waited {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Relaxed)))
    }
}
