//! The time of day.

use spin_sdk::wasip3::clocks::system_clock;

use crate::connection::Timestamp;

/// Returns the present moment by the host's clock. If an entry cannot name the year, this is the
/// last moment that it can name.
pub fn now() -> Timestamp {
    let now = system_clock::now();
    Timestamp::from_parts(now.seconds, now.nanoseconds).unwrap_or(Timestamp::MAX)
}
