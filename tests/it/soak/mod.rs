//! The soak: readers and writers on several services over one Redis that fails again and
//! again, with every answer checked against a model.
//!
//! `make soak` runs it for long, without an origin and with one that fails as well. [`crate::model`] says
//! what a read may see, [`load`] who reads and writes, [`disturbance`] what happens to Redis and to the origin.

mod disturbance;
mod load;
mod world;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use self::disturbance::{Disturbance, Primary};
use self::load::{Caller, DEFAULT_TTL};
use self::world::{Counts, World};
use crate::support::assert_nothing_trapped;
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::service::Service;

const SERVICES: usize = 3;
const KEYS: usize = 32;
const READERS: usize = 12;

/// How the services are set up.
#[derive(Clone, Copy, Debug, Default)]
struct Setup {
    /// `edge_cache_ttl_ms`: no edge cache if it is zero.
    edge_ttl: Duration,
    reads_through: bool,
}

const READING_THROUGH: Setup = Setup {
    edge_ttl: Duration::ZERO,
    reads_through: true,
};

/// How much longer a run may take to show everything. What is rare, such as a stale answer, may not come in a few
/// seconds.
const LONGEST_REST: Duration = Duration::from_secs(120);

/// A run, for so long and until it has [shown everything](missing), or until something is found.
async fn run(duration: Duration, seed: u64, disturbance: Disturbance, setup: Setup) -> Arc<World> {
    let mut primary = Primary::start().await;
    let ttl = DEFAULT_TTL.to_string();
    let edge_ttl_ms = setup.edge_ttl.as_millis().to_string();
    let address = primary.address.address();
    let variables = [
        ("redis_address", address.as_str()),
        ("key_prefix", "soak"),
        ("redis_timeout_ms", "250"),
        ("cache_provider_ttl", ttl.as_str()),
        ("edge_cache_ttl_ms", edge_ttl_ms.as_str()),
    ];
    let mut origin = None;
    let mut through = Vec::new();
    if setup.reads_through {
        let through_origin = [
            ("origin_timeout_ms", "400"),
            ("negative_ttl", "2"),
            ("stale_if_error", "60"),
        ];
        let origin = origin.insert(origin_with(&[]).await);
        through = reading_through(origin, &through_origin);
    }
    let variables = [&variables[..], &borrowed(&through)].concat();
    let mut services = Vec::new();
    for _ in 0..SERVICES {
        services.push(Service::with(&primary.redis, &variables).await);
    }
    let addresses: Vec<_> = services.iter().map(Service::address).collect();

    let mut rng = Rng::with_seed(seed);
    let world = Arc::new(World::new(KEYS, setup.edge_ttl, origin));
    let mut tasks = JoinSet::new();
    let (disturbed, of_origin) = (Arc::clone(&world), rng.fork());
    tasks.spawn(async move {
        if let Some(origin) = disturbed.origin() {
            disturbance::faults_of_origin(&disturbed, origin, of_origin).await;
        }
    });
    for slot in 0..KEYS {
        let caller = Caller::connect(&addresses, rng.fork()).await;
        let world = Arc::clone(&world);
        tasks.spawn(async move { caller.write(&world, slot).await });
    }
    for _ in 0..READERS {
        let caller = Caller::connect(&addresses, rng.fork()).await;
        let world = Arc::clone(&world);
        tasks.spawn(async move { caller.read(&world).await });
    }
    let disturbed = Arc::clone(&world);
    let disturbance = spawn_blocking(move || {
        disturbance(&disturbed, &mut primary, &mut rng);
        primary
    });

    world.wait(duration).await;
    let rest = async {
        while !world.is_over() && missing(&world.counts, setup).is_some() {
            world.wait(Duration::from_millis(100)).await;
        }
    };
    let _seen = timeout(LONGEST_REST, rest).await;
    world.end();
    while let Some(task) = tasks.join_next().await {
        if let Err(no_answer) = task {
            world.violation(no_answer.to_string());
        }
    }
    let primary = disturbance.await.expect("Redis runs again");
    for service in &services {
        if world.violations().is_empty() {
            recovers(service).await;
        }
        assert_nothing_trapped(&service.log());
    }
    drop(primary);
    world
}

/// The service works again, now that nothing happens to Redis any more.
async fn recovers(service: &Service) {
    let ready = async {
        while service.read("GET", "/health/ready").await.status != 200 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let recovered = timeout(Duration::from_secs(30), ready).await;
    recovered.expect("the service does not recover");
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}: not a number: {text}")),
    )
}

/// Runs for SOAK_SECONDS, or for `seconds`.
async fn soak(seconds: u64, setup: Setup) {
    let seconds = number("SOAK_SECONDS").unwrap_or(seconds);
    let seed = number("SOAK_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{seconds} seconds, {setup:?}, SOAK_SEED={seed}");
    let duration = Duration::from_secs(seconds);
    let world = run(duration, seed, disturbance::faults, setup).await;
    let violations = world.violations();
    println!("{}{:>10} violations", world.counts, violations.len());
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    if let Some(what) = missing(&world.counts, setup) {
        panic!("no {what}");
    }
}

/// Returns something that a run must show, and has not shown yet.
fn missing(counts: &Counts, setup: Setup) -> Option<&'static str> {
    let all = [
        ("hits", &counts.hits),
        ("misses", &counts.misses),
        ("writes", &counts.stored),
        ("deletes", &counts.deleted),
    ];
    let through = [
        ("answers of the origin", &counts.read_through),
        ("connections that do not exist", &counts.not_found),
        ("stale answers", &counts.stale),
        ("failures of the origin", &counts.origin_failed),
    ];
    let through = through.into_iter().filter(|_| setup.reads_through);
    let mut unseen = all.into_iter().chain(through);
    let (what, _) = unseen.find(|(_, count)| count.get() == 0)?;
    Some(what)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_wrong_whatever_happens_to_redis() {
    soak(8, Setup::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_edge_cache_no_answer_is_older_than_it_may_be() {
    let setup = Setup {
        edge_ttl: Duration::from_millis(200),
        reads_through: false,
    };
    soak(4, setup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_wrong_whatever_happens_to_redis_and_to_the_origin() {
    soak(8, READING_THROUGH).await;
}

/// What a run finds when someone meddles with Redis.
async fn found(sabotage: Disturbance, setup: Setup) -> String {
    let world = run(Duration::from_secs(60), 1, sabotage, setup).await;
    world.violations().into_iter().next().expect("a violation")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_write_is_found() {
    let violation = found(disturbance::lose_writes, Setup::default()).await;
    assert!(violation.contains(": Nothing, after"), "{violation}");
}

fn names_a_value(violation: &str) -> bool {
    violation.contains(": Value(") || violation.contains(": Something, after")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_replaced_or_deleted_is_found() {
    for setup in [Setup::default(), READING_THROUGH] {
        let violation = found(disturbance::bring_back_old_values, setup).await;
        assert!(names_a_value(&violation), "{setup:?}: {violation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_value_of_another_is_found() {
    let violation = found(disturbance::mix_up_entries, Setup::default()).await;
    assert!(names_a_value(&violation), "{violation}");
}
