//! OpenTelemetry spans of requests, hooks and plugins, and the trace they belong to.
//!
//! A request that is traced is followed like one that can be explained (`crate::trace`), and nothing is added to its way
//! but two numbers at its start. When it is over it goes into a queue; a task of its own makes spans of what stands there
//! and sends them. A queue that is full drops what comes, and counts it: no call waits for a collector. Without an
//! endpoint there is no queue and no task, and the caller's trace context goes on to upstreams as it came.

mod context;
mod export;
mod made;
mod wire;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use mortise_framework::{Happened, pipeline::trace::HookRun, stats::descriptor};
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

/// Finished calls on their way to a collector.
pub struct Spans {
    sampling: Sampling,
    queue: Mutex<Vec<FinishedCall>>,
    most: usize,
    ready: Notify,
    exported: AtomicU64,
    lost: [AtomicU64; REASONS.len()],
}

impl Spans {
    fn new(telemetry: &Telemetry) -> Arc<Self> {
        Arc::new(Self {
            sampling: telemetry.sampling,
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
        // Payloads are nothing for spans, and would be kept alive.
        let without = |run: &HookRun| HookRun {
            payload: None,
            changes: Vec::new(),
            executions: run.executions.clone(),
            blocked: run.blocked.clone(),
            ..*run
        };
        let happened = Happened {
            runs: call.happened.runs.iter().map(without).collect(),
            names: call.happened.names.clone(),
        };
        let call = FinishedCall {
            happened,
            request: call.request.clone(),
            method: call.method.clone(),
            subject: call.subject.clone(),
            context: call.context.clone(),
            ..*call
        };
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() >= self.most {
            drop(queue);
            self.lose(Lost::QueueFull, made::count(&call));
            return;
        }
        queue.push(call);
        if queue.len() == BATCH.min(self.most) {
            self.ready.notify_one();
        }
    }

    /// Takes the oldest out of the queue.
    fn batch(&self) -> Vec<FinishedCall> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let most = queue.len().min(BATCH);
        queue.drain(..most).collect()
    }

    fn waiting(&self) -> usize {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).len()
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
        let spans = Spans::new(telemetry);
        let stop = CancellationToken::new();
        let sender = export::Sender::new(telemetry)?;
        let work = export::run(spans.clone(), sender, hooks, telemetry.delay, stop.clone());
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

/// Attributes of all spans of this process.
fn resource(attributes: &BTreeMap<String, String>) -> wire::Resource {
    let own = [("service.version", env!("CARGO_PKG_VERSION")), ("telemetry.sdk.language", "rust")];
    let own = own.into_iter().filter(|(name, _)| !attributes.contains_key(*name));
    let given = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    wire::Resource {
        attributes: given.chain(own).map(|(name, value)| wire::KeyValue::new(name, value)).collect(),
    }
}

#[cfg(test)]
mod tests;
