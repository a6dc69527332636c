//! The document: every table, and what they mean.

use std::fs;
use std::path::PathBuf;

use crate::costs::Costs;
use crate::counting;
use crate::distance::{self, Distance};
use crate::entries::Kind;
use crate::goals::{Bound, Goal, goals};
use crate::growth::Growth;
use crate::outage::Outage;
use crate::peer::{CACHE, ROWS};
use crate::read_through;
use crate::results::{Figures, Results};
use crate::setup::{Host, Setup};
use crate::side_by_side;
use crate::stampede::{self, Stampede};
use crate::table::{Table, number, optional, percent};
use crate::waits::{self, Waits};

/// Written by hand: how to read the tables, and what the figures say.
const READING: &str = include_str!("reading.md");
const FINDINGS: &str = include_str!("findings.md");

/// Numbers of callers.
pub const CALLERS: [usize; 3] = [1, 16, 64];

/// The columns of a table of lookups.
const LOOKUP_COLUMNS: [&str; 8] = [
    "lookup",
    "server",
    "callers",
    "requests/s",
    "p50 µs",
    "p99 µs",
    "CPU µs",
    "of floor",
];

/// Everything that was found.
pub struct Report {
    /// The machine and the versions.
    pub machine: Table,
    /// The cells of the main table.
    pub results: Results,
    /// Why rows are missing, and what else is to be known of them.
    pub notes: Vec<String>,
    /// How many answers wait.
    pub waits: Vec<Waits>,
    /// What callers wait for a Redis that is far away.
    pub distance: Distance,
    /// What an instance costs.
    pub costs: Vec<Costs>,
    /// Sizes and batches.
    pub growth: Growth,
    /// Lookups that are counted, and that are not.
    pub counting: Results,
    /// Lookups with an origin and without.
    pub read_through: Results,
    /// Many callers who miss the same connection.
    pub stampede: Stampede,
    /// What happens without Redis.
    pub outages: Vec<Outage>,
}

/// The document: what was measured with each host, Spin first.
pub fn document() -> String {
    let figures = |host: Host| {
        let figures = fs::read_to_string(host.file());
        figures.unwrap_or_else(|_| format!("## {}: not measured yet\n", host.name()))
    };
    let hosts = [Host::Spin(PathBuf::new()), Host::Embedded(PathBuf::new())];
    let [spin, embedded] = hosts.map(figures);
    format!("{READING}\n{spin}\n{embedded}\n## What remains, and whose it is\n\n{FINDINGS}")
}

impl Report {
    /// What was measured with this host.
    pub fn to_markdown(&self, setup: &Setup) -> String {
        let Self { machine, .. } = self;
        let host = setup.host.name();
        let seconds = setup.time.as_secs_f64();
        let rounds = setup.rounds;
        let main = self.main_table();
        let notes: String = self
            .notes
            .iter()
            .map(|line| format!("\n{line}\n"))
            .collect();
        let (costs, sizes) = (self.costs_table(), self.sizes_table());
        let (batches, goals) = (self.batches_table(), self.goals_table());
        let (waits, outages) = (self.waits_table(), self.outages_table());
        let counting = self.counting_table();
        let (reading, stampedes) = (self.reading_table(), self.stampede_table());
        let distance = distance(setup, &self.distance);
        let hits = side_by_side::of_hits(setup);
        let (hit_rounds, hit_seconds) = (hits.rounds, hits.time.as_secs_f64());
        let callers = number(stampede::CALLERS as f64);
        let slow = stampede::SLOW.as_millis();
        let stampede_rounds = stampede::rounds(setup);
        format!(
            "## {host}: figures

{rounds} rounds of {seconds} s for each line of the first table.

{machine}
### Lookups

{main}{notes}
### Goals

{goals}
### Answers that wait

The share of answers that took more than 30 ms, by the number of callers.

{waits}
{distance}
### An instance

{costs}
### Larger entries

{sizes}
### Larger batches

{batches}
### Counting

{hit_rounds} rounds of {hit_seconds} s.

{counting}
### Reading through

Hits: {hit_rounds} rounds of {hit_seconds} s.

{reading}
A stampede of {callers} callers, while the origin takes {slow} ms; {stampede_rounds} rounds.

{stampedes}
### Outages

{outages}"
        )
    }

