//! OpenTelemetry spans of requests, hooks and plugins, and the trace they belong to.
//!
//! A request that is traced is followed like one that can be explained (`crate::trace`), and nothing is added to its way
//! but two numbers at its start. When it is over its spans are written, as they will be sent, behind those of others; a
//! task of its own sends what stands there. A queue that is full drops what comes, and counts it: no call waits for a collector. Without an
//! endpoint there is no queue and no task, and the caller's trace context goes on to upstreams as it came.

mod context;
mod export;
mod made;
mod wire;
mod write;

use std::{
    cell::RefCell,
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use mortise_framework::stats::descriptor;
use mortise_mcp_transport::{http::origin::OriginError, tls::TlsError};
use mortise_plugin_api::HookTable;
use mortise_telemetry::names;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use context::{Own, TraceContext};

use crate::{
    config::{Sampling, Telemetry},
    trace::FinishedCall,
};

/// Calls that are sent in one batch; so many in the queue wake the task before its time.
const BATCH: usize = 256;

/// Room that a thread keeps for writing the spans of its next call, in bytes.
const LONGEST_KEPT: usize = 64 << 10;

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpansError {
    /// The collector's URL is no address.
    #[error("the collector for spans has a URL that cannot be reached")]
    Collector(#[from] OriginError),
    /// The system's certificates cannot be read.
    #[error("cannot set up TLS to the collector for spans")]
    Tls(#[from] TlsError),
}

/// Why a span was not sent.
#[derive(Clone, Copy, Debug)]
enum Lost {
    /// Too many waited.
    QueueFull = 0,
    /// The collector did not answer, in several attempts.
    Unreachable = 1,
    /// The collector would not have it.
    Rejected = 2,
}

const REASONS: [&str; 3] = ["queue_full", "unreachable", "rejected"];

/// Spans on their way to a collector.
pub struct Spans {
    sampling: Sampling,
    hooks: Arc<HookTable>,
    queue: Mutex<Queue>,
    /// Calls that may wait.
    most: usize,
    ready: Notify,
    exported: AtomicU64,
    lost: [AtomicU64; REASONS.len()],
}

#[derive(Default)]
struct Queue {
    full: VecDeque<Batch>,
    filling: Batch,
    /// Calls in all of them.
    calls: usize,
    /// Bytes of the batch that was full last: the next one will hardly be larger.
    last: usize,
}

/// Spans of some calls, as they are sent.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    calls: usize,
    spans: u64,
}

impl Queue {
    /// Adds the spans of a call; whether a batch is full now.
    fn add(&mut self, written: &[u8], spans: u64) -> bool {
        if self.filling.bytes.capacity() == 0 {
            // Calls wait here for one another: none of them should move what the others wrote.
            self.filling.bytes.reserve(self.last.max(written.len()));
        }
        self.filling.bytes.extend_from_slice(written);
        self.filling.spans += spans;
        self.filling.calls += 1;
        self.calls += 1;
        let is_full = self.filling.calls == BATCH;
        if is_full {
            self.last = self.filling.bytes.len();
            self.full.push_back(std::mem::take(&mut self.filling));
        }
        is_full
    }

    /// Takes the oldest.
    fn take(&mut self) -> Option<Batch> {
        let oldest = self.full.pop_front().or_else(|| {
            let begun = self.filling.calls > 0;
            begun.then(|| std::mem::take(&mut self.filling))
        })?;
        self.calls -= oldest.calls;
        Some(oldest)
    }
}

impl Spans {
    fn new(telemetry: &Telemetry, hooks: Arc<HookTable>) -> Arc<Self> {
        Arc::new(Self {
            sampling: telemetry.sampling,
            hooks,
            queue: Mutex::default(),
            most: telemetry.queue,
            ready: Notify::new(),
            exported: AtomicU64::new(0),
            lost: Default::default(),
        })
    }

    /// Whether a request of this trace is traced; `said` is what its caller says.
    fn samples(&self, trace: [u8; 16], said: Option<bool>) -> bool {
        match said {
            Some(said) if self.sampling.follow_caller => said,
            // As all who sample by share do, so that they agree on a trace.
            _ => {
                let low = u128::from_be_bytes(trace) as u64 >> 1;
                self.sampling.ratio >= 1.0 || (low as f64) < self.sampling.ratio * (1_u64 << 63) as f64
            }
        }
    }

    /// Takes a call that is over.
    pub(crate) fn take(&self, call: &FinishedCall) {
        thread_local! {
            static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let spans = made::count(call);
        if self.waiting() >= self.most {
            return self.lose(Lost::QueueFull, spans);
        }
        WRITTEN.with_borrow_mut(|written| {
            written.clear();
            made::write(call, &self.hooks, written);
            if self.queue().add(written, spans) {
                self.ready.notify_one();
            }
            written.shrink_to(LONGEST_KEPT);
        });
    }

    /// Takes the oldest out of the queue.
    fn batch(&self) -> Option<Batch> {
        self.queue().take()
    }

    /// Calls that wait.
    fn waiting(&self) -> usize {
        self.queue().calls
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, why: Lost, spans: u64) {
        self.lost[why as usize].fetch_add(spans, Relaxed);
    }

    /// Shows what was counted to a metrics registry.
    pub(crate) fn encode(this: Option<&Self>, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut metric = descriptor(encoder, &names::SPANS_EXPORTED)?;
        if let Some(spans) = this {
            metric.encode_counter::<NoLabelSet, _, u64>(&spans.exported.load(Relaxed), None)?;
        }
        let mut metric = descriptor(encoder, &names::SPANS_DROPPED)?;
        for (reason, lost) in this.iter().flat_map(|spans| REASONS.iter().zip(&spans.lost)) {
            metric
                .encode_family(&[("reason", *reason)])?
                .encode_counter::<NoLabelSet, _, u64>(&lost.load(Relaxed), None)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Spans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spans").field("sampling", &self.sampling).finish_non_exhaustive()
    }
}

/// The task that sends spans.
#[derive(Debug)]
pub struct Exporter {
    spans: Arc<Spans>,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Exporter {
    /// Starts to send spans on the current runtime.
    ///
    /// # Errors
    /// When the collector's address cannot be one.
    pub fn start(telemetry: &Telemetry, hooks: Arc<HookTable>) -> Result<Self, SpansError> {
        let spans = Spans::new(telemetry, hooks);
        let stop = CancellationToken::new();
        let sender = export::Sender::new(telemetry)?;
        let work = export::run(spans.clone(), sender, telemetry.delay, stop.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(work));
        Ok(Self { spans, stop, task })
    }

    /// Where finished calls go.
    pub fn spans(&self) -> &Arc<Spans> {
        &self.spans
    }

    /// Sends what waits, for at most `patience`, and ends.
    pub async fn stop(self, patience: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(patience, self.task).await.is_err() {
            let left = self.spans.waiting();
            tracing::warn!(requests = left, "not all spans were sent before the end");
        }
    }
}

#[cfg(test)]
mod tests;
