//! Threads that connections are spread over, each with a runtime of its own.
//!
//! A request that stays on the thread its connection belongs to wakes no other thread and shares no queue, timer wheel
//! or poller with one; that is worth a sixth of a call's cost. What is shared between requests (connections to
//! upstreams, timers) is kept once per worker for the same reason: see `PerWorker`.
//!
//! Not for work that blocks: it would hold up every connection of its worker. What is not bound to a connection stays
//! on the runtime that started the workers.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Most workers; more cores than that share what is kept per worker.
const MAX: usize = 256;

thread_local! {
    /// The worker this thread is, from 1; 0 for every other thread.
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// How many workers suit this machine: one for each core this process may use.
#[must_use]
pub fn suitable() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX)
}

/// The threads. Dropped, they end at once, and with them what still runs there; [`Workers::stop`] waits for it.
#[derive(Debug)]
pub struct Workers {
    list: Vec<Worker>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    handle: Handle,
    /// Connections it has now.
    busy: Arc<AtomicUsize>,
    ended: oneshot::Receiver<()>,
}

impl Workers {
    /// Starts `count` threads, at least one.
    ///
    /// # Errors
    /// When the system gives no more threads or descriptors.
    pub fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let list = (1..=count.clamp(1, MAX)).map(|number| Worker::start(number, stop.clone()));
        Ok(Self { list: list.collect::<io::Result<_>>()?, stop })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Runs `task` on the worker that has the fewest; `tasks` knows of it.
    pub(crate) fn spawn<F>(&self, tasks: &TaskTracker, task: F) -> Option<JoinHandle<()>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let least = self.list.iter().min_by_key(|worker| worker.busy.load(Ordering::Relaxed))?;
        let busy = Busy::on(least);
        let task = async move {
            let _busy = busy;
            task.await;
        };
        Some(tasks.spawn_on(task, &least.handle))
    }

    /// Ends the threads and waits until they have ended.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for worker in std::mem::take(&mut self.list) {
            // An error means that the thread is gone already.
            let _ = worker.ended.await;
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Worker {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            WORKER.set(number);
            runtime.block_on(stop.cancelled_owned());
            drop(runtime);
            // Nobody may be waiting.
            let _ = end.send(());
        })?;
        Ok(Self { handle, busy: Arc::default(), ended })
    }
}

/// One task of a worker.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn on(worker: &Worker) -> Self {
        worker.busy.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&worker.busy))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One `T` for each worker and one for all other threads.
///
/// What every request takes a reference to is kept like this too: a count of references that all cores write to travels
/// between their caches with each request, twice.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[T]>);

impl<T: Default> Default for PerWorker<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T> PerWorker<T> {
    /// Each as `make` makes it.
    pub fn new(make: impl Fn() -> T) -> Self {
        Self((0..=suitable()).map(|_| make()).collect())
    }

    /// This thread's.
    #[inline]
    pub fn own(&self) -> &T {
        &self.0[WORKER.get() % self.0.len()]
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_go_where_the_fewest_are_and_end_with_the_workers() {
        let workers = Workers::start(3).unwrap();
        let tasks = TaskTracker::new();
        let (seen, mut numbers) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..6 {
            let seen = seen.clone();
            workers.spawn(&tasks, async move {
                let _ = seen.send(WORKER.get());
                std::future::pending::<()>().await;
            });
        }
        let mut found = Vec::new();
        for _ in 0..6 {
            found.push(numbers.recv().await.unwrap());
        }
        found.sort_unstable();
        assert_eq!(found, [1, 1, 2, 2, 3, 3]);
        workers.stop().await;
        tasks.close();
        tasks.wait().await;
    }

    #[test]
    fn each_worker_has_its_own() {
        let kept = PerWorker::<AtomicUsize>::default();
        kept.own().store(1, Ordering::Relaxed);
        WORKER.set(1);
        kept.own().store(2, Ordering::Relaxed);
        WORKER.set(0);
        let all: Vec<usize> = kept.all().map(|one| one.load(Ordering::Relaxed)).collect();
        assert_eq!(all[..2], [1, 2]);
    }
}
