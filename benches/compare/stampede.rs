//! Many callers who miss the same connection at the same moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::sync::Semaphore;

use crate::origin::{self, Origin, local};
use crate::results::median;
use crate::setup::Setup;
use crate::support::client::{Call, Client};
use crate::support::connection::id;
use crate::support::redis::Redis;
use crate::support::service::{READ_TOKEN, path};

/// How many callers there are, each with a connection of its own.
pub const CALLERS: usize = 1_000;
/// How long the origin takes, so that there are all of them before it has answered the first.
pub const SLOW: Duration = Duration::from_millis(50);

/// What the callers of each round ask, one after the other.
pub struct Stampede {
    /// The callers ask the cache, in two hosts.
    pub cache: Burst,
    /// The same once more, when it has the connection: what so many callers take anyway.
    pub held: Burst,
    /// The callers ask the origin.
    pub origin: Burst,
}

/// What a burst of callers found: medians of all rounds, times in seconds.
pub struct Burst {
    /// The most requests that the origin was sent in a round.
    pub requests: u64,
    /// What half of the callers waited at most.
    pub p50: f64,
    /// What all but one in a hundred waited at most.
    pub p99: f64,
    /// What the last one waited.
    pub max: f64,
}

/// How often it is measured.
pub fn rounds(setup: &Setup) -> usize {
    3 * setup.rounds
}

/// Lets them loose on each in turn. That the cache asks the origin once is no matter of time:
/// it is an error if it does not.
pub async fn measure(setup: &Setup) -> Result<Stampede> {
    let rounds = rounds(setup);
    let redis = Redis::start(&[]);
    let fault = format!("slow={}ms", SLOW.as_millis());
    let mut origin = Origin::start(setup, rounds, &fault)?;
    let mut hosts = [origin.cache(setup, &redis)?, origin.cache(setup, &redis)?];
    let caches = [local(&hosts[0]), local(&hosts[1])];
    let (mut by_cache, mut by_held, mut by_origin) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}: stampede");
        let id = id(round);
        let direct = origin::call(&origin::path(&id));
        let found = run(&origin, &[origin.address()], &direct).await;
        origin.server.ensure_alive()?;
        by_origin.push(found.context("a stampede on the origin")?);
        let cached = Call::new("GET", &path(&id)).bearer(READ_TOKEN);
        for (expected, rounds) in [(1, &mut by_cache), (0, &mut by_held)] {
            let found = run(&origin, &caches, &cached).await;
            for host in &mut hosts {
                host.ensure_alive()?;
            }
            let found = found.context("a stampede on the cache")?;
            ensure!(
                found.requests == expected,
                "the cache asked the origin {} times, not {expected}, for one connection",
                found.requests
            );
            rounds.push(found);
        }
    }
    Ok(Stampede {
        cache: middle(&by_cache),
        held: middle(&by_held),
        origin: middle(&by_origin),
    })
}

/// One round.
async fn run(origin: &Origin, addresses: &[SocketAddr], call: &Call) -> Result<Burst> {
    let before = origin.requests().await?;
    let mut times = burst(addresses, call).await?;
    let requests = origin.requests().await? - before;
    times.sort();
    let at = |share: usize| times[(CALLERS * share).div_ceil(100) - 1].as_secs_f64();
    Ok(Burst {
        requests,
        p50: at(50),
        p99: at(99),
        max: at(100),
    })
}

/// How long each caller waits, from the moment on at which all are let go.
async fn burst(addresses: &[SocketAddr], call: &Call) -> Result<Vec<Duration>> {
    let gate = Arc::new(Semaphore::new(0));
    let mut callers = Vec::new();
    for address in addresses.iter().cycle().take(CALLERS) {
        let mut client = Client::connect(*address).await;
        let (gate, call) = (Arc::clone(&gate), call.clone());
        callers.push(tokio::spawn(async move {
            let _pass = gate.acquire().await;
            let answer = client.send(call).await;
            (Instant::now(), answer)
        }));
    }
    let start = Instant::now();
    gate.add_permits(CALLERS);
    let mut times = Vec::new();
    for caller in callers {
        let (end, answer) = caller.await?;
        ensure!(answer.status == 200, "{answer:?}");
        times.push(end - start);
    }
    Ok(times)
}

fn middle(rounds: &[Burst]) -> Burst {
    let of = |figure: fn(&Burst) -> f64| median(rounds.iter().map(figure));
    Burst {
        requests: rounds.iter().map(|round| round.requests).max().unwrap_or(0),
        p50: of(|round| round.p50),
        p99: of(|round| round.p99),
        max: of(|round| round.max),
    }
}
