//! What is measured of each LLM: atomics on the path, read out when somebody scrapes.

use std::{sync::Arc, time::Duration};

use mortise_framework::stats::descriptor;
use mortise_telemetry::{counts::Counts, histogram::Histogram, names};
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};

use super::{record::Recorder, table::Llm};

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It was answered.
    Ok = 0,
    /// A plugin blocked it, or its answer.
    Blocked = 1,
    /// The vendor answered with an error, or not at all.
    Error = 2,
    /// The vendor took too long.
    TimedOut = 3,
    /// The client left.
    Cancelled = 4,
    /// A budget or a rate was used up.
    Refused = 5,
}

const OUTCOMES: [&str; 6] = ["ok", "blocked", "error", "timeout", "cancelled", "refused"];
impl Came {
    /// A stable word.
    pub(super) fn word(self) -> &'static str {
        OUTCOMES[self as usize]
    }
}

const TOKENS: [&str; 2] = ["input", "output"];

/// Counters of one LLM.
#[derive(Debug, Default)]
pub(crate) struct LlmMetrics {
    outcomes: Counts<{ OUTCOMES.len() }>,
    duration: Histogram,
    first: Histogram,
    tokens: Counts<{ TOKENS.len() }>,
    /// In millionths.
    cost: Counts<1>,
    /// Further attempts, and requests that went to another LLM.
    again: Counts<2>,
}

impl LlmMetrics {
    pub(super) fn ended(&self, came: Came, took: Duration) {
        self.outcomes.add(came as usize, 1);
        self.duration.record(took);
    }

    pub(super) fn began(&self, after: Duration) {
        self.first.record(after);
    }

    pub(super) fn used(&self, input: u64, output: u64, micros: u64) {
        self.tokens.add(0, input);
        self.tokens.add(1, output);
        if micros > 0 {
            self.cost.add(0, micros);
        }
    }

    pub(super) fn retried(&self, elsewhere: bool) {
        self.again.add(usize::from(elsewhere), 1);
    }
}

/// One of an LLM's histograms.
type Of = fn(&LlmMetrics) -> &Histogram;

/// Shows the measurements of these LLMs.
pub(crate) fn encode(
    llms: &[Arc<Llm>],
    recorder: &Recorder,
    encoder: &mut DescriptorEncoder<'_>,
) -> std::fmt::Result {
    let mut metric = descriptor(encoder, &names::LLM_REQUESTS)?;
    for llm in llms {
        for (outcome, count) in OUTCOMES.iter().zip(llm.metrics.outcomes.totals()) {
            let labels = [("llm", &*llm.name), ("outcome", outcome)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    let durations: [(_, Of); 2] =
        [(&names::LLM_DURATION, |m| &m.duration), (&names::LLM_FIRST_BYTE, |m| &m.first)];
    for (name, of) in durations {
        let mut metric = descriptor(encoder, name)?;
        for llm in llms {
            let reading = of(&llm.metrics).read();
            metric.encode_family(&[("llm", &*llm.name)])?.encode_histogram::<NoLabelSet>(
                reading.sum.as_secs_f64(),
                reading.count(),
                &reading.seconds(),
                None,
            )?;
        }
    }
    let mut metric = descriptor(encoder, &names::LLM_TOKENS)?;
    for llm in llms {
        for (kind, count) in TOKENS.iter().zip(llm.metrics.tokens.totals()) {
            let labels = [("llm", &*llm.name), ("kind", kind)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    let mut metric = descriptor(encoder, &names::LLM_COST)?;
    for llm in llms {
        let [micros] = llm.metrics.cost.totals();
        let cost = micros as f64 / 1e6;
        metric.encode_family(&[("llm", &*llm.name)])?.encode_counter::<NoLabelSet, _, f64>(&cost, None)?;
    }
    let mut metric = descriptor(encoder, &names::LLM_RETRIES)?;
    for llm in llms {
        for (to, count) in ["same", "other"].iter().zip(llm.metrics.again.totals()) {
            let labels = [("llm", &*llm.name), ("to", to)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
    }
    descriptor(encoder, &names::RECORDS_DROPPED)?
        .encode_counter::<NoLabelSet, _, u64>(&recorder.dropped(), None)
}
