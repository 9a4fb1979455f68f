//! What the gateway measures of itself: atomics on the hot path, read out when somebody scrapes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{endpoints::metrics::EndpointMetrics, history::Outcome, spans::Spans};
use mortise_framework::stats::descriptor;
use mortise_mcp::envelope::method;
use mortise_plugin_api::End;
use mortise_telemetry::{counts::Counts, histogram::Histogram, names};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
};

/// Methods counted by name; the rest counts as `other`, so that clients cannot make up labels.
const METHODS: [&str; 14] = [
    method::TOOLS_CALL,
    method::INITIALIZE,
    method::PING,
    method::TOOLS_LIST,
    method::PROMPTS_LIST,
    method::PROMPTS_GET,
    method::RESOURCES_LIST,
    method::RESOURCES_READ,
    method::RESOURCES_TEMPLATES_LIST,
    method::RESOURCES_SUBSCRIBE,
    method::COMPLETION_COMPLETE,
    method::LOGGING_SET_LEVEL,
    method::SERVER_DISCOVER,
    "other",
];

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Answered.
    Ok = 0,
    /// Blocked by a plugin.
    Blocked = 1,
    /// Answered with an error.
    Error = 2,
}

const TALLIES: [&str; 3] = ["ok", "blocked", "error"];

#[derive(Debug, Default)]
struct MethodMetrics {
    outcomes: Counts<{ TALLIES.len() }>,
    duration: Histogram,
}

/// Counters of one upstream.
#[derive(Debug, Default)]
pub struct UpstreamMetrics {
    outcomes: Counts<{ UPSTREAM_OUTCOMES.len() }>,
}

const UPSTREAM_OUTCOMES: [&str; 4] = ["ok", "error", "timeout", "cancelled"];

impl UpstreamMetrics {
    /// Counts an answer.
    pub fn ok(&self) {
        self.outcomes.add(0, 1);
    }

    /// Counts a request without an answer.
    pub fn failed(&self, end: End) {
        let at = match end {
            End::TimedOut => 2,
            End::Cancelled => 3,
            _ => 1,
        };
        self.outcomes.add(at, 1);
    }
}

/// What the gateway measures.
#[derive(Debug, Default)]
pub struct GatewayMetrics {
    methods: [MethodMetrics; METHODS.len()],
    statuses: Counts<{ STATUSES.len() }>,
    /// Sessions that are open, as last counted.
    pub sessions: AtomicI64,
    /// Endpoints of plugins' own.
    pub(crate) endpoints: EndpointMetrics,
}

const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl GatewayMetrics {
    /// Counts a request.
    pub fn mcp(&self, name: &str, tally: Tally, took: Duration) {
        let at = METHODS.iter().position(|known| *known == name).unwrap_or(METHODS.len() - 1);
        self.methods[at].outcomes.add(tally as usize, 1);
        self.methods[at].duration.record(took);
    }

    /// Counts an HTTP answer.
    pub fn http(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, STATUSES.len()) - 1;
        self.statuses.add(class, 1);
    }
}

/// Shows the gateway's measurements to a metrics registry.
#[derive(Debug)]
pub struct GatewayCollector {
    /// What is measured.
    pub metrics: Arc<GatewayMetrics>,
    /// The current snapshot, for the upstreams and whether they can be reached.
    pub snapshots: Arc<crate::snapshot::Snapshots>,
    /// What changes the configuration.
    pub reloader: Arc<crate::reload::Reloader>,
    /// What requests are traced with.
    pub calls: Arc<crate::trace::Calls>,
    /// The surface for models.
    pub llm: Arc<crate::llm::LlmSurface>,
}

impl Collector for GatewayCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let metrics = &self.metrics;
        let mut metric = descriptor(&mut encoder, &names::MCP_REQUESTS)?;
        for (name, method) in METHODS.iter().zip(&metrics.methods) {
            for (outcome, count) in TALLIES.iter().zip(method.outcomes.totals()) {
                counter(&mut metric, &[("method", name), ("outcome", outcome)], count)?;
            }
        }
        let mut metric = descriptor(&mut encoder, &names::MCP_DURATION)?;
        for (name, method) in METHODS.iter().zip(&metrics.methods) {
            let reading = method.duration.read();
            metric.encode_family(&[("method", *name)])?.encode_histogram::<NoLabelSet>(
                reading.sum.as_secs_f64(),
                reading.count(),
                &reading.seconds(),
                None,
            )?;
        }
        let mut metric = descriptor(&mut encoder, &names::HTTP_REQUESTS)?;
        for (class, count) in STATUSES.iter().zip(metrics.statuses.totals()) {
            counter(&mut metric, &[("surface", "http"), ("status", class)], count)?;
        }
        self.upstreams(&mut encoder)?;
        self.reloads(&mut encoder)?;
        self.reloader.http().encode(&mut encoder)?;
        metrics.endpoints.encode(&mut encoder)?;
        crate::llm::metrics::encode(self.snapshots.load().llms.all(), &self.llm.recorder, &mut encoder)?;
        Spans::encode(self.calls.spans().map(|spans| &**spans), &mut encoder)?;
        descriptor(&mut encoder, &names::SESSIONS)?.encode_gauge(&metrics.sessions.load(Relaxed))?;
        let mut metric = descriptor(&mut encoder, &names::BUILD_INFO)?;
        metric.encode_family(&[("version", env!("CARGO_PKG_VERSION"))])?.encode_gauge(&1_i64)
    }
}

impl GatewayCollector {
    fn reloads(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let reloads = &self.reloader.metrics;
        let mut metric = descriptor(encoder, &names::RELOADS)?;
        for outcome in Outcome::ALL {
            metric
                .encode_family(&[("outcome", outcome.word())])?
                .encode_counter::<NoLabelSet, _, u64>(&reloads.count(outcome), None)?;
        }
        let in_order = i64::from(self.reloader.refused().is_none());
        descriptor(encoder, &names::RELOAD_SUCCESSFUL)?.encode_gauge(&in_order)?;
        descriptor(encoder, &names::RELOAD_LAST_SUCCESS)?.encode_gauge(&reloads.last_success())?;
        let number = i64::try_from(self.snapshots.load().number).unwrap_or(i64::MAX);
        descriptor(encoder, &names::SNAPSHOT)?.encode_gauge(&number)
    }

    fn upstreams(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let fleet = self.snapshots.load().catalogs.fleet.clone();
        let mut metric = descriptor(encoder, &names::UPSTREAM_UP)?;
        for upstream in fleet.upstreams() {
            let up = i64::from(upstream.live().is_some());
            metric.encode_family(&[("upstream", &*upstream.name)])?.encode_gauge(&up)?;
        }
        let mut metric = descriptor(encoder, &names::UPSTREAM_REQUESTS)?;
        for upstream in fleet.upstreams() {
            for (outcome, count) in UPSTREAM_OUTCOMES.iter().zip(upstream.metrics.outcomes.totals()) {
                counter(&mut metric, &[("upstream", &*upstream.name), ("outcome", outcome)], count)?;
            }
        }
        Ok(())
    }
}

fn counter(metric: &mut MetricEncoder<'_>, labels: &[(&str, &str); 2], count: u64) -> std::fmt::Result {
    metric.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
}
