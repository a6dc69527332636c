//! How long an answer may be kept (RFC 9111), and for how long after that it may answer while the origin
//! fails (RFC 5861). This cache is a shared one: it answers many callers.
//!
//! docs/read-through.md has the rules as a table.

use std::time::Duration;

use super::http_date;

/// The lifetime that an answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// None: the configured lifetime applies.
    Unsaid,
    /// This lifetime, or less.
    MaxAge(Duration),
    /// The answer must not be kept. `no-cache`, and an age beyond its lifetime, mean the same here.
    NoStore,
}

/// What an answer says of its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheControl {
    pub(crate) freshness: Freshness,
    /// The longest time that it may answer beyond its lifetime while the origin fails. None if it does
    /// not say.
    pub(crate) stale_if_error: Option<Duration>,
}

impl CacheControl {
    /// Reads the headers of a response that was received at `now`, in seconds since 1970. `header`
    /// returns the values of a header, one for each line.
    pub(super) fn read(header: impl Fn(&str) -> Vec<Vec<u8>>, now: u64) -> Self {
        let lines = header("cache-control").join(&b","[..]);
        let Some(directives) = Directives::parse(&lines) else {
            return Self::NO_STORE;
        };
        let forbids = directives.has("no-cache")
            || directives.has("private")
            // We know what the statuses mean that we store (section 5.2.2.3).
            || directives.has("no-store") && !directives.has("must-understand")
            || directives.is_empty() && has_no_cache(&header("pragma"));
        if forbids {
            return Self::NO_STORE;
        }
        // For a shared cache, `s-maxage` overrides `max-age`, and that `Expires` (section 4.2.1).
        let lifetime = directives
            .seconds("s-maxage")
            .or_else(|| directives.seconds("max-age"))
            .map(u64::from)
            .or_else(|| expires(&header("expires"), &header("date"), now));
        let freshness = match lifetime {
            None => Freshness::Unsaid,
            Some(seconds) => match seconds.saturating_sub(age(&header("age"))) {
                0 => return Self::NO_STORE,
                left => Freshness::MaxAge(Duration::from_secs(left)),
            },
        };
        // These forbid stale answers, the last one by its meaning for shared caches (section 4.2.4).
        let must_revalidate = ["must-revalidate", "proxy-revalidate", "s-maxage"];
        let stale_if_error = match must_revalidate.iter().any(|name| directives.has(name)) {
            true => Some(0),
            false => directives.seconds("stale-if-error"),
        };
        Self {
            freshness,
            stale_if_error: stale_if_error.map(|seconds| Duration::from_secs(seconds.into())),
        }
    }

    const NO_STORE: Self = Self {
        freshness: Freshness::NoStore,
        stale_if_error: Some(Duration::ZERO),
    };
}

/// The directives of `Cache-Control`, each with the argument it has.
struct Directives<'a>(Vec<(&'a [u8], Option<&'a [u8]>)>);

impl<'a> Directives<'a> {
    /// Returns none if a quoted string does not end, and may hide a directive.
    fn parse(list: &'a [u8]) -> Option<Self> {
        let (mut quoted, mut escaped) = (false, false);
        let mut ends = |byte: &u8| {
            let literal = escaped;
            escaped = quoted && !literal && *byte == b'\\';
            quoted ^= *byte == b'"' && !literal;
            *byte == b',' && !quoted
        };
        let parts: Vec<_> = list.split(&mut ends).collect();
        let directives = parts.into_iter().map(|part| {
            let mut halves = part.splitn(2, |byte| *byte == b'=');
            let name = halves.next().unwrap_or_default().trim_ascii();
            (name, halves.next().map(<[u8]>::trim_ascii))
        });
        let directives = directives.filter(|(name, _)| !name.is_empty()).collect();
        (!quoted).then_some(Self(directives))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn arguments(&self, name: &str) -> impl Iterator<Item = Option<&'a [u8]>> {
        let of_name = self
            .0
            .iter()
            .filter(move |(of, _)| of.eq_ignore_ascii_case(name.as_bytes()));
        of_name.map(|(_, argument)| *argument)
    }

    /// Returns true if the directive is there, with an argument or without. `no-cache` and `private`
    /// with the names of fields count as if they had none, as section 5.2.2.4 allows.
    fn has(&self, name: &str) -> bool {
        self.arguments(name).next().is_some()
    }

