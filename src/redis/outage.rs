//! The clockwork of the circuit breaker: how long Redis is left alone after it failed. No I/O.

use super::error::Error;

/// The first pause is at most 100 ms, in nanoseconds.
const FIRST: u64 = 100_000_000;
/// No pause is longer than 900 ms. With the time of the probe, Redis is in use again within a second
/// of its return.
const LONGEST: u64 = 900_000_000;

/// A time in which Redis fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    /// The last error.
    pub(super) cause: Error,
    /// When to probe Redis, by the monotonic clock, in nanoseconds.
    until: u64,
    /// The upper bound of this pause.
    pause: u64,
}

impl Outage {
    /// Begins an outage with the first failure, at `now`.
    pub(super) fn begin(cause: Error, now: u64) -> Self {
        Self::paused(cause, now, FIRST)
    }

    /// Goes on after a probe that failed too, at `now`.
    pub(super) fn go_on(self, cause: Error, now: u64) -> Self {
        Self::paused(cause, now, LONGEST.min(self.pause * 2))
    }

    fn paused(cause: Error, now: u64, pause: u64) -> Self {
        Self {
            cause,
            until: now + pause - jitter(now, pause / 2),
            pause,
        }
    }

    /// Returns true when it is time for a probe.
    pub(super) fn is_over(&self, now: u64) -> bool {
        now >= self.until
    }
}

/// Returns a number below `limit`, so that instances which saw the same failure do not probe at the
/// same moment. The nanosecond at which each saw it is random enough.
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
            let mut outage = Outage::begin(Error::Timeout, now);
            for longest in [100, 200, 400, 800, 900, 900] {
                let (shortest, longest) = (longest * MILLISECOND / 2, longest * MILLISECOND);
                assert!(!outage.is_over(now + shortest), "{start}: {outage:?}");
                assert!(outage.is_over(now + longest), "{start}: {outage:?}");
                now += longest;
                outage = outage.go_on(Error::Unreachable, now);
                assert_eq!(outage.cause, Error::Unreachable);
            }
        }
    }

    #[test]
    fn pauses_differ() {
        let until = |now| Outage::begin(Error::Timeout, now).until - now;
        let pauses: std::collections::BTreeSet<_> = (0..100).map(until).collect();
        assert!(pauses.len() > 90);
    }
}
