//! Instants as entries hold them: to the microsecond, in the years 1 to 9999.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use speedate::{
    DateTime, DateTimeConfig, MicrosecondsPrecisionOverflowBehavior, TimeConfigBuilder,
    TimestampUnit,
};

/// An instant, in microseconds since the Unix epoch.
///
/// The range and the resolution are those of Python's `datetime`, so the existing application can
/// read every instant that this type can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// Returns the instant so many microseconds after the epoch, if it is in range.
    pub(crate) fn from_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0)
            .contains(&micros)
            .then_some(Self(micros))
    }

    /// Returns the instant so long after this one, or the last one that an entry can name.
    pub(crate) fn after(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros).min(Self::MAX.0))
    }

    /// Returns microseconds since the epoch.
    pub(crate) fn micros(self) -> i64 {
        self.0
    }

    /// Returns the instant `seconds` and `nanoseconds` after the epoch, cut to the microsecond.
    /// Returns none if the nanoseconds make a second, or if the instant is out of range.
    pub fn from_parts(seconds: i64, nanoseconds: u32) -> Option<Self> {
        if nanoseconds >= 1_000_000_000 {
            return None;
        }
        let micros = seconds.checked_mul(1_000_000)?;
        Self::from_micros(micros.checked_add(i64::from(nanoseconds / 1_000))?)
    }

    /// Returns whole seconds since the epoch, rounded down, and the nanoseconds beyond them.
    pub fn parts(self) -> (i64, u32) {
        let nanoseconds = self.0.rem_euclid(1_000_000) * 1_000;
        (
            self.0.div_euclid(1_000_000),
            u32::try_from(nanoseconds).unwrap_or(0),
        )
    }

    /// Reads a date, a time and an offset, such as `2026-01-27T05:17:19.123456+00:00`. This reads all
    /// that Python's `isoformat()` writes, and nothing that its `fromisoformat()` refuses.
    /// `docs/entries.md` has the spellings.
    ///
    /// A time without an offset is refused, because it does not determine an instant.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        match date_time(bytes) {
            // `speedate` reads these, and Python does not: `z`, and the minus sign of Unicode.
            Some(_) if bytes.last() == Some(&b'z') || !bytes.is_ascii() => None,
            Some(local) => at_offset(&local, i64::from(local.time.tz_offset?) * 1_000_000),
            None => at_offset_to_the_second(bytes),
        }
    }
}

/// Returns the instant of a local time whose offset is so many microseconds.
fn at_offset(local: &DateTime, offset: i64) -> Option<Timestamp> {
    // `speedate` has a year 0, and Python has none.
    if local.date.year == 0 {
        return None;
    }
    let micros = local.timestamp().checked_mul(1_000_000)?;
    let micros = micros.checked_add(local.time.microsecond.into())?;
    Timestamp::from_micros(micros.checked_sub(offset)?)
}

/// Reads a time with an offset such as `+00:53:28`, in which Python writes the local time of a place
/// before it had a time zone. The offset is written like a time of the day.
#[cold]
fn at_offset_to_the_second(text: &[u8]) -> Option<Timestamp> {
    let sign = text.iter().rposition(|byte| matches!(byte, b'+' | b'-'))?;
    let (local, offset) = text.split_at_checked(sign)?;
    let (sign, offset) = match offset.split_first()? {
        (b'-', offset) => (-1, offset),
        (_, offset) => (1, offset),
    };
    let local = date_time(local)?;
    let offset = date_time(&[b"0001-01-01T", offset].concat())?.time;
    let is_one_offset = offset.tz_offset.is_none() && local.time.tz_offset.is_none();
    let micros = i64::from(offset.total_seconds()) * 1_000_000 + i64::from(offset.microsecond);
    is_one_offset.then(|| at_offset(&local, sign * micros))?
}

/// Reads a date and a time. Digits beyond the microsecond are cut off, as in Python.
fn date_time(text: &[u8]) -> Option<DateTime> {
    let config = TimeConfigBuilder::new()
        .microseconds_precision_overflow_behavior(MicrosecondsPrecisionOverflowBehavior::Truncate)
        .build();
    DateTime::parse_bytes_rfc3339_with_config(text, &config).ok()
}

