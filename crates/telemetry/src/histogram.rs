//! A histogram of durations that is recorded without a lock.

use std::time::Duration;

use crate::counts::{Adder, Counts};

/// Upper bounds of the buckets in nanoseconds: from what a native plugin takes to what a slow upstream takes.
pub const BOUNDS_NS: [u64; 20] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    30_000_000_000,
];

/// Counts durations by bucket. Readers may see a count without its sum for a moment; nothing is ever lost.
#[derive(Debug, Default)]
pub struct Histogram {
    /// By bucket, then the sum in nanoseconds.
    counts: Counts<{ SUM + 1 }>,
}

/// Where the sum stands.
const SUM: usize = BOUNDS_NS.len() + 1;

/// What a histogram held at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Observations per bucket, not cumulative; the last has no upper bound.
    pub buckets: [u64; BOUNDS_NS.len() + 1],
    /// Sum of all observations.
    pub sum: Duration,
}

impl Histogram {
    /// Records one duration.
    pub fn record(&self, took: Duration) {
        self.record_as(Adder::this_thread(), took);
    }

    /// The same where this thread has been asked for already.
    pub fn record_as(&self, adder: Adder, took: Duration) {
        let ns = took.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(took.subsec_nanos()));
        let bucket = BOUNDS_NS.partition_point(|bound| *bound < ns);
        self.counts.add_as(adder, bucket, 1);
        self.counts.add_as(adder, SUM, ns);
    }

    /// What it holds now.
    pub fn read(&self) -> Reading {
        let counts = self.counts.totals();
        let buckets = std::array::from_fn(|at| counts[at]);
        Reading { buckets, sum: Duration::from_nanos(counts[SUM]) }
    }
}

impl Reading {
    /// How many observations there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Buckets as pairs of upper bound in seconds and count, the last bound infinite.
    pub fn seconds(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS_NS.iter().map(|ns| *ns as f64 / 1e9).chain([f64::MAX]);
        bounds.zip(self.buckets).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_land_in_the_bucket_whose_bound_they_do_not_exceed() {
        let histogram = Histogram::default();
        for ns in [0, 500, 501, 60_000_000_000] {
            histogram.record(Duration::from_nanos(ns));
        }
        let reading = histogram.read();
        assert_eq!((reading.buckets[0], reading.buckets[1], reading.buckets[20]), (2, 1, 1));
        assert_eq!((reading.count(), reading.sum), (4, Duration::from_nanos(60_000_001_001)));
    }
}
