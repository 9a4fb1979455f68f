//! Latencies counted in buckets of about 1.6 % width: constant memory, exact enough for percentiles.

use std::time::Duration;

/// Sub-buckets of each power of two.
const SUB: usize = 64;
/// Powers of two that are told apart: up to 2^45 ns, nearly ten hours; longer counts as that.
const POWERS: usize = 40;

/// Latencies, counted.
#[derive(Clone)]
pub struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; SUB * POWERS].into(), count: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(latency);
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The latency that a share of `quantile` (0 to 1) did not exceed; zero where nothing was counted.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let rank = ((self.count as f64 * quantile).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper(index)).min(self.max);
            }
        }
        self.max
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count)
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max)
            .finish()
    }
}

/// Values below `SUB` have a bucket each; above, each power of two has `SUB` of them.
fn bucket(nanos: u64) -> usize {
    if nanos < SUB as u64 {
        return nanos as usize;
    }
    let power = 63 - nanos.leading_zeros() as usize;
    let sub = (nanos >> (power - SUB.ilog2() as usize)) as usize - SUB;
    ((power - SUB.ilog2() as usize + 1) * SUB + sub).min(SUB * POWERS - 1)
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    let (group, sub) = (index / SUB, index % SUB);
    match group {
        0 => sub as u64,
        _ => (((SUB + sub + 1) as u64) << (group - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_the_width_of_a_bucket() {
        let mut histogram = Histogram::default();
        for micros in 1..=10_000u64 {
            histogram.record(Duration::from_micros(micros));
        }
        for (quantile, micros) in [(0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (0.999, 9_990.0)] {
            let found = histogram.quantile(quantile).as_secs_f64() * 1e6;
            assert!((found / micros - 1.0).abs() < 0.02, "{quantile}: {found}");
        }
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(10));
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_are_in_order() {
        let mut last = 0;
        for shift in 0..50 {
            for nanos in [1u64 << shift, (1u64 << shift) + (1 << shift) / 3] {
                let index = bucket(nanos);
                assert!(index >= last, "{nanos}");
                assert!(upper(index) >= nanos || index == SUB * POWERS - 1, "{nanos}");
                last = index;
            }
        }
        let mut endless = Histogram::default();
        endless.record(Duration::MAX);
        assert_eq!(endless.quantile(0.5), Duration::from_nanos(upper(SUB * POWERS - 1)));
    }

    #[test]
    fn merged_histograms_count_as_one() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.record(Duration::from_micros(1));
        other.record(Duration::from_secs(1));
        one.merge(&other);
        assert_eq!((one.count(), one.max()), (2, Duration::from_secs(1)));
    }
}
