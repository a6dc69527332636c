//! Counts as text for Prometheus. Names and units follow Prometheus and OpenTelemetry: base units, `_total`,
//! labels in snake case.

use std::fmt::{self, Write as _};

use strum::VariantArray as _;

use crate::redis::Counted;
use crate::stats::{BOUNDS, Counter, Histogram, Operation};

const PREFIX: &str = "provider_connection_cache";

/// A format of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// The text format 0.0.4 of Prometheus, which every scraper reads.
    Prometheus,
}

impl TextFormat {
    /// Chooses by an `Accept` header (RFC 9110, section 12.5.1). OpenMetrics must be named, with a weight
    /// that is not less than that of the other format, as Prometheus' own libraries want it.
    pub(super) fn accepted(accept: Option<&[u8]>) -> Self {
        let accept = accept.and_then(|accept| str::from_utf8(accept).ok());
        let ranges = || {
            accept
                .unwrap_or_default()
                .split(',')
                .filter_map(Range::parse)
        };
        let weight = |name: &str, version: &str| {
            let found = ranges().filter(|range| range.is(name, version));
            found.map(|range| range.weight).max()
        };
        let open_metrics = weight("application/openmetrics-text", "1.0.0").unwrap_or(0);
        let prometheus = weight("text/plain", "0.0.4");
        let prometheus = prometheus.or_else(|| weight("text/*", ""));
        let prometheus = prometheus.or_else(|| weight("*/*", ""));
        match open_metrics > 0 && open_metrics >= prometheus.unwrap_or(0) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// Returns the media type.
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A media range of an `Accept` header, with what matters of its parameters.
struct Range<'a> {
    name: &'a str,
    version: Option<&'a str>,
    /// In thousandths.
    weight: u16,
}

impl<'a> Range<'a> {
    /// Returns none if the weight is malformed.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self {
            name: parts.next()?,
            version: None,
            weight: 1_000,
        };
        for part in parts {
            match part.split_once('=') {
                Some((name, value)) if name.eq_ignore_ascii_case("version") => {
                    range.version = Some(value.trim_matches('"'));
                }
                Some((name, value)) if name.eq_ignore_ascii_case("q") => {
                    range.weight = weight(value)?;
                }
                _ => {}
            }
        }
        Some(range)
    }

    fn is(&self, name: &str, version: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) && self.version.is_none_or(|given| given == version)
    }
}

/// Reads a weight (RFC 9110, section 12.4.2): 0 to 1 with at most three decimals, in thousandths.
fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_valid = matches!(whole, "0" | "1")
        && decimals.len() <= 3
        && decimals.bytes().all(|digit| digit.is_ascii_digit());
    let thousandths: u16 = format!("{whole}{decimals:0<3}").parse().ok()?;
    (is_valid && thousandths <= 1_000).then_some(thousandths)
}

/// Writes the counts.
pub(super) fn body(counted: &Counted, format: TextFormat) -> Vec<u8> {
    let mut text = Text {
        text: String::new(),
        format,
        since: counted.since,
    };
    // Writing to a `String` cannot fail.
    let _written = text.all(counted);
    text.text.into_bytes()
}

struct Text {
    text: String,
    format: TextFormat,
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
        if self.format == TextFormat::OpenMetrics {
            writeln!(self.text, "# UNIT {PREFIX}_{name} seconds")?;
        }
        for operation in Operation::VARIANTS {
            self.histogram(name, *operation, &counts.of(*operation).latency)?;
        }
        self.family("build", "info", "The component that answers.")?;
        let version = env!("CARGO_PKG_VERSION");
        writeln!(self.text, "{PREFIX}_build_info{{version=\"{version}\"}} 1")?;
        match self.format {
            TextFormat::OpenMetrics => self.text.write_str("# EOF\n"),
            TextFormat::Prometheus => Ok(()),
        }
    }

    /// Begins a family. OpenMetrics names it without the suffix of its samples.
    fn family(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        let (suffix, kind) = match (self.format, kind) {
            (TextFormat::Prometheus, "counter") => ("_total", "counter"),
            (TextFormat::Prometheus, "info") => ("_info", "gauge"),
            (_, kind) => ("", kind),
        };
        writeln!(self.text, "# TYPE {PREFIX}_{name}{suffix} {kind}")?;
        writeln!(self.text, "# HELP {PREFIX}_{name}{suffix} {help}")
    }

    fn counter(&mut self, name: &str, labels: &str, count: u64) -> fmt::Result {
        writeln!(self.text, "{PREFIX}_{name}_total{labels} {count}")?;
        self.created(name, labels)
    }

    /// Writes when counting began. A scraper can tell a new beginning from a loss by it. The older format
    /// knows no such sample.
    fn created(&mut self, name: &str, labels: &str) -> fmt::Result {
        match self
            .since
            .filter(|_| self.format == TextFormat::OpenMetrics)
        {
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
        Counter::EdgeHits => "Lookups that the store of the host answered.",
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
    fn open_metrics_is_for_those_who_name_it_and_like_it_as_much() {
        use TextFormat::{OpenMetrics, Prometheus};
        for (accept, wanted) in [
            // curl, browsers, and versions of Prometheus, the oldest first.
            ("*/*", Prometheus),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Prometheus,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
                Prometheus,
            ),
            (
                "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Prometheus,
            ),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            ("text/plain;version=0.0.4", Prometheus),
            ("text/plain", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            (
                "Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.5",
                OpenMetrics,
            ),
            ("application/openmetrics-text, text/plain", OpenMetrics),
            ("application/openmetrics-text;q=0.5, text/plain", Prometheus),
            (
                "application/openmetrics-text;q=0.5, text/*;q=0.6",
                Prometheus,
            ),
            (
                "application/openmetrics-text;q=0.5, text/plain;q=0.4, */*",
                OpenMetrics,
            ),
            ("application/openmetrics-text;q=0", Prometheus),
            ("application/openmetrics-text;q=0.001", OpenMetrics),
            ("application/openmetrics-text;q=1.001", Prometheus),
            ("application/openmetrics-text;q=", Prometheus),
            ("application/openmetrics-text;q=0.0001", Prometheus),
            ("application/openmetrics-text;version=2.0.0", Prometheus),
            ("application/*", Prometheus),
            ("image/png", Prometheus),
            ("", Prometheus),
            (",;=,", Prometheus),
        ] {
            assert_eq!(
                TextFormat::accepted(Some(accept.as_bytes())),
                wanted,
                "{accept}"
            );
        }
        assert_eq!(TextFormat::accepted(None), Prometheus);
        assert_eq!(TextFormat::accepted(Some(b"\xff")), Prometheus);
    }

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
