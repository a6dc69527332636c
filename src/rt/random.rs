//! Random numbers of the host: no two instances draw the same.

use std::time::Duration;

use spin_sdk::wasip3::random::random;

pub(crate) fn number() -> u64 {
    random::get_random_u64()
}

/// Draws a duration below `limit`, to the millisecond.
pub(crate) fn below(limit: Duration) -> Duration {
    let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(number().checked_rem(millis).unwrap_or(0))
}
