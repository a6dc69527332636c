//! How long an answer may be kept: `Cache-Control` (RFC 9111, section 5.2.2).

use std::time::Duration;

use spin_sdk::wasip3::http::types::Fields;

/// The lifetime that an answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// None: the configured lifetime applies.
    Unsaid,
    /// This lifetime, or less.
    MaxAge(Duration),
    /// The answer must not be kept. `no-cache` and an age beyond `max-age` mean the same here.
    NoStore,
}

impl Freshness {
    /// Reads the headers of a response. A repeated header counts as one list.
    pub(super) fn of(headers: &Fields) -> Self {
        let value = |name| headers.get(name).join(&b", "[..]);
        Self::parse(&value("cache-control"), &value("age"))
    }

    /// Reads `Cache-Control`, and `Age`, which is the part of the lifetime that has passed
    /// (RFC 9111, section 4.2.3).
    fn parse(cache_control: &[u8], age: &[u8]) -> Self {
        let mut freshness = Self::Unsaid;
        for directive in cache_control.split(|byte| *byte == b',') {
            let mut parts = directive.splitn(2, |byte| *byte == b'=');
            let name = parts.next().unwrap_or_default().trim_ascii();
            if name.eq_ignore_ascii_case(b"no-store") || name.eq_ignore_ascii_case(b"no-cache") {
                return Self::NoStore;
            }
            if name.eq_ignore_ascii_case(b"max-age") {
                // An invalid number counts as stale (RFC 9111, section 4.2.1).
                let seconds = seconds(parts.next().unwrap_or_default()).unwrap_or(0);
                freshness = match seconds.saturating_sub(self::seconds(age).unwrap_or(0)) {
                    0 => return Self::NoStore,
                    left => Self::MaxAge(Duration::from_secs(left.into())),
                };
            }
        }
        freshness
    }
}

/// Reads a number of seconds, with or without quotes. A number too large to count is as good as
/// infinite (RFC 9111, section 1.2.2).
fn seconds(value: &[u8]) -> Option<u32> {
    let value = value.trim_ascii();
    let bare = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    let digits = bare.unwrap_or(value);
    let number = digits.iter().try_fold(0_u32, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    });
    number.filter(|_| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read(cache_control: Vec<u8>, age: Vec<u8>) {
            let _ = Freshness::parse(&cache_control, &age);
        }
    }

    #[test]
    fn the_directives_are_read_as_the_rfc_says() {
        let seconds = |seconds| Freshness::MaxAge(Duration::from_secs(seconds));
        for (cache_control, age, freshness) in [
            ("", "", Freshness::Unsaid),
            ("private", "", Freshness::Unsaid),
            ("public, max-age=60", "", seconds(60)),
            ("MAX-AGE=60", "", seconds(60)),
            ("max-age=\"60\"", "", seconds(60)),
            (" max-age = 60 , private", "", seconds(60)),
            ("max-age=60", "20", seconds(40)),
            ("max-age=60", "60", Freshness::NoStore),
            ("max-age=60", "x", seconds(60)),
            ("max-age=99999999999999999999", "", seconds(u32::MAX.into())),
            ("max-age=0", "", Freshness::NoStore),
            ("max-age", "", Freshness::NoStore),
            ("max-age=-1", "", Freshness::NoStore),
            ("max-age=1.5", "", Freshness::NoStore),
            ("max-age=60, no-store", "", Freshness::NoStore),
            ("No-Store", "", Freshness::NoStore),
            ("no-cache", "", Freshness::NoStore),
            ("s-maxage=60, x-no-store", "", Freshness::Unsaid),
        ] {
            let read = Freshness::parse(cache_control.as_bytes(), age.as_bytes());
            assert_eq!(read, freshness, "{cache_control}; {age}");
        }
    }
}
