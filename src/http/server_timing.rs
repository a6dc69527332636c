//! The header `Server-Timing` (W3C Server Timing, section 2), which says what a lookup spent its time on.

use std::fmt::Write as _;

use futures_util::future::LocalBoxFuture;

use super::answer::Answer;
use crate::rt::timings::{self, Part, Timings};

/// Adds the header to the answer, if it is that of a lookup.
pub(super) async fn timed(answer: LocalBoxFuture<'_, Answer>) -> Answer {
    let (answer, timings) = timings::record(answer).await;
    match describe(&timings) {
        Some(metrics) => answer.header("server-timing", metrics),
        None => answer,
    }
}

/// Describes the timings of a lookup, in milliseconds. Returns none if there was no lookup.
fn describe(timings: &Timings) -> Option<String> {
    let mut text = String::new();
    let mut add = |name, took: u64| {
        let (millis, micros) = (took / 1_000_000, took / 1_000 % 1_000);
        // Writing to a String cannot fail.
        let _ = write!(text, "{name};dur={millis}.{micros:03}");
    };
    add("cache", timings.of(Part::Lookup)?);
    if let Some(took) = timings.of(Part::Redis) {
        add(", redis", took);
    }
    if let Some(took) = timings.of(Part::Origin) {
        add(", origin", took);
    }
    Some(text)
}
