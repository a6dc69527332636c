//! The document: every table, and what they mean.

use crate::costs::Costs;
use crate::counting;
use crate::entries::Kind;
use crate::goals::{Bound, Goal, goals};
use crate::growth::Growth;
use crate::outage::Outage;
use crate::peer::{CACHE, ROWS};
use crate::read_through;
use crate::results::{Figures, Results};
use crate::setup::Setup;
use crate::side_by_side;
use crate::stampede::{self, Stampede};
use crate::table::{Table, number, optional, percent};

/// Written by hand: what the figures say.
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

impl Report {
    /// The document.
    pub fn to_markdown(&self, setup: &Setup) -> String {
        let Self { machine, .. } = self;
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
        let outages = self.outages_table();
        let counting = self.counting_table();
        let (reading, stampedes) = (self.reading_table(), self.stampede_table());
        let hits = side_by_side::of_hits(setup);
        let (hit_rounds, hit_seconds) = (hits.rounds, hits.time.as_secs_f64());
        let stampede_rounds = stampede::rounds(setup);
        let callers = number(stampede::CALLERS as f64);
        let slow = stampede::SLOW.as_millis();
        format!(
            "# Benchmarks

Written by `make bench`; do not edit. {rounds} rounds of {seconds} s for each line, every server once
in each round, after a short warm-up; medians. Everything runs on one machine and shares its
cores: server, callers (`wrk`, one thread, connections kept alive) and Redis (one, without
persistence, 1,000 entries of 900 bytes). So ratios count more than figures do. An answer with
another status than expected would have ended the run (but for webdis: see below); for that, Redis may take 30 s. `BENCH_SECONDS=5 make bench` measures longer.

{machine}
## Lookups

- *hit*: the entry is there, 200. *miss*: it is not, 404.
- *p50*, *p99*: as `wrk` has them, with its correction for requests that it had to send late.
- *CPU*: user and system time of the server for each request, without Redis and `wrk`.
- *of floor*: requests/s in relation to a component that asks nobody, in the same host with the
  same options.
- *reuse raised*: 1,000,000 requests for each instance, 64 at a time, 60 s idle, where Spin's
  defaults are 128, 16 and 1 s.
- The embedded host and webdis use both cores; nginx and Python have one worker. nginx and webdis hand
  out the entry as it is, credentials included; all others answer the summary.

{main}{notes}
## Goals

Ratios of figures of this run, and one count.

{goals}
## An instance

*instantiate*: the median of many. *linear memory* and *resident memory* of an instance after one
lookup; resident is what 100 live instances add to the process, divided by 100, connections to
Redis included. *CPU per lookup*: over WIT, without HTTP, the host's part included.

{costs}
## Larger entries

One caller, hits.

{sizes}
## Larger batches

One caller, `POST /lookup`, hits. *of single*: time per id in relation to the p50 of `GET /{{id}}`.

{batches}
## Counting

What each lookup costs that it is counted, and that the counts are added to Redis, up to once a second for
each instance. Hits; both hosts are asked in turns, {hit_rounds} rounds of {hit_seconds} s; *of floor* is the same component with
`stats` off, over the same Redis.

{counting}
## Reading through

The origin is that of `examples/origin`, on the same machine. Ratios are medians of those of each
round: hits have {hit_rounds} of {hit_seconds} s, since what an origin costs them is less than noise.

- *hit*: the entry is there, as some other application stored it; the component has noted for how
  long it needs no refreshing. *of floor* is the same component without an origin, over the same Redis.
- *miss*: every request asks for another connection, which Redis does not have and the origin has.
  *of floor* is the origin itself, asked for the same connections.

{reading}
A stampede: {callers} callers, their connections open, ask for the same connection at the same
moment. It is not in Redis, and the origin takes {slow} ms. The callers of the cache are divided
between two hosts; *which has it by now* is the same once more, so what that many callers take
anyway. Times are from that moment on; {stampede_rounds} rounds.

{stampedes}
## Outages

Redis fails for 10 s under 50 lookups/s, each on a connection of its own and sent whether or not
others still wait; `redis_timeout_ms` is 250. *recovery*: from its return to the first hit, asked every
5 ms.

{outages}
## What remains, and whose it is

{FINDINGS}"
        )
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
