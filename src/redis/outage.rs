//! How long a Redis that failed is left alone: the circuit breaker's clockwork. No I/O.

use super::Failure;

/// After the first failure: at most 100 ms, in nanoseconds.
const FIRST: u64 = 100_000_000;
/// However often it failed: at most 900 ms. With the time for the probe itself, Redis is in
/// use again within a second of its return.
const LONGEST: u64 = 900_000_000;

/// A Redis that failed, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// How it failed last.
    pub cause: Failure,
    /// When to probe it, by the monotonic clock, in nanoseconds.
    until: u64,
    /// The longest that it is left alone this time.
    pause: u64,
}

impl Outage {
    /// It failed at `now`, and did not before.
    pub fn begin(cause: Failure, now: u64) -> Self {
        Self::paused(cause, now, FIRST)
    }

    /// Its probe failed at `now` as well.
    pub fn go_on(self, cause: Failure, now: u64) -> Self {
        Self::paused(cause, now, LONGEST.min(self.pause * 2))
    }

    fn paused(cause: Failure, now: u64, pause: u64) -> Self {
        Self {
            cause,
            until: now + pause - jitter(now, pause / 2),
            pause,
        }
    }

    /// Whether it is time for a probe.
    pub fn is_over(&self, now: u64) -> bool {
        now >= self.until
    }
}

/// Some number below `limit`, so that the instances which saw the same failure do not probe
/// at the same moment. The nanosecond at which each saw it is random enough for that.
fn jitter(now: u64, limit: u64) -> u64 {
    now.wrapping_mul(0x9e37_79b9_7f4a_7c15) % limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_up_to_twice_the_last_from_50_ms_to_a_second() {
        const MILLISECOND: u64 = 1_000_000;
        for start in 0..1_000 {
            let mut now = start;
            let mut outage = Outage::begin(Failure::Timeout, now);
            for longest in [100, 200, 400, 800, 900, 900] {
                let (shortest, longest) = (longest * MILLISECOND / 2, longest * MILLISECOND);
                assert!(!outage.is_over(now + shortest), "{start}: {outage:?}");
                assert!(outage.is_over(now + longest), "{start}: {outage:?}");
                now += longest;
                outage = outage.go_on(Failure::Unreachable, now);
                assert_eq!(outage.cause, Failure::Unreachable);
            }
        }
    }

    #[test]
    fn pauses_differ() {
        let until = |now| Outage::begin(Failure::Timeout, now).until - now;
        let pauses: std::collections::BTreeSet<_> = (0..100).map(until).collect();
        assert!(pauses.len() > 90);
    }
}
