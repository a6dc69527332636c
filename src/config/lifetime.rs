//! How long entries live, and shares of that time.

use std::num::NonZeroU32;
use std::time::Duration;

/// The longest lifetime of an entry: 30 days, in seconds.
pub const MAX_TTL_SECONDS: u32 = 2_592_000;

/// The lifetime of an entry: 1 to [`MAX_TTL_SECONDS`] seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(NonZeroU32);

impl Ttl {
    /// The lifetime unless configured: 5 minutes.
    pub(crate) const DEFAULT: Self = Self(NonZeroU32::MIN.saturating_add(299));

    /// Checks the range.
    pub fn from_seconds(seconds: u32) -> Option<Self> {
        NonZeroU32::new(seconds)
            .filter(|seconds| seconds.get() <= MAX_TTL_SECONDS)
            .map(Self)
    }

    pub(crate) fn seconds(self) -> u32 {
        self.0.get()
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(self.seconds().into())
    }
}

/// A share from 0 to 1, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share(u16);

impl Share {
    pub(crate) const WHOLE: Self = Self(1_000);

    pub(crate) const fn thousandths(thousandths: u16) -> Self {
        Self(thousandths)
    }

    /// Reads a decimal number with at most three places, such as `0.8`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
        let whole = match whole {
            "0" => 0,
            "1" => 1,
            _ => return None,
        };
        if !matches!(places.len(), 1..=3) {
            return None;
        }
        let mut places = places.bytes();
        let thousandths = (0..3).try_fold(whole, |number, _| match places.next() {
            Some(digit @ b'0'..=b'9') => Some(10 * number + u16::from(digit - b'0')),
            Some(_) => None,
            None => Some(10 * number),
        });
        thousandths.map(Self).filter(|share| *share <= Self::WHOLE)
    }

    /// Returns this share of a duration.
    pub(crate) fn of(self, whole: Duration) -> Duration {
        whole * u32::from(self.0) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_to_the_thousandth() {
        let second = Duration::from_secs(1);
        for (text, millis) in [
            ("0", 0),
            ("0.0", 0),
            ("0.8", 800),
            ("0.25", 250),
            ("0.125", 125),
            ("1", 1_000),
            ("1.000", 1_000),
        ] {
            let share = Share::parse(text).expect(text);
            assert_eq!(share.of(second), Duration::from_millis(millis));
        }
        for text in [
            "", ".5", "0.", "0.1234", "1.1", "2", "-0.5", "0.+1", "0,5", "80%", "00.5",
        ] {
            assert_eq!(Share::parse(text), None, "{text}");
        }
    }
}
