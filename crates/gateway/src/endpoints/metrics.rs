//! What is counted of endpoints, by plugin. Counters belong to the plugin's name and outlive its instances.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Instant,
};

use http::StatusCode;
use mortise_framework::stats::descriptor;
use mortise_telemetry::{counts::Counts, histogram::Histogram, names};
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};

const STATUSES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "cancelled"];

/// Counters of all plugins that were ever asked.
#[derive(Debug, Default)]
pub(crate) struct EndpointMetrics(RwLock<BTreeMap<Arc<str>, Arc<Counted>>>);

/// Counters of one plugin.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    statuses: Counts<{ STATUSES.len() }>,
    duration: Histogram,
    streams: AtomicI64,
}

impl EndpointMetrics {
    /// The counters of a plugin.
    pub(crate) fn of(&self, plugin: &Arc<str>) -> Arc<Counted> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(plugin) {
            return known.clone();
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(plugin.clone()).or_default().clone()
    }

    /// Writes them for a scrape.
    pub(crate) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut metric = descriptor(encoder, &names::ENDPOINT_REQUESTS)?;
        for (plugin, counted) in &*all {
            for (status, count) in STATUSES.iter().zip(counted.statuses.totals()) {
                metric
                    .encode_family(&[("plugin", &**plugin), ("status", status)])?
                    .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        let mut metric = descriptor(encoder, &names::ENDPOINT_DURATION)?;
        for (plugin, counted) in &*all {
            let reading = counted.duration.read();
            metric.encode_family(&[("plugin", &**plugin)])?.encode_histogram::<NoLabelSet>(
                reading.sum.as_secs_f64(),
                reading.count(),
                &reading.seconds(),
                None,
            )?;
        }
        let mut metric = descriptor(encoder, &names::ENDPOINT_STREAMS)?;
        for (plugin, counted) in &*all {
            metric.encode_family(&[("plugin", &**plugin)])?.encode_gauge(&counted.streams.load(Relaxed))?;
        }
        Ok(())
    }
}

impl Counted {
    /// Counts a request that is over; without a status its client left before it had one.
    pub(super) fn ended(&self, status: Option<StatusCode>, began: Instant) {
        let last = STATUSES.len() - 1;
        let at = status.map_or(last, |status| usize::from(status.as_u16() / 100).clamp(2, 5) - 2);
        self.statuses.add(at, 1);
        self.duration.record(began.elapsed());
    }

    pub(super) fn stream_begins(&self) {
        self.streams.fetch_add(1, Relaxed);
    }

    pub(super) fn stream_ends(&self) {
        self.streams.fetch_sub(1, Relaxed);
    }
}
