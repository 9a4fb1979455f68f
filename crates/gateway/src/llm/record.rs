//! Records of calls that are over, for plugins that collect them: made after the fact, without a call waiting for it.
//!
//! One task takes them from a bounded queue, some at a time; what finds the queue full is dropped and counted. It is
//! started by the first record.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use mortise_framework::Contexts;
use mortise_plugin_api::{
    Hook, HookId, Json, Request, Revision,
    hooks::{RecordAnalytics, RecordBudgetUsage, RecordProxyLog, record::RecordPayload},
};
use serde_json::Value;
use tokio::{runtime::Handle, sync::mpsc, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::snapshot::Snapshot;

/// Calls whose records wait.
const QUEUE: usize = 1024;

/// Calls whose records are made at a time.
const AT_ONCE: usize = 16;

/// Which records somebody wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) log: bool,
    pub(super) analytics: bool,
    pub(super) budget: bool,
}

impl Wanted {
    /// What plugins of a configuration want.
    pub(super) fn by(snapshot: &Snapshot) -> Self {
        let stands = |hook| snapshot.pipelines.chain(hook).is_some();
        Self {
            log: stands(RecordProxyLog::ID),
            analytics: stands(RecordAnalytics::ID),
            budget: stands(RecordBudgetUsage::ID),
        }
    }

    pub(super) fn any(self) -> bool {
        self != Self::default()
    }
}

/// The records of one call.
pub(super) struct Job {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) request: Arc<Request>,
    pub(super) records: Vec<(HookId, Value)>,
}

/// Makes records.
#[derive(Debug)]
pub(crate) struct Recorder {
    queue: OnceLock<mpsc::Sender<Job>>,
    runtime: Option<Handle>,
    tasks: TaskTracker,
    closing: CancellationToken,
    dropped: AtomicU64,
}

impl Default for Recorder {
    /// One that works on the runtime it is made in.
    fn default() -> Self {
        Self {
            queue: OnceLock::new(),
            runtime: Handle::try_current().ok(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            dropped: AtomicU64::new(0),
        }
    }
}

impl Recorder {
    /// Has records made, if there is room.
    pub(super) fn put(&self, job: Job) {
        let queue = self.queue.get_or_init(|| {
            let (queue, jobs) = mpsc::channel(QUEUE);
            if let Some(runtime) = &self.runtime {
                self.tasks.spawn_on(work(jobs, self.closing.clone()), runtime);
            }
            queue
        });
        if queue.try_send(job).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Records that were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Takes no more, and waits for those that are on their way.
    pub(super) async fn stop(&self, patience: Duration) {
        self.closing.cancel();
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            tracing::warn!("records of the last calls were not made in time");
        }
    }
}

async fn work(mut jobs: mpsc::Receiver<Job>, closing: CancellationToken) {
    let mut under_way = JoinSet::new();
    loop {
        let job = tokio::select! {
            biased;
            job = jobs.recv() => job,
            () = closing.cancelled(), if !jobs.is_closed() => {
                jobs.close();
                continue;
            }
        };
        let Some(job) = job else { break };
        while under_way.len() >= AT_ONCE {
            under_way.join_next().await;
        }
        under_way.spawn(make(job));
    }
    while under_way.join_next().await.is_some() {}
}

async fn make(job: Job) {
    let Job { snapshot, request, records } = job;
    let mut contexts = Contexts::new();
    for (hook, record) in records {
        if let Some(chain) = snapshot.pipelines.chain(hook) {
            let payload = Revision::new(Box::new(RecordPayload(Json::from(record))));
            chain.run(&snapshot.pipelines, &request, &mut contexts, &payload).await;
        }
    }
}
