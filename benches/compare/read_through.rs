//! What an origin costs lookups that have no need of it, and what those cost that have.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::time::sleep;

use crate::entries::{COUNT, Kind};
use crate::origin::{self, Origin, cache_without, local};
use crate::process::Server;
use crate::results::Results;
use crate::setup::Setup;
use crate::side_by_side;
use crate::support::client::{Call, Client};
use crate::support::connection::id;
use crate::support::redis::Redis;
use crate::support::secrets::ORIGIN_TOKEN;
use crate::support::service::{READ_TOKEN, path};
use crate::wrk::{Load, get, get_with};

/// The component without an origin.
pub const NO_ORIGIN: &str = "this component, no origin";
/// The component with an origin.
pub const CACHE: &str = "this component, reading through";
/// What no miss can be faster than.
pub const ORIGIN: &str = "the origin itself";
/// What no miss can be faster than that leaves the answer in Redis, and does nothing else.
pub const FLOOR: &str = "hello-world after GET, origin and SET (floor)";

/// The rows, in their order in the table.
pub const ROWS: [&str; 4] = [NO_ORIGIN, ORIGIN, FLOOR, CACHE];

pub use crate::side_by_side::CALLERS;

/// How many connections there are to be missed in a second: more than can be.
const MISSES_PER_SECOND: f64 = 20_000.0;

/// What a row is compared with.
pub fn floor(lookup: Kind) -> &'static str {
    match lookup {
        Kind::Hit => NO_ORIGIN,
        _ => FLOOR,
    }
}

/// The numbers of the connections that are missed while it is measured, and of those before.
fn missed(setup: &Setup) -> (RangeInclusive<usize>, RangeInclusive<usize>) {
    let count = (MISSES_PER_SECOND * setup.time.as_secs_f64()).ceil() as usize;
    (1..=count, count + 1..=2 * count)
}

/// Measures hits, then misses.
pub async fn measure(setup: &Setup) -> Result<Results> {
    let redis = Redis::start(&[]);
    let connections = *missed(setup).1.end();
    let mut origin = Origin::start(setup, connections, "none")?;
    let mut cache = origin.cache(setup, &redis)?;
    let mut results = Results::default();
    hits(setup, &redis, &mut cache, &mut results)
        .await
        .context("hits with an origin")?;
    ensure!(origin.requests().await? == 0, "a hit asked the origin");
    misses(setup, &redis, &mut origin, &mut cache, &mut results)
        .await
        .context("misses with an origin")?;
    Ok(results)
}

async fn hits(
    setup: &Setup,
    redis: &Redis,
    cache: &mut Server,
    results: &mut Results,
) -> Result<()> {
    let mut no_origin = cache_without(setup, redis)?;
    Kind::Hit.store(redis)?;
    note_fresh(cache, redis).await?;
    let (rows, servers) = ([NO_ORIGIN, CACHE], [&mut no_origin, cache]);
    side_by_side::hits(setup, "hits with an origin", rows, servers, results)
}

/// Has every entry hit once. The first hit of an entry that some other application stored finds
/// out, in the background, for how long it is fresh: that is over when this returns.
async fn note_fresh(cache: &Server, redis: &Redis) -> Result<()> {
    let mut client = Client::connect(local(cache)).await;
    for id in Kind::Hit.ids() {
        let answer = client.send(call(&id)).await;
        ensure!(answer.status == 200, "{answer:?}");
    }
    let start = Instant::now();
    while redis.keys("provider:conn-fresh:*").len() < COUNT {
        ensure!(
            start.elapsed() < Duration::from_secs(30),
            "not every entry is known to be fresh"
        );
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn misses(
    setup: &Setup,
    redis: &Redis,
    origin: &mut Origin,
    cache: &mut Server,
    results: &mut Results,
) -> Result<()> {
    let (measured, before) = missed(setup);
    let load = |name: &str, numbers: RangeInclusive<usize>, request: fn(&str) -> String| {
        Load::new(setup, name, numbers.map(|number| request(&id(number))), 200)
    };
    let ask_cache = |id: &str| get(&path(id));
    let ask_origin = |id: &str| get_with(ORIGIN_TOKEN, &origin::path(id));
    // Not the same, so that what still goes on of the one cannot be in the way of the other.
    let warm_up = load("misses-before", before, ask_cache)?;
    let misses = load("misses", measured.clone(), ask_cache)?;
    let direct = load("misses-direct", measured, ask_origin)?;
    // The ids of the hits are among those of the origin.
    redis.command::<()>(&["FLUSHDB"]);
    origin::check(local(cache), call(&id(1)), &id(1)).await?;
    let mut floor = origin.host(setup, redis, "the floor", "hello-read-through")?;
    for round in 1..=setup.rounds {
        for callers in CALLERS {
            progress(setup, round, "misses", callers);
            direct.warm_up(setup, origin.server.port, callers)?;
            let found = direct.measure(setup, &origin.server, callers);
            origin.server.ensure_alive()?;
            results.add(ORIGIN, Kind::Miss, callers, found?);

            for (row, server) in [(FLOOR, &mut floor), (CACHE, &mut *cache)] {
                redis.command::<()>(&["FLUSHDB"]);
                warm_up.warm_up(setup, server.port, callers)?;
                let asked = origin.requests().await?;
                let found = misses.measure(setup, server, callers);
                server.ensure_alive()?;
                let found = found?;
                let asked = origin.requests().await? - asked;
                ensure!(
                    asked as f64 >= found.sample.requests,
                    "of {} lookups only {asked} asked the origin: they were not all misses",
                    found.sample.requests
                );
                results.add(row, Kind::Miss, callers, found);
            }
        }
    }
    Ok(())
}

fn progress(setup: &Setup, round: usize, what: &str, callers: usize) {
    let rounds = setup.rounds;
    eprintln!("round {round} of {rounds}: reading through, {what}, callers: {callers}");
}

fn call(id: &str) -> Call {
    Call::new("GET", &path(id)).bearer(READ_TOKEN)
}