    fn waits_table(&self) -> Table {
        let mut columns = vec!["answer".to_owned()];
        columns.extend(waits::CALLERS.iter().map(|callers| number(*callers as f64)));
        let mut table = Table::with(1, columns);
        for Waits { name, counts } in &self.waits {
            let mut row = vec![(*name).to_owned()];
            row.extend(counts.iter().map(|count| percent(count.share())));
            table.add(row);
        }
        table
    }

    fn main_table(&self) -> Table {
        let mut table = Table::new(2, LOOKUP_COLUMNS);
        for (name, lookup) in [("hit", Kind::Hit), ("miss", Kind::Miss)] {
            for callers in CALLERS {
                for row in ROWS {
                    let Some(figures) = self.results.get(row.name, lookup, callers) else {
                        continue;
                    };
                    // What floors answer is a hit.
                    let floor = self.results.get(row.floor, Kind::Hit, callers);
                    let of_floor = floor.map(|floor| figures.per_second / floor.per_second);
                    table.row(lookup_row(name, row.name, callers, figures, of_floor));
                }
            }
        }
        table
    }

    fn counting_table(&self) -> Table {
        let mut table = Table::new(2, LOOKUP_COLUMNS);
        for callers in side_by_side::CALLERS {
            for row in counting::ROWS {
                let Some(figures) = self.counting.get(row, Kind::Hit, callers) else {
                    continue;
                };
                let of_floor = self
                    .counting
                    .ratio(row, counting::UNCOUNTED, Kind::Hit, callers);
                table.row(lookup_row("hit", row, callers, figures, of_floor));
            }
        }
        table
    }

    fn reading_table(&self) -> Table {
        let mut table = Table::new(2, LOOKUP_COLUMNS);
        for (name, lookup) in [("hit", Kind::Hit), ("miss", Kind::Miss)] {
            for callers in read_through::CALLERS {
                let floor = read_through::floor(lookup);
                for row in read_through::ROWS {
                    let Some(figures) = self.read_through.get(row, lookup, callers) else {
                        continue;
                    };
                    let of_floor = self.read_through.ratio(row, floor, lookup, callers);
                    table.row(lookup_row(name, row, callers, figures, of_floor));
                }
            }
        }
        table
    }

    fn stampede_table(&self) -> Table {
        let columns = [
            "asked",
            "requests to the origin",
            "p50 ms",
            "p99 ms",
            "max ms",
        ];
        let mut table = Table::new(1, columns);
        for (name, burst) in [
            ("the cache", &self.stampede.cache),
            ("the cache, which has it by now", &self.stampede.held),
            ("the origin itself", &self.stampede.origin),
        ] {
            table.row([
                name.to_owned(),
                number(burst.requests as f64),
                number(burst.p50 * 1e3),
                number(burst.p99 * 1e3),
                number(burst.max * 1e3),
            ]);
        }
        table
    }

    fn goals(&self) -> Vec<Goal> {
        goals(
            &self.results,
            &self.growth,
            &self.counting,
            &self.read_through,
            &self.stampede,
            &self.distance,
        )
    }

    fn goals_table(&self) -> Table {
        let mut table = Table::new(1, ["goal", "must be", "is", "verdict"]);
        for Goal { what, bound, value } in self.goals() {
            let bound_text = match bound {
                Bound::AtLeast(bound) => format!("≥ {}", number(bound)),
                Bound::AtMost(bound) => format!("≤ {}", number(bound)),
            };
            let verdict = match value {
                None => "not measured",
                Some(value) if bound.is_met(value) => "met",
                Some(_) => "missed",
            };
            table.row([
                what.to_owned(),
                bound_text,
                optional(value, number),
                verdict.to_owned(),
            ]);
        }
        table
    }

