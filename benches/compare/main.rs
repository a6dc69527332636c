//! `make bench`: compares the component with what one would use in its place, and writes
//! docs/benchmarks.md. It fails if an answer is wrong, a server dies, or the origin is asked in vain,
//! never because of a time.

mod caller;
mod costs;
mod counting;
mod distance;
mod entries;
mod far;
mod goals;
mod growth;
mod machine;
mod origin;
mod outage;
mod peer;
mod process;
mod program;
mod read_through;
mod redis_benchmark;
mod report;
mod results;
mod setup;
mod side_by_side;
mod stampede;
#[allow(
    missing_docs,
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "made for the tests, which use all of it"
)]
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod table;
mod waits;
mod wrk;

use std::fs;

use anyhow::Result;

use crate::entries::Kind;
use crate::peer::{Peer, ROWS};
use crate::report::{CALLERS, Report};
use crate::results::Results;
use crate::setup::{Section, Setup};
use crate::support::in_repository;
use crate::support::redis::Redis;

#[tokio::main]
async fn main() -> Result<()> {
    let setup = Setup::read()?;
    if let Some(Section::Distance) = setup.only {
        println!("{}", report::distance(&setup, &distance::measure(&setup)?));
        return Ok(());
    }
    let redis = Redis::start(&[]);
    Kind::Hit.store(&redis)?;
    // First, while the memory of this process is as it was.
    let costs = costs::measure(&setup, &redis).await?;
    let (mut peers, mut notes) = start_all(&setup, &redis).await?;
    let results = compare(&setup, &redis, &mut peers)?;
    let wrong = peers.iter().filter(|peer| peer.wrong > 0.0);
    notes.extend(wrong.map(|peer| format!("Wrong answers of {}: {}.", peer.row.name, peer.wrong)));
    let waits = waits::measure(&setup)?;
    let distance = distance::measure(&setup)?;
    let growth = growth::measure(&setup, &redis, &peers)?;
    let counting = counting::measure(&setup).await?;
    let read_through = read_through::measure(&setup).await?;
    let stampede = stampede::measure(&setup).await?;
    let outages = outage::measure(&setup).await?;
    let report = Report {
        machine: machine::describe(&setup)?,
        results,
        notes,
        waits,
        distance,
        costs,
        growth,
        counting,
        read_through,
        stampede,
        outages,
    };
    let markdown = report.to_markdown(&setup);
    println!("{markdown}");
    if !setup.smoke {
        fs::write(setup.host.file(), markdown)?;
        fs::write(in_repository("docs/benchmarks.md"), report::document())?;
    }
    Ok(())
}

/// Everything that is there, and why the rest is not.
async fn start_all(setup: &Setup, redis: &Redis) -> Result<(Vec<Peer>, Vec<String>)> {
    let (mut peers, mut skipped) = (Vec::new(), Vec::new());
    for row in ROWS {
        match Peer::start(row, setup, redis).await? {
            Some(peer) => peers.push(peer),
            None => {
                let line = format!("Skipped: {}, which could not be installed.", row.name);
                eprintln!("{line}");
                skipped.push(line);
            }
        }
    }
    Ok((peers, skipped))
}

/// Every cell once in each round, one peer after the other, so that drift hits all alike.
fn compare(setup: &Setup, redis: &Redis, peers: &mut [Peer]) -> Result<Results> {
    let mut results = Results::default();
    for round in 1..=setup.rounds {
        for lookup in [Kind::Hit, Kind::Miss] {
            for callers in CALLERS {
                eprintln!(
                    "round {round} of {}: {lookup:?}, callers: {callers}",
                    setup.rounds
                );
                for peer in peers.iter_mut().filter(|peer| peer.has(lookup)) {
                    let found = peer.measure(setup, redis, lookup, callers)?;
                    results.add(peer.row.name, lookup, callers, found);
                }
            }
        }
    }
    Ok(results)
}