    /// Returns the seconds of a directive, or none without it. An invalid number is 0, and so are two
    /// that differ: the answer counts as stale (section 4.2.1).
    fn seconds(&self, name: &str) -> Option<u32> {
        let seconds = self.arguments(name).map(|said| seconds(said?));
        same(seconds).map(Option::unwrap_or_default)
    }
}

/// Returns the one value that all of them have, or the default. Returns none if there are none.
fn same<T: PartialEq + Default>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    Some(match all.all(|other| other == first) {
        true => first,
        false => T::default(),
    })
}

/// Returns the lifetime by `Expires`, which counts from `Date`, or else from `now`. It is 0 if a date is
/// invalid, "0" above all (section 5.3).
fn expires(lines: &[Vec<u8>], date: &[Vec<u8>], now: u64) -> Option<u64> {
    let expires = same(lines.iter().map(|line| http_date::parse(line)))?;
    let date = date.first().and_then(|line| http_date::parse(line));
    Some(expires.unwrap_or(0).saturating_sub(date.unwrap_or(now)))
}

/// Returns the part of the lifetime that has passed in other caches (section 4.2.3), which is 0 if
/// `Age` is invalid (section 5.1). Clocks are not compared: one that is wrong would turn caching off.
fn age(lines: &[Vec<u8>]) -> u64 {
    let first = lines
        .first()
        .and_then(|line| line.split(|b| *b == b',').next());
    first.and_then(seconds).unwrap_or(0).into()
}

fn has_no_cache(lines: &[Vec<u8>]) -> bool {
    Directives::parse(&lines.join(&b","[..])).is_none_or(|pragma| pragma.has("no-cache"))
}

