//! How long operations take.

/// The upper bounds of the buckets in microseconds, inclusive. One of them is the promise of 5 ms.
pub const BOUNDS: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000,
];

/// How many calls took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The calls in each bucket, without those in lower buckets. The last bucket has no bound.
    pub calls: [u64; BOUNDS.len() + 1],
    /// The sum of their times.
    pub microseconds: u64,
}

/// The times, in microseconds, within which 50, 95 and 99 % of the calls ended. They are estimates:
/// calls are taken to be spread evenly within a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percentiles {
    pub(crate) p50: u64,
    pub(crate) p95: u64,
    pub(crate) p99: u64,
}

impl Histogram {
    /// Counts one call.
    pub(super) fn record(&mut self, nanoseconds: u64) {
        let microseconds = nanoseconds / 1_000;
        // Rounds up, because a call that takes a little longer than a bound is not within it.
        let bucket = BOUNDS.partition_point(|bound| *bound < nanoseconds.div_ceil(1_000));
        self.calls[bucket] += 1;
        self.microseconds = self.microseconds.saturating_add(microseconds);
    }

    /// Adds the calls of another histogram.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, calls) in self.calls.iter_mut().zip(&other.calls) {
            *sum = sum.saturating_add(*calls);
        }
        self.microseconds = self.microseconds.saturating_add(other.microseconds);
    }

    /// Returns the number of calls.
    pub(crate) fn count(&self) -> u64 {
        self.calls.iter().copied().fold(0, u64::saturating_add)
    }

    /// Returns none without calls.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        (self.count() > 0).then(|| Percentiles {
            p50: self.percentile(50),
            p95: self.percentile(95),
            p99: self.percentile(99),
        })
    }

    fn percentile(&self, percent: u64) -> u64 {
        let count = self.count();
        let rank = count / 100 * percent + (count % 100 * percent).div_ceil(100);
        let (mut before, mut from) = (0, 0);
        for (calls, bound) in self.calls.iter().zip(BOUNDS) {
            let until = calls.saturating_add(before);
            if until >= rank {
                let share = (rank - before) as f64 / *calls as f64;
                return from + ((bound - from) as f64 * share) as u64;
            }
            (before, from) = (until, bound);
        }
        // All that is known of the slowest calls is that they took longer than this.
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(microseconds: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for one in microseconds {
            histogram.record(one * 1_000);
        }
        histogram
    }

    #[test]
    fn a_call_is_in_the_first_bucket_that_it_fits_into() {
        for (nanoseconds, bucket) in [
            (0, 0),
            (100_000, 0),
            (100_001, 1),
            (5_000_000, 5),
            (5_000_001, 6),
            (5_000_000_000, 14),
            (5_000_000_001, 15),
            (u64::MAX, 15),
        ] {
            let mut histogram = Histogram::default();
            histogram.record(nanoseconds);
            assert_eq!(histogram.calls[bucket], 1, "{nanoseconds}");
            assert_eq!(histogram.count(), 1);
        }
    }

    #[test]
    fn percentiles_are_in_the_bucket_of_their_rank() {
        assert_eq!(of(&[]).percentiles(), None);
        let many = |fast, slow| {
            let all = [vec![400; fast], vec![40_000; slow]].concat();
            of(&all).percentiles().expect("there are calls")
        };
        let Percentiles { p50, p95, p99 } = many(98, 2);
        assert!((250..=500).contains(&p50), "{p50}");
        assert!((250..=500).contains(&p95), "{p95}");
        assert!(p50 < p95);
        assert!((25_000..=50_000).contains(&p99), "{p99}");
        assert_eq!(many(0, 1).p50, 50_000);
        assert_eq!(of(&[9_000_000]).percentile(99), 5_000_000);
    }
}
