//! Records of calls that are over, for plugins that collect them and for the database: made after the fact, without a
//! call waiting for it.
//!
//! One task takes them from a bounded queue, some at a time, shows them to plugins, and writes what is to be kept in
//! batches, one after another. What finds the queue full, and what a database that is away or too slow leaves no room for,
//! is dropped and counted. The task is started by the first record.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use jiff::Timestamp;
use mortise_framework::{Contexts, Status};
use mortise_mcp_transport::chain::Chain;
use mortise_plugin_api::{
    Hook, HookId, Json, Request, Revision,
    hooks::{RecordAnalytics, RecordBudgetUsage, RecordProxyLog, record::RecordPayload},
};
use mortise_store::{Kind, Record};
use serde_json::Value;
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{config::Records, snapshot::Snapshot, storage::Storage};

/// Calls whose records wait.
const QUEUE: usize = 1024;

/// Calls whose records are made at a time.
const AT_ONCE: usize = 16;

/// Records that are written at once.
const BATCH: usize = 256;

/// Records that wait to be written, at most.
const WAITING: usize = 4 * BATCH;

/// How long a record waits for others to be written with.
const LINGER: Duration = Duration::from_secs(1);

/// Which records somebody wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) log: bool,
    pub(super) analytics: bool,
    pub(super) budget: bool,
    /// Whether what is spent is added up, be it limited or not.
    pub(super) sums: bool,
}

impl Wanted {
    /// What plugins of a configuration want, and what is kept.
    pub(super) fn by(snapshot: &Snapshot, kept: &Records) -> Self {
        let stands = |hook| snapshot.pipelines.chain(hook).is_some();
        Self {
            log: kept.proxy_log || stands(RecordProxyLog::ID),
            analytics: kept.analytics || stands(RecordAnalytics::ID),
            budget: stands(RecordBudgetUsage::ID),
            sums: kept.budget_usage && !is_replaced(snapshot, RecordBudgetUsage::ID, kept),
        }
    }

    /// Whether there is a record to make.
    pub(super) fn any(self) -> bool {
        self.log || self.analytics || self.budget
    }
}

/// Whether a plugin stands at a hook that takes records in the database's place.
fn is_replaced(snapshot: &Snapshot, hook: HookId, kept: &Records) -> bool {
    let Some(chain) = snapshot.pipelines.chain(hook).filter(|_| !kept.replaced_by.is_empty()) else {
        return false;
    };
    chain.instances().any(|instance| kept.replaced_by.iter().any(|name| *name == *instance.name))
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
    storage: Arc<Storage>,
    tasks: TaskTracker,
    closing: CancellationToken,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// One that works on the runtime it is made in.
    pub(super) fn new(storage: Arc<Storage>) -> Self {
        Self {
            queue: OnceLock::new(),
            runtime: Handle::try_current().ok(),
            storage,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            dropped: Arc::default(),
        }
    }

    /// Has records made, if there is room.
    pub(super) fn put(&self, job: Job) {
        let queue = self.queue.get_or_init(|| {
            let (queue, jobs) = mpsc::channel(QUEUE);
            if let Some(runtime) = &self.runtime {
                let sink = Sink::new(self.storage.clone(), self.dropped.clone());
                self.tasks.spawn_on(work(jobs, sink, self.closing.clone()), runtime);
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

/// What is written to the database.
struct Sink {
    storage: Arc<Storage>,
    waiting: Vec<Record>,
    /// When those that wait are written at the latest.
    due: Instant,
    /// The batch that is being written.
    writing: JoinSet<()>,
    dropped: Arc<AtomicU64>,
}

impl Sink {
    fn new(storage: Arc<Storage>, dropped: Arc<AtomicU64>) -> Self {
        Self { storage, waiting: Vec::new(), due: Instant::now(), writing: JoinSet::new(), dropped }
    }

    fn put(&mut self, records: Vec<Record>) {
        if self.waiting.is_empty() {
            self.due = Instant::now() + LINGER;
        }
        let room = WAITING.saturating_sub(self.waiting.len());
        let surplus = records.len().saturating_sub(room);
        self.dropped.fetch_add(surplus as u64, Relaxed);
        self.waiting.extend(records.into_iter().take(room));
        if self.waiting.len() >= BATCH {
            self.write();
        }
    }

    /// Writes what waits, if nothing is being written.
    fn write(&mut self) {
        if self.waiting.is_empty() || !self.writing.is_empty() {
            return;
        }
        let (storage, dropped) = (self.storage.clone(), self.dropped.clone());
        let batch = std::mem::take(&mut self.waiting);
        self.writing.spawn(async move {
            let count = batch.len() as u64;
            let written = storage.write(move |store| async move { store.append(&batch, &[]).await });
            if let Err(error) = written.await {
                dropped.fetch_add(count, Relaxed);
                tracing::warn!(error = %Chain(&error), count, "records could not be written and are dropped");
            }
        });
    }
}

async fn work(mut jobs: mpsc::Receiver<Job>, mut sink: Sink, closing: CancellationToken) {
    let mut under_way = JoinSet::new();
    let mut open = true;
    while open || !under_way.is_empty() {
        tokio::select! {
            () = closing.cancelled(), if !jobs.is_closed() => jobs.close(),
            Some(made) = under_way.join_next(), if !under_way.is_empty() => sink.put(made.unwrap_or_default()),
            job = jobs.recv(), if open && under_way.len() < AT_ONCE => match job {
                Some(job) => drop(under_way.spawn(make(job, sink.storage.clone()))),
                None => open = false,
            },
            Some(_) = sink.writing.join_next(), if !sink.writing.is_empty() => {
                if sink.waiting.len() >= BATCH {
                    sink.write();
                }
            }
            () = sleep_until(sink.due), if !sink.waiting.is_empty() && sink.writing.is_empty() => sink.write(),
        }
    }
    while !sink.waiting.is_empty() || !sink.writing.is_empty() {
        sink.write();
        sink.writing.join_next().await;
    }
}

/// Shows records to plugins; gives back those that are to be kept.
async fn make(job: Job, storage: Arc<Storage>) -> Vec<Record> {
    let Job { snapshot, request, records } = job;
    let kept = &storage.settings().records;
    let mut contexts = Contexts::new();
    let mut keep = Vec::new();
    for (hook, record) in records {
        let kinds = [
            (RecordAnalytics::ID, Kind::Analytics, kept.analytics),
            (RecordProxyLog::ID, Kind::ProxyLog, kept.proxy_log),
        ];
        let kind =
            kinds.into_iter().find(|(id, _, is_kept)| *id == hook && *is_kept).map(|(_, kind, _)| kind);
        let mut replaced = false;
        if let Some(chain) = snapshot.pipelines.chain(hook) {
            let payload = Revision::new(Box::new(RecordPayload(Json::from(record.clone()))));
            let outcome = chain.run(&snapshot.pipelines, &request, &mut contexts, &payload).await;
            replaced = outcome.executions.iter().any(|execution| {
                let plugin = execution.plugin(&snapshot.pipelines);
                execution.status != Status::Error && kept.replaced_by.iter().any(|name| name == plugin)
            });
        }
        if let Some(kind) = kind.filter(|_| !replaced) {
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            let (app, llm) = (text("app"), text("llm"));
            keep.push(Record { kind, at: Timestamp::now().as_millisecond(), app, llm, document: record });
        }
    }
    keep
}
