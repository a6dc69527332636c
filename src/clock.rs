//! What time it is.

use spin_sdk::wasip3::clocks::system_clock;

use crate::timestamp::Timestamp;

/// The present moment, as the host's clock has it. A clock beyond the years
/// that an entry can name is taken for their end.
pub fn now() -> Timestamp {
    let now = system_clock::now();
    Timestamp::from_parts(now.seconds, now.nanoseconds).unwrap_or(Timestamp::MAX)
}
