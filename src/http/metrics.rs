//! Counts as OpenMetrics text (version 1.0.0). Names and units follow Prometheus and OpenTelemetry: base
//! units, `_total`, labels in snake case.

use std::fmt::{self, Write as _};

use strum::VariantArray as _;

use crate::redis::Counted;
use crate::stats::{BOUNDS, Counter, Histogram, Operation};

/// The media type of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "provider_connection_cache";

/// Writes the counts.
pub(super) fn body(counted: &Counted) -> Vec<u8> {
    let mut text = Text {
        text: String::new(),
        since: counted.since,
    };
    // Writing to a `String` cannot fail.
    let _written = text.all(counted);
    text.text.into_bytes()
}

struct Text {
    text: String,
    since: Option<u64>,
}

impl Text {
    fn all(&mut self, counted: &Counted) -> fmt::Result {
        let counts = &counted.counts;
        let lookups = || Operation::VARIANTS.iter().filter(|one| one.is_lookup());
        let tally = |operation: &Operation| counts.of(*operation).tally;
        self.family("hits", "counter", "Connections answered from the cache.")?;
        for operation in lookups() {
            self.counter("hits", &of(*operation), tally(operation).hits)?;
        }
        self.family(
            "misses",
            "counter",
            "Connections looked up that the cache did not answer.",
        )?;
        for operation in lookups() {
            self.counter("misses", &of(*operation), tally(operation).misses)?;
        }
        self.family(
            "errors",
            "counter",
            "Operations, or lookups in them, that Redis did not carry out. A lookup is a miss besides.",
        )?;
        for operation in Operation::VARIANTS {
            self.counter("errors", &of(*operation), tally(operation).errors)?;
        }
        for counter in Counter::VARIANTS {
            let name = counter.name().replace('-', "_");
            self.family(&name, "counter", help(*counter))?;
            self.counter(&name, "", counts.counter(*counter))?;
        }
        let name = "operation_duration_seconds";
        self.family(name, "histogram", "How long operations took.")?;
        writeln!(self.text, "# UNIT {PREFIX}_{name} seconds")?;
        for operation in Operation::VARIANTS {
            self.histogram(name, *operation, &counts.of(*operation).latency)?;
        }
        self.family("build", "info", "The component that answers.")?;
        let version = env!("CARGO_PKG_VERSION");
        writeln!(self.text, "{PREFIX}_build_info{{version=\"{version}\"}} 1")?;
        self.text.write_str("# EOF\n")
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.text, "# TYPE {PREFIX}_{name} {kind}")?;
        writeln!(self.text, "# HELP {PREFIX}_{name} {help}")
    }

    fn counter(&mut self, name: &str, labels: &str, count: u64) -> fmt::Result {
        writeln!(self.text, "{PREFIX}_{name}_total{labels} {count}")?;
        self.created(name, labels)
    }

    /// Writes when counting began. A scraper can tell a new beginning from a loss by it.
    fn created(&mut self, name: &str, labels: &str) -> fmt::Result {
        match self.since {
            Some(since) => writeln!(self.text, "{PREFIX}_{name}_created{labels} {since}"),
            None => Ok(()),
        }
    }

    fn histogram(&mut self, name: &str, operation: Operation, latency: &Histogram) -> fmt::Result {
        let labels = of(operation);
        let operation = operation.name();
        let mut sum = 0;
        for (index, calls) in latency.calls.iter().enumerate() {
            sum = calls.saturating_add(sum);
            let bound = match BOUNDS.get(index) {
                Some(bound) => seconds(*bound),
                None => "+Inf".to_owned(),
            };
            writeln!(
                self.text,
                "{PREFIX}_{name}_bucket{{operation=\"{operation}\",le=\"{bound}\"}} {sum}"
            )?;
        }
        writeln!(self.text, "{PREFIX}_{name}_count{labels} {sum}")?;
        let total = seconds(latency.microseconds);
        writeln!(self.text, "{PREFIX}_{name}_sum{labels} {total}")?;
        self.created(name, &labels)
    }
}

fn of(operation: Operation) -> String {
    format!("{{operation=\"{}\"}}", operation.name())
}

/// Writes microseconds as seconds, as short as possible with a decimal point.
fn seconds(microseconds: u64) -> String {
    let text = format!(
        "{}.{:06}",
        microseconds / 1_000_000,
        microseconds % 1_000_000
    );
    let short = text.trim_end_matches('0');
    match short.ends_with('.') {
        true => format!("{short}0"),
        false => short.to_owned(),
    }
}

fn help(counter: Counter) -> &'static str {
    match counter {
        Counter::CorruptEntries => "Entries read that are no connection.",
        Counter::Timeouts => {
            "Commands to Redis, and attempts to connect, without an answer in time."
        }
        Counter::BreakerOpenings => "How often a Redis that failed was left alone for a while.",
        Counter::CoalescedLookups => "Lookups answered with what another found at the same time.",
        Counter::Reconnections => "Connections to Redis that took the place of a lost one.",
        Counter::OriginRequests => "Requests to the origin.",
        Counter::OriginFailures => "Requests that the origin did not answer as it should.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_written_as_floats_are() {
        for (microseconds, text) in [
            (0, "0.0"),
            (100, "0.0001"),
            (250_000, "0.25"),
            (1_000_000, "1.0"),
            (12_345_678, "12.345678"),
            (10_000_000, "10.0"),
        ] {
            assert_eq!(seconds(microseconds), text);
        }
    }
}
