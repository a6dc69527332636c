//! Counts hour by hour, as JSON.

use serde::ser::{Serialize, SerializeMap, Serializer};
use strum::VariantArray as _;

use crate::connection::{Timestamp, json};
use crate::stats::{Counter, Counts, HourStats, Operation, OperationCounts};

/// Writes the hours, and their total.
pub fn body(hours: &[HourStats]) -> Vec<u8> {
    let mut total = Counts::default();
    for hour in hours {
        total.add(&hour.counts);
    }
    let of = |hour: &HourStats| Row {
        hour: Some(hour.hour.begins()),
        counts: hour.counts.clone(),
    };
    json::encode(&StatsBody {
        hours: hours.iter().map(of).collect(),
        total: Row {
            hour: None,
            counts: total,
        },
    })
}

#[derive(serde::Serialize)]
struct StatsBody {
    hours: Vec<Row>,
    total: Row,
}

/// The counts of an hour, or the total.
struct Row {
    hour: Option<Timestamp>,
    counts: Counts,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_map(None)?;
        if let Some(hour) = self.hour {
            row.serialize_entry("hour", &hour)?;
        }
        let mut lookups = self.counts.lookups();
        // Errors of writes count too.
        lookups.tally.errors = self.counts.errors();
        figures::<S>(&mut row, &lookups)?;
        for counter in Counter::VARIANTS {
            let name = counter.name().replace('-', "_");
            row.serialize_entry(&name, &self.counts.counter(*counter))?;
        }
        row.serialize_entry("operations", &Operations(&self.counts))?;
        row.end()
    }
}

/// The operations that were called.
struct Operations<'a>(&'a Counts);

impl Serialize for Operations<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let called = Operation::VARIANTS
            .iter()
            .map(|operation| (operation.name(), Figures(self.0.of(*operation))))
            .filter(|(_, figures)| figures.0.latency.count() > 0);
        serializer.collect_map(called)
    }
}

struct Figures<'a>(&'a OperationCounts);

impl Serialize for Figures<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        figures::<S>(&mut map, self.0)?;
        map.end()
    }
}

fn figures<S: Serializer>(map: &mut S::SerializeMap, of: &OperationCounts) -> Result<(), S::Error> {
    let tally = of.tally;
    map.serialize_entry("hits", &tally.hits)?;
    map.serialize_entry("misses", &tally.misses)?;
    map.serialize_entry("errors", &tally.errors)?;
    map.serialize_entry("total", &tally.total())?;
    map.serialize_entry("hit_rate", &(tally.hit_rate() as f64 / 10_000.0))?;
    let latency = of.latency.percentiles().map(|percentiles| Latency {
        calls: of.latency.count(),
        p50_us: percentiles.p50,
        p95_us: percentiles.p95,
        p99_us: percentiles.p99,
    });
    map.serialize_entry("latency", &latency)
}

#[derive(serde::Serialize)]
struct Latency {
    calls: u64,
    p50_us: u64,
    p95_us: u64,
    p99_us: u64,
}