/// Reads a number of seconds, with or without quotes. A number too large to count is as good as
/// infinite (section 1.2.2).
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

    /// 1994-11-06T08:49:37Z, when the answers are received.
    const NOW: u64 = 784_111_777;

    fn read(headers: &[(&str, Vec<u8>)]) -> CacheControl {
        let header = |name: &str| {
            let lines = headers.iter().filter(|(of, _)| *of == name);
            lines.map(|(_, value)| value.clone()).collect()
        };
        CacheControl::read(header, NOW)
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(lines: Vec<Vec<u8>>) {
            let names = ["cache-control", "expires", "age", "date", "pragma"];
            let named = names.iter().flat_map(|name| lines.iter().map(|line| (*name, line.clone())));
            let _ = read(&named.collect::<Vec<_>>());
        }
    }

    /// Each row of the table in docs/read-through.md, and what it leaves open.
    #[test]
    fn the_headers_are_read_as_the_rfcs_say() {
        use Freshness::{NoStore, Unsaid};
        let age = |seconds| Freshness::MaxAge(Duration::from_secs(seconds));
        for (headers, freshness, stale_if_error) in [
            // Nothing is said of the lifetime.
            ("", Unsaid, None),
            ("cache-control: public, immutable, x", Unsaid, None),
            ("cache-control: stale-while-revalidate=60", Unsaid, None),
            ("cache-control: ,", Unsaid, None),
            // max-age.
            ("cache-control: public, max-age=60", age(60), None),
            ("cache-control: MAX-AGE=60", age(60), None),
            ("cache-control: max-age=\"60\"", age(60), None),
            ("cache-control:  max-age = 60 , x", age(60), None),
            (
                "cache-control: x=\"no-store, \\\", private\", max-age=60",
                age(60),
                None,
            ),
            (
                "cache-control: max-age=99999999999999999999",
                age(u32::MAX.into()),
                None,
            ),
            ("cache-control: max-age=0", NoStore, Some(0)),
            ("cache-control: max-age", NoStore, Some(0)),
            ("cache-control: max-age=-1", NoStore, Some(0)),
            ("cache-control: max-age=1.5", NoStore, Some(0)),
            // Age.
            ("cache-control: max-age=60 | age: 20", age(40), None),
            ("cache-control: max-age=60 | age: 60", NoStore, Some(0)),
            ("cache-control: max-age=60 | age: x", age(60), None),
            ("cache-control: max-age=60 | age: 20, 30", age(40), None),
            (
                "cache-control: max-age=60 | age: 20 | age: 30",
                age(40),
                None,
            ),
            ("age: 20", Unsaid, None),
            // s-maxage, which forbids stale answers, too.
            ("cache-control: s-maxage=20, max-age=60", age(20), Some(0)),
            ("cache-control: max-age=20, s-maxage=60", age(60), Some(0)),
            ("cache-control: s-maxage=0, max-age=60", NoStore, Some(0)),
            ("cache-control: s-maxage=x, max-age=60", NoStore, Some(0)),
            // Twice the same, and two that differ, in one line or in two.
            ("cache-control: max-age=60, max-age=60", age(60), None),
            ("cache-control: max-age=60, max-age=20", NoStore, Some(0)),
            (
                "cache-control: max-age=60 | cache-control: max-age=20",
                NoStore,
                Some(0),
            ),
            ("cache-control: max-age=60, max-age=x", NoStore, Some(0)),
            ("cache-control: s-maxage=20, s-maxage=60", NoStore, Some(0)),
            // What forbids storing counts, whatever else is said.
            ("cache-control: max-age=60, no-store", NoStore, Some(0)),
            ("cache-control: No-Store", NoStore, Some(0)),
            ("cache-control: no-cache, max-age=60", NoStore, Some(0)),
            (
                "cache-control: no-cache=\"set-cookie, x\", max-age=60",
                NoStore,
                Some(0),
            ),
            ("cache-control: private, max-age=60", NoStore, Some(0)),
            ("cache-control: private=\"x\"", NoStore, Some(0)),
            ("cache-control: max-age=60, x=\"no-store", NoStore, Some(0)),
            (
                "cache-control: no-store, must-understand, max-age=60",
                age(60),
                None,
            ),
            ("cache-control: must-understand, max-age=60", age(60), None),
            (
                "cache-control: no-store, no-cache, must-understand",
                NoStore,
                Some(0),
            ),
            // Expires, less Date.
            ("expires: Sun, 06 Nov 1994 08:50:37 GMT", age(60), None),
            (
                "expires: Sun, 06 Nov 1994 08:50:37 GMT | date: Sun, 06 Nov 1994 08:50:27 GMT",
                age(10),
                None,
            ),
            (
                "expires: Sun, 06 Nov 1994 08:50:37 GMT | date: x",
                age(60),
                None,
            ),
            (
                "expires: Sun, 06 Nov 1994 08:50:37 GMT | age: 20",
                age(40),
                None,
            ),
            ("expires: Sun, 06 Nov 1994 08:49:37 GMT", NoStore, Some(0)),
            ("expires: 0", NoStore, Some(0)),
            ("expires: -1", NoStore, Some(0)),
            (
                "expires: Sun, 06 Nov 1994 08:50:37 GMT | expires: Sun, 06 Nov 1994 08:51:37 GMT",
                NoStore,
                Some(0),
            ),
            ("expires: 0 | cache-control: max-age=60", age(60), None),
            ("expires: 0 | cache-control: public", NoStore, Some(0)),
            // Pragma, which counts without Cache-Control alone.
            ("pragma: no-cache", NoStore, Some(0)),
            (
                "pragma: x, No-Cache | expires: Sun, 06 Nov 1994 08:50:37 GMT",
                NoStore,
                Some(0),
            ),
            ("pragma: x", Unsaid, None),
            (
                "pragma: no-cache | cache-control: max-age=60",
                age(60),
                None,
            ),
            // Stale answers.
            (
                "cache-control: max-age=60, must-revalidate",
                age(60),
                Some(0),
            ),
            ("cache-control: proxy-revalidate", Unsaid, Some(0)),
            (
                "cache-control: max-age=60, stale-if-error=600",
                age(60),
                Some(600),
            ),
            ("cache-control: stale-if-error=0", Unsaid, Some(0)),
            ("cache-control: stale-if-error=x", Unsaid, Some(0)),
            (
                "cache-control: stale-if-error=5, stale-if-error=6",
                Unsaid,
                Some(0),
            ),
            (
                "cache-control: must-revalidate, stale-if-error=600",
                Unsaid,
                Some(0),
            ),
        ] {
            let lines = headers
                .split(" | ")
                .filter_map(|line| line.split_once(": "));
            let lines: Vec<_> = lines.map(|(name, of)| (name, of.into())).collect();
            let wanted = CacheControl {
                freshness,
                stale_if_error: stale_if_error.map(Duration::from_secs),
            };
            assert_eq!(read(&lines), wanted, "{headers}");
        }
    }
}
