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
    /// By bucket, then the sum in nanoseconds, then the extremes.
    counts: Counts<{ LEAST + 1 }>,
}

/// Where the sum stands.
const SUM: usize = BOUNDS_NS.len() + 1;
/// Where the longest stands, in nanoseconds.
const MOST: usize = SUM + 1;
/// Where the shortest stands, as what is missing to the largest number: so zero means that there is none yet.
const LEAST: usize = MOST + 1;

/// What a histogram held at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
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
        self.counts.raise_as(adder, MOST, ns);
        self.counts.raise_as(adder, LEAST, u64::MAX - ns);
    }

    /// What it holds now.
    pub fn read(&self) -> Reading {
        let counts = self.counts.totals();
        let buckets = std::array::from_fn(|at| counts[at]);
        Reading { buckets, sum: Duration::from_nanos(counts[SUM]) }
    }

    /// The shortest and the longest since the extremes were last forgotten; `None` where nothing was recorded.
    pub fn extremes(&self) -> Option<(Duration, Duration)> {
        let least = self.counts.highest(LEAST);
        let most = Duration::from_nanos(self.counts.highest(MOST));
        (least > 0).then(|| (Duration::from_nanos(u64::MAX - least), most))
    }

    /// Forgets the extremes, and nothing else: buckets and sum only grow.
    pub fn forget_extremes(&self) {
        self.counts.clear(LEAST);
        self.counts.clear(MOST);
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

    /// What came since an earlier reading of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            buckets: std::array::from_fn(|at| self.buckets[at].saturating_sub(earlier.buckets[at])),
            sum: self.sum.saturating_sub(earlier.sum),
        }
    }

    /// Both together, of two histograms.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            buckets: std::array::from_fn(|at| self.buckets[at] + other.buckets[at]),
            sum: self.sum + other.sum,
        }
    }

    /// The mean; zero where there is nothing.
    pub fn mean(&self) -> Duration {
        let count = u128::from(self.count().max(1));
        Duration::from_nanos(u64::try_from(self.sum.as_nanos() / count).unwrap_or(u64::MAX))
    }

    /// The duration that a share of `quantile` (0 to 1) of all observations did not exceed, as near as buckets tell:
    /// observations are taken to lie evenly within theirs. Beyond the last bound it is that bound, and zero where
    /// there is nothing.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let rank = quantile.clamp(0.0, 1.0) * self.count() as f64;
        let mut below = 0_u64;
        let mut lower = 0_u64;
        for (bound, count) in BOUNDS_NS.iter().zip(self.buckets) {
            if count > 0 && (below + count) as f64 >= rank {
                let share = ((rank - below as f64) / count as f64).clamp(0.0, 1.0);
                return Duration::from_nanos(lower + ((bound - lower) as f64 * share) as u64);
            }
            below += count;
            lower = *bound;
        }
        Duration::from_nanos(if self.count() == 0 { 0 } else { lower })
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

    #[test]
    fn extremes_are_exact_and_can_be_forgotten() {
        let histogram = Histogram::default();
        assert_eq!(histogram.extremes(), None);
        for ns in [700, 30, 12_345_678] {
            histogram.record(Duration::from_nanos(ns));
        }
        assert_eq!(histogram.extremes(), Some((Duration::from_nanos(30), Duration::from_nanos(12_345_678))));
        let before = histogram.read();
        histogram.forget_extremes();
        assert_eq!((histogram.extremes(), histogram.read()), (None, before));
    }

    #[test]
    fn quantiles_lie_in_the_bucket_of_their_rank() {
        let histogram = Histogram::default();
        for _ in 0..90 {
            histogram.record(Duration::from_nanos(800));
        }
        for _ in 0..10 {
            histogram.record(Duration::from_micros(400));
        }
        let reading = histogram.read();
        let (half, most) = (reading.quantile(0.5), reading.quantile(0.99));
        assert!((500..=1_000).contains(&half.as_nanos()), "{half:?}");
        assert!((250_000..=500_000).contains(&most.as_nanos()), "{most:?}");
        assert_eq!(reading.since(&reading).quantile(0.5), Duration::ZERO);
        assert_eq!(reading.mean(), Duration::from_nanos((90 * 800 + 10 * 400_000) / 100));
    }
}
