//! Counts hour by hour.

use std::fmt;

use super::Counts;
use crate::connection::Timestamp;

/// An hour in microseconds.
const MICROSECONDS: i64 = 3_600_000_000;

/// An hour of the clock, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour(Timestamp);

impl Hour {
    /// Returns the hour of an instant.
    pub fn of(instant: Timestamp) -> Self {
        let micros = instant.micros();
        let begins = Timestamp::from_micros(micros - micros.rem_euclid(MICROSECONDS));
        Self(begins.unwrap_or(Timestamp::MIN))
    }

    /// Returns the hour this many hours earlier.
    fn back(self, hours: u32) -> Self {
        let micros = self.0.micros() - i64::from(hours) * MICROSECONDS;
        Self(Timestamp::from_micros(micros).unwrap_or(Timestamp::MIN))
    }

    /// Returns the instant at which it begins.
    pub fn begins(self) -> Timestamp {
        self.0
    }
}

/// Writes the hour as in the name of its key: `2026-11-24T13`.
impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(':').next().unwrap_or_default())
    }
}

/// The counts of an hour, of all instances of all hosts that share the Redis and the key prefix.
#[expect(missing_docs, reason = "the names say it")]
pub struct HourStats {
    pub hour: Hour,
    pub counts: Counts,
}

/// A number of hours to look back: 1 to 48, because counts are kept that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours(u32);

impl Hours {
    /// One day.
    pub const DAY: Self = Self(24);

    /// All hours that are kept.
    pub const MAX: u32 = 48;

    /// Checks the range.
    pub fn new(hours: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&hours).then_some(Self(hours))
    }

    /// Returns the number.
    pub fn count(self) -> u32 {
        self.0
    }

    /// Returns the hours up to the last one, the oldest first.
    pub fn up_to(self, last: Hour) -> impl Iterator<Item = Hour> {
        (0..self.0).rev().map(move |hours| last.back(hours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_counted_back_over_midnight() {
        let instant = Timestamp::parse("2026-03-01T01:59:59.999999Z").unwrap();
        let hours = Hours::new(3).unwrap().up_to(Hour::of(instant));
        let names: Vec<_> = hours.map(|hour| hour.to_string()).collect();
        assert_eq!(names, ["2026-02-28T23", "2026-03-01T00", "2026-03-01T01"]);
        assert_eq!(
            Hour::of(instant).begins().to_string(),
            "2026-03-01T01:00:00+00:00"
        );
    }

    #[test]
    fn no_more_hours_are_asked_for_than_are_kept() {
        for (hours, there) in [(0, false), (1, true), (48, true), (49, false)] {
            assert_eq!(Hours::new(hours).is_some(), there, "{hours}");
        }
    }
}
