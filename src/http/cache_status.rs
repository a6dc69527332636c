//! The header `Cache-Status` (RFC 9211), which describes the result of a lookup.

use std::fmt::Write as _;

use crate::cache::{Absence, Forward, FoundSummary, Lookup, Outcome};
use crate::origin;

/// The name of the header.
pub(super) const NAME: &str = "cache-status";

/// The name of this cache.
const CACHE: &str = "provider-connection-cache";

/// Describes a lookup.
pub(super) fn of<T>(found: &Lookup<T>) -> String {
    match found {
        Lookup::Hit(_) => format!("{CACHE}; hit"),
        Lookup::NotFound => format!("{CACHE}; hit; detail=not-found"),
        Lookup::Absent(absence) => with_detail(format!("{CACHE}; fwd=miss"), detail(absence)),
        Lookup::Forwarded(forward) => forwarded(forward),
    }
}

/// Describes the lookup of a summary.
pub(super) fn of_summary(found: &Lookup<FoundSummary>) -> String {
    match found {
        Lookup::Hit(FoundSummary {
            from_edge: true, ..
        }) => format!("{CACHE}; hit; detail=edge"),
        found => of(found),
    }
}

/// Describes many lookups by the worst of them.
pub(super) fn of_batch(found: &[Lookup<FoundSummary>]) -> String {
    let worst = found.iter().max_by_key(|found| rank(found));
    worst.map_or_else(|| format!("{CACHE}; hit"), of_summary)
}

fn rank(found: &Lookup<FoundSummary>) -> u8 {
    match found {
        Lookup::Hit(_) => 0,
        Lookup::NotFound => 1,
        Lookup::Forwarded(_) | Lookup::Absent(Absence::Miss) => 2,
        Lookup::Absent(Absence::Corrupt(_)) => 3,
        Lookup::Absent(Absence::Unavailable(error)) if error.is_timeout() => 5,
        Lookup::Absent(Absence::Unavailable(_)) => 4,
    }
}

/// Describes a lookup that asked the origin (section 2.2): the status of its answer (2.3), whether that
/// was stored (2.5), and whether the request was shared (2.6).
fn forwarded<T>(forward: &Forward<T>) -> String {
    let (status, error) = match &forward.outcome {
        Outcome::Stored(_) | Outcome::Passed(_) => (Some(200), None),
        Outcome::NotFound => (Some(404), None),
        Outcome::Stale(_, origin::Error::Status(status))
        | Outcome::Failed(origin::Error::Status(status)) => (Some(*status), None),
        Outcome::Stale(_, error) | Outcome::Failed(error) => (None, error.name()),
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
    if let Outcome::Stored(_) = forward.outcome {
        text.push_str("; stored");
    }
    if forward.collapsed {
        text.push_str("; collapsed");
    }
    with_detail(text, error.or_else(|| detail(&forward.because)))
}

/// Explains an absence, if there is more to it than a miss.
fn detail(absence: &Absence) -> Option<&'static str> {
    match absence {
        Absence::Miss => None,
        Absence::Corrupt(_) => Some("corrupt"),
        Absence::Unavailable(error) if error.is_timeout() => Some("timeout"),
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
