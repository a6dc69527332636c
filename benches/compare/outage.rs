//! What an outage of Redis costs the callers, and how soon it is over for them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::{interval, sleep};

use crate::entries::{COUNT, Kind};
use crate::process::Server;
use crate::program::{self, REUSE_RAISED};
use crate::setup::Setup;
use crate::support::client::{Answer, Call, Client};
use crate::support::redis::{Redis, free_port};
use crate::support::service::{READ_TOKEN, path};

/// Lookups in a second, each sent whether or not others still wait.
const RATE: u32 = 50;
/// What a lookup may take, that it counts as answered at once.
const AT_ONCE: Duration = Duration::from_millis(10);

/// An outage.
pub struct Outage {
    /// How Redis fails, and how long instances live.
    pub name: &'static str,
    /// How many lookups there were.
    pub lookups: usize,
    /// The share of them that took no more than 10 ms.
    pub at_once: f64,
    /// The time that the slowest took.
    pub slowest: Duration,
    /// The time from the return of Redis to the first hit.
    pub recovery: Duration,
}

/// Redis is gone, or stopped in its tracks, with the deadline of 250 ms.
pub async fn measure(setup: &Setup) -> Result<Vec<Outage>> {
    let mut outages = Vec::new();
    for (name, stopped, options) in [
        ("Redis is killed", false, &[][..]),
        ("Redis is stopped (SIGSTOP)", true, &[]),
        ("the same, reuse raised", true, &[REUSE_RAISED]),
    ] {
        let mut redis = Redis::start(&[]);
        Kind::Hit.store(&redis)?;
        let port = free_port();
        let component = program::CACHE;
        let mut command = program::component(setup, &redis.address(), port, component, options)?;
        command.args(["--variable", "redis_timeout_ms=250"]);
        let _server = Server::start(name, command, port, &setup.directory)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        ensure!(lookup(address, 0).await.1.status == 200, "no hit before");
        if stopped {
            redis.pause();
        } else {
            redis.stop();
        }
        let times = lookups(address, if setup.smoke { 1 } else { 10 }).await?;
        if stopped {
            redis.go_on();
        } else {
            redis.start_again();
        }
        let back = Instant::now();
        if !stopped {
            Kind::Hit.store(&redis)?;
        }
        while lookup(address, 0).await.1.status != 200 {
            ensure!(back.elapsed() < Duration::from_secs(30), "no recovery");
            sleep(Duration::from_millis(5)).await;
        }
        let recovery = back.elapsed();
        let at_once = times.iter().filter(|time| **time <= AT_ONCE).count();
        outages.push(Outage {
            name,
            lookups: times.len(),
            at_once: at_once as f64 / times.len() as f64,
            slowest: times.iter().max().copied().unwrap_or_default(),
            recovery,
        });
    }
    Ok(outages)
}

async fn lookups(address: SocketAddr, seconds: u32) -> Result<Vec<Duration>> {
    let mut ticks = interval(Duration::from_secs(1) / RATE);
    let mut tasks = Vec::new();
    for number in 0..RATE * seconds {
        ticks.tick().await;
        // Each of another connection: lookups of the same one would share their fate.
        tasks.push(tokio::spawn(lookup(address, number as usize % COUNT)));
    }
    let mut times = Vec::new();
    for task in tasks {
        let (time, answer) = task.await?;
        ensure!(answer.status == 404, "{answer:?}");
        times.push(time);
    }
    Ok(times)
}

async fn lookup(address: SocketAddr, number: usize) -> (Duration, Answer) {
    let mut client = Client::connect(address).await;
    let start = Instant::now();
    let call = Call::new("GET", &path(&Kind::Hit.id(number))).bearer(READ_TOKEN);
    let answer = client.send(call).await;
    (start.elapsed(), answer)
}
