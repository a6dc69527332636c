//! `Cache-Status` (RFC 9211): what a lookup found, and how.

use std::fmt::Write as _;

use crate::cache::{Absence, Forward, Lookup, Outcome, Summarized};
use crate::origin;
use crate::redis;

/// The name of the header.
pub const NAME: &str = "cache-status";

/// The name of this cache.
const CACHE: &str = "provider-connection-cache";

/// What it says of a lookup.
pub fn of<T>(found: &Lookup<T>) -> String {
    match found {
        Lookup::Hit(_) => format!("{CACHE}; hit"),
        Lookup::NotFound => format!("{CACHE}; hit; detail=not-found"),
        Lookup::Absent(absence) => with_detail(format!("{CACHE}; fwd=miss"), detail(absence)),
        Lookup::Forwarded(forward) => forwarded(forward),
    }
}

/// What it says of a summary.
pub fn of_summary(found: &Lookup<Summarized>) -> String {
    match found {
        Lookup::Hit(found) if found.near => format!("{CACHE}; hit; detail=near"),
        found => of(found),
    }
}

/// What it says of many: what it says of the worst.
pub fn of_batch(found: &[Lookup<Summarized>]) -> String {
    let worst = found.iter().max_by_key(|found| rank(found));
    worst.map_or_else(|| format!("{CACHE}; hit"), of_summary)
}

fn rank(found: &Lookup<Summarized>) -> u8 {
    match found {
        Lookup::Hit(found) if found.near => 0,
        Lookup::Hit(_) => 1,
        Lookup::NotFound => 2,
        Lookup::Forwarded(_) | Lookup::Absent(Absence::Miss) => 3,
        Lookup::Absent(Absence::Corrupt(_)) => 4,
        Lookup::Absent(Absence::Unavailable(failure)) => match failure {
            redis::Failure::Timeout => 6,
            _ => 5,
        },
    }
}

/// The origin was asked (section 2.2): with which answer (2.3), whether that was stored (2.5), and
/// whether the request was one with others (2.6).
fn forwarded<T>(forward: &Forward<T>) -> String {
    let (status, stored, failure) = match &forward.outcome {
        Outcome::Stored(_) => (Some(200), true, None),
        Outcome::Passed(_) => (Some(200), false, None),
        Outcome::NotFound => (Some(404), false, None),
        Outcome::Stale(_, failure) | Outcome::Failed(failure) => (None, false, Some(*failure)),
    };
    let status = match failure {
        Some(origin::Failure::Status(status)) => Some(status),
        _ => status,
    };
    let why = match &forward.outcome {
        Outcome::Stale(..) => "stale",
        _ => "miss",
    };
    let mut text = format!("{CACHE}; fwd={why}");
    if let Some(status) = status {
        // Writing to a String cannot fail.
        let _ = write!(text, "; fwd-status={status}");
    }
    if stored {
        text.push_str("; stored");
    }
    if forward.collapsed {
        text.push_str("; collapsed");
    }
    let of_origin = failure
        .map(origin::Failure::name)
        .filter(|name| !name.is_empty());
    with_detail(text, of_origin.or_else(|| detail(&forward.because)))
}

/// Why there was nothing to be found, if that is worth a word.
fn detail(absence: &Absence) -> Option<&'static str> {
    match absence {
        Absence::Miss => None,
        Absence::Corrupt(_) => Some("corrupt"),
        Absence::Unavailable(redis::Failure::Timeout) => Some("timeout"),
        Absence::Unavailable(_) => Some("unavailable"),
    }
}

fn with_detail(mut text: String, detail: Option<&str>) -> String {
    if let Some(detail) = detail {
        text.push_str("; detail=");
        text.push_str(detail);
    }
    text
}
