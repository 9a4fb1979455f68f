//! Work that outlives the call that caused it: background plugins, and post hooks of calls whose client left.
//!
//! Bounded in number and owned: nothing is spawned that shutdown does not wait for.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Spawns a bounded number of tasks and waits for them at the end.
#[derive(Clone, Debug)]
pub struct Background {
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Background {
    /// Room for at most `limit` tasks at a time.
    pub fn new(limit: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(limit)), tasks: TaskTracker::new() }
    }

    /// Runs `task` if there is room, and says whether there was.
    ///
    /// Must be called within a tokio runtime; outside one, there is no room.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let Ok(place) = self.places.clone().try_acquire_owned() else { return false };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return false };
        self.tasks.spawn_on(
            async move {
                task.await;
                drop(place);
            },
            &runtime,
        );
        true
    }

    /// Tasks under way.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether no task is under way.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Takes no more tasks and waits for those under way, at most `patience`. Returns how many were left.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.places.close();
        self.tasks.close();
        let _ = tokio::time::timeout(patience, self.tasks.wait()).await;
        self.tasks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_beyond_the_limit_are_refused_and_the_rest_is_waited_for() {
        let background = Background::new(1);
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        assert!(background.spawn(async move {
            let _ = wait.await;
        }));
        assert!(!background.spawn(async {}));
        assert_eq!(background.len(), 1);
        drop(go);
        assert_eq!(background.drain(Duration::from_secs(5)).await, 0);
        assert!(!background.spawn(async {}), "nothing starts after draining");
    }
}