/// Writes the form of Python's `isoformat()`: a fraction of six digits or none, and `+00:00`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = self.parts();
        // By default, `speedate` takes numbers far from 1970 for milliseconds.
        let config = DateTimeConfig {
            timestamp_unit: TimestampUnit::Second,
            ..DateTimeConfig::default()
        };
        let utc = DateTime::from_timestamp_with_config(seconds, nanoseconds / 1_000, &config);
        let utc = utc.map_err(|_| fmt::Error)?;
        // In pieces, each of which is one write: the formatting of numbers took a fifth of encoding.
        utc.date.fmt(f)?;
        f.write_str("T")?;
        utc.time.fmt(f)?;
        f.write_str("+00:00")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_as_python_does() {
        let cases = [
            (1_769_491_039_123_456, "2026-01-27T05:17:19.123456+00:00"),
            (1_769_491_039_000_000, "2026-01-27T05:17:19+00:00"),
            (-1, "1969-12-31T23:59:59.999999+00:00"),
            (Timestamp::MIN.0, "0001-01-01T00:00:00+00:00"),
            (Timestamp::MAX.0, "9999-12-31T23:59:59.999999+00:00"),
        ];
        for (micros, text) in cases {
            assert_eq!(Timestamp(micros).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp(micros)));
        }
    }

    #[test]
    fn reads_what_says_an_instant() {
        let instant = Timestamp(1_769_491_039_500_000);
        for text in [
            "2026-01-27T05:17:19.5+00:00",
            "2026-01-27T05:17:19.500000Z",
            "2026-01-27 05:17:19.5000009+00:00",
            "2026-01-27T00:17:19.5-05:00",
            "2026-01-27T10:47:19.5+05:30",
            "2026-01-27T10:47:19.5+0530",
            "2026-01-27T05:17:19.5-00:00",
            "2026-01-27_05:17:19,5Z",
            "2026-01-27t06:10:47.5+00:53:28",
            "2026-01-27T04:23:51.376544-00:53:28.123456",
            "2026-01-27T04:23:51.376544-00:53:28,1234569",
        ] {
            assert_eq!(Timestamp::parse(text), Some(instant), "{text}");
        }
    }

    #[test]
    fn refuses_what_does_not() {
        for text in [
            "",
            "yesterday",
            "2026-01-27",
            "2026-01-27T05:17:19",
            "2026-13-01T00:00:00+00:00",
            "2026-02-30T00:00:00+00:00",
            "0000-12-31T23:59:59+00:00",
            "9999-12-31T23:59:59-00:01",
            "1769491039",
            "2026-01-27T05:17:19z",
            "2026-01-27T05:17:19\u{2212}05:00",
            "2026-01-27T05:17:19+00:00 ",
            "0000-12-31T23:59:59-00:01",
            "2026-01-27T05:17:19+24:00",
            "2026-01-27T05:17:19+00:60",
            "2026-01-27T05:17:19+00:53:60",
            "2026-01-27T05:17:19+00:53:28Z",
            "2026-01-27T05:17:19+00:53:28+00:00",
            "2026-01-27T05:17:19+05:00+00:53:28",
            "2026-01-27T05:17:19Z+00:53:28",
            "2026-01-27T05:17:19+-00:53:28",
            "2026-01-27T05:17:19+00:53:28.",
            "+00:53:28",
            "+",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn survives_its_text_and_its_parts(micros in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let timestamp = Timestamp(micros);
            prop_assert_eq!(Timestamp::parse(&timestamp.to_string()), Some(timestamp));
            let (seconds, nanoseconds) = timestamp.parts();
            prop_assert_eq!(Timestamp::from_parts(seconds, nanoseconds), Some(timestamp));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = Timestamp::parse(&text);
        }

        #[test]
        fn any_parts_are_taken_or_refused(seconds: i64, nanoseconds: u32) {
            let _ = Timestamp::from_parts(seconds, nanoseconds);
        }
    }
}
