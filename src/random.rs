//! Numbers that no other instance draws.

use std::time::Duration;

use spin_sdk::wasip3::random::random;

/// Any number.
pub fn number() -> u64 {
    random::get_random_u64()
}

/// Some duration below this one, to the millisecond.
pub fn below(limit: Duration) -> Duration {
    let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(number().checked_rem(millis).unwrap_or(0))
}