    fn costs_table(&self) -> Table {
        let columns = [
            "component",
            "bytes",
            "compile ms",
            "instantiate µs",
            "linear KiB",
            "resident KiB",
            "CPU µs per lookup",
        ];
        let mut table = Table::new(1, columns);
        for costs in &self.costs {
            let lookup = costs.lookup.as_ref();
            table.row([
                costs.name.to_owned(),
                number(costs.bytes as f64),
                number(costs.compile.as_secs_f64() * 1e3),
                number(costs.instantiate.as_secs_f64() * 1e6),
                optional(lookup.map(|lookup| lookup.linear as f64 / 1024.0), number),
                optional(lookup.map(|lookup| lookup.resident as f64 / 1024.0), number),
                optional(lookup.map(|lookup| lookup.cpu.as_secs_f64() * 1e6), number),
            ]);
        }
        table
    }

    fn sizes_table(&self) -> Table {
        let mut table = Table::new(0, ["entry, bytes", "requests/s", "p50 µs"]);
        for (length, sample) in &self.growth.sizes {
            table.row([
                number(*length as f64),
                number(sample.per_second),
                number(sample.p50),
            ]);
        }
        table
    }

    fn outages_table(&self) -> Table {
        let columns = [
            "outage",
            "lookups",
            "within 10 ms",
            "slowest ms",
            "recovery ms",
        ];
        let mut table = Table::new(1, columns);
        for outage in &self.outages {
            table.row([
                outage.name.to_owned(),
                outage.lookups.to_string(),
                percent(outage.at_once),
                number(outage.slowest.as_secs_f64() * 1e3),
                number(outage.recovery.as_secs_f64() * 1e3),
            ]);
        }
        table
    }

    fn batches_table(&self) -> Table {
        let single = self
            .results
            .get(CACHE, Kind::Hit, 1)
            .map(|single| single.p50);
        let mut table = Table::new(0, ["ids", "p50 µs", "per id µs", "of single"]);
        for (count, sample) in &self.growth.batches {
            let per_id = sample.p50 / *count as f64;
            table.row([
                number(*count as f64),
                number(sample.p50),
                number(per_id),
                optional(single.map(|single| per_id / single), percent),
            ]);
        }
        table
    }
}

/// The section about a Redis that is far away.
pub fn distance(setup: &Setup, found: &Distance) -> String {
    let (rate, seconds) = (distance::RATE, setup.time.as_secs_f64());
    let hits = side_by_side::of_hits(&distance::of_hits(setup));
    let (hit_rounds, hit_seconds) = (hits.rounds, hits.time.as_secs_f64());
    let (waits, hits) = (distance_table(found), edge_hits_table(found));
    format!(
        "### Redis at a distance

{rate} lookups/s for {seconds} s.

{waits}
Hits of the edge cache, Redis on this machine: {hit_rounds} rounds of {hit_seconds} s.

{hits}"
    )
}

fn distance_table(found: &Distance) -> Table {
    let columns = [
        "cache",
        "Redis away ms",
        "first 1,000 s",
        "asked Redis",
        "within 5 ms",
        "p50 ms",
        "p90 ms",
        "p99 ms",
    ];
    let mut table = Table::new(1, columns);
    for cell in &found.cells {
        table.row([
            cell.cache.to_owned(),
            cell.round_trip.as_millis().to_string(),
            number(cell.lookups.first.as_secs_f64()),
            percent(cell.lookups.asked_redis),
            percent(cell.lookups.within_promised()),
            number(cell.lookups.percentile(50)),
            number(cell.lookups.percentile(90)),
            number(cell.lookups.percentile(99)),
        ]);
    }
    table
}

fn edge_hits_table(found: &Distance) -> Table {
    let mut table = Table::new(2, LOOKUP_COLUMNS);
    for callers in side_by_side::CALLERS {
        for row in distance::ROWS {
            let Some(figures) = found.hits.get(row, Kind::Hit, callers) else {
                continue;
            };
            let of_floor = (found.hits).ratio(row, distance::FLOOR, Kind::Hit, callers);
            table.row(lookup_row("hit", row, callers, figures, of_floor));
        }
    }
    table
}

fn lookup_row(
    lookup: &str,
    server: &str,
    callers: usize,
    figures: Figures,
    of_floor: Option<f64>,
) -> [String; 8] {
    [
        lookup.to_owned(),
        server.to_owned(),
        callers.to_string(),
        number(figures.per_second),
        number(figures.p50),
        number(figures.p99),
        optional(figures.cpu, number),
        optional(of_floor, percent),
    ]
}
