//! Plugins that have been replaced or taken out: each serves the requests that still know it, then ends.
//!
//! Who still knows an instance is told by a lease that every snapshot with the instance in it shares: the last one
//! dropped ends it. So nobody counts requests, and a request that lasts for an hour keeps the plugins it began with
//! for an hour, and no other ones. Each retired instance has one task here, owned and waited for at the end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::instance::Instance;

/// Ends instances that are no longer part of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supervisor {
    tasks: TaskTracker,
    draining: Arc<AtomicUsize>,
    closing: CancellationToken,
}

impl Supervisor {
    /// Ends an instance once nobody knows it any more, or (`at_once`) now, since it gets no more calls.
    pub(crate) fn retire(&self, instance: Arc<Instance>, at_once: bool, patience: Duration) {
        // Outside of an asynchronous runtime nothing can be awaited: the instance just goes.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (ended, life) = instance.into_life();
        let (draining, closing) = (Draining::new(&self.draining), self.closing.clone());
        self.tasks.spawn_on(
            async move {
                if !at_once {
                    tokio::select! {
                        () = ended.cancelled() => {}
                        () = closing.cancelled() => {}
                    }
                }
                life.stop(patience).await;
                drop(draining);
            },
            &runtime,
        );
    }

    /// Instances that have been retired and have not ended.
    pub(crate) fn draining(&self) -> usize {
        self.draining.load(Relaxed)
    }

    /// Waits at most `patience` for requests that still know a retired instance, then ends them all.
    pub(crate) async fn shutdown(&self, patience: Duration) {
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            self.closing.cancel();
            // Each of them has its own time limit.
            self.tasks.wait().await;
        }
    }
}

struct Draining(Arc<AtomicUsize>);

impl Draining {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count.clone())
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
