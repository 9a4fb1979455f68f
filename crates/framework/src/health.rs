//! Asking plugins whether they are well, at intervals: what is found is shown (`/ready`, metrics, lists of plugins).
//!
//! It only shows. What becomes of calls is decided by calls, through the circuit breaker and the mode: a plugin that
//! answers calls and fails its check goes on, and one that is well and fails calls is paused. One task for all; each
//! round asks the plugins of the configuration in force at that moment, at the same time and each with a deadline.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use crate::{
    instance::{Instance, State},
    load::Framework,
    pipeline::isolate::timed,
};

/// Longest time a plugin may take to say how it is, also where it may take longer for a call.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plugins asked at a time.
const AT_A_TIME: usize = 32;

impl Framework {
    /// Asks all plugins that run whether they are well, again and again as the configuration in force says. Never ends;
    /// whoever runs the program owns it.
    pub async fn watch_health(&self) {
        let mut asked = Instant::now();
        let mut changes = self.changes();
        loop {
            let interval = self.pipelines().settings().health_interval;
            // Another configuration may have another interval.
            let changed = changes.changed();
            match interval {
                None => {
                    let _ = changed.await;
                }
                Some(interval) => tokio::select! {
                    () = sleep_until(asked + interval) => {
                        self.check_health().await;
                        asked = Instant::now();
                    }
                    _ = changed => {}
                },
            }
        }
    }

    /// Asks all plugins that run whether they are well, once.
    pub async fn check_health(&self) {
        let pipelines = self.pipelines();
        let patience = pipelines.settings().plugin_timeout.min(PATIENCE);
        let ready = pipelines.all_instances().iter().filter(|instance| instance.state() == State::Ready);
        stream::iter(ready)
            .for_each_concurrent(AT_A_TIME, async |instance| drop(check(instance, patience).await))
            .await;
    }

    /// Asks one plugin whether it is well, and notes it; `None` where it is, or does not run.
    pub async fn check_health_of(&self, instance: &Arc<Instance>) -> Option<Arc<str>> {
        check(instance, self.pipelines().settings().plugin_timeout.min(PATIENCE)).await
    }
}

async fn check(instance: &Arc<Instance>, patience: Duration) -> Option<Arc<str>> {
    let plugin = instance.plugin()?;
    // The call itself may panic, not only the future it makes.
    let found = timed(patience, async { plugin.health().await }).await;
    let (name, unwell) = (&*instance.name, found.err().map(|error| Arc::from(error.to_string())));
    match (instance.set_unwell(unwell.clone()), &unwell) {
        (true, Some(reason)) => tracing::warn!(plugin = name, %reason, "plugin is not well"),
        (true, None) => tracing::info!(plugin = name, "plugin is well again"),
        (false, _) => {}
    }
    unwell
}

#[cfg(test)]
mod tests;
