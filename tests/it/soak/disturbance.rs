//! What happens to Redis and to the origin meanwhile: faults, which callers must not notice, and
//! sabotage, which the checks must.

use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;
use provider_connection_origin::{Fault, Origin};

use super::world::World;
use crate::support::faults::Proxy;
use crate::support::redis::Redis;
use crate::support::until::block_until;

/// As late as an answer of the origin may be that still comes in time.
const SLOW: Duration = Duration::from_millis(200);

/// The primary of the moment, and the address that leads to it.
pub struct Primary {
    pub redis: Redis,
    pub address: Proxy,
}

impl Primary {
    pub async fn start() -> Self {
        let redis = Redis::start(&[]);
        let address = Proxy::to(&redis).await;
        Self { redis, address }
    }
}

/// What a thread of its own does to Redis during a run. It leaves Redis running.
pub type Disturbance = fn(&World, &mut Primary, &mut Rng);

/// Faults of every kind, one after the other, in any order. Of those that lose what Redis
/// holds there are fewer: what may be lost cannot be checked.
pub fn faults(world: &World, primary: &mut Primary, rng: &mut Rng) {
    let mut kinds: [Disturbance; 10] = [
        kill,
        restart,
        pause,
        pause,
        pause,
        kill_clients,
        kill_clients,
        kill_clients,
        fail_over,
        fail_over,
    ];
    // Each kind once at least, however short the run is.
    for round in 0.. {
        rng.shuffle(&mut kinds);
        for fault in kinds {
            if round > 0 && world.is_over() {
                return;
            }
            sleep_up_to(600, rng);
            fault(world, primary, rng);
        }
    }
}

fn kill(world: &World, primary: &mut Primary, rng: &mut Rng) {
    world.lose(|| primary.redis.stop());
    sleep_up_to(500, rng);
    primary.redis.start_again();
    world.counts.kills.add();
}

fn restart(world: &World, primary: &mut Primary, _: &mut Rng) {
    world.lose(|| primary.redis.shut_down());
    primary.redis.start_again();
    world.counts.restarts.add();
}

fn pause(world: &World, primary: &mut Primary, rng: &mut Rng) {
    primary.redis.pause();
    sleep(Duration::from_millis(rng.u64(50..1_000)));
    primary.redis.go_on();
    world.counts.pauses.add();
}

fn kill_clients(world: &World, primary: &mut Primary, _: &mut Rng) {
    primary.redis.kill_clients();
    world.counts.disconnections.add();
}

/// Another server takes over, in the order of an operator who loses nothing. Between the steps, writes
/// hang, lose their connection, and are refused by a replica.
fn fail_over(world: &World, primary: &mut Primary, rng: &mut Rng) {
    let old = &primary.redis;
    old.command::<()>(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
    let new = Redis::start(&["--replicaof", "127.0.0.1", &old.port().to_string()]);
    block_until("the link is up", || {
        let info: String = new.command(&["INFO", "replication"]);
        info.contains("master_link_status:up")
    });
    old.command::<()>(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    sleep_up_to(200, rng);
    let offset = |redis: &Redis| redis.info("master_repl_offset");
    block_until("nothing is missing", || offset(&new) == offset(old));
    primary.address.lead_to(&new);
    old.kill_clients();
    sleep_up_to(200, rng);
    new.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    primary.redis = new;
    world.counts.failovers.add();
}

/// Faults of the origin of every kind, one after the other, in any order, and times without one. How
/// long its answers are kept changes as well.
pub async fn faults_of_origin(world: &World, origin: &Origin, mut rng: Rng) {
    let counts = &world.counts;
    let mut kinds = [
        (Fault::Status(500), &counts.origin_errors),
        (Fault::Status(503), &counts.origin_errors),
        (Fault::Hang, &counts.origin_hangs),
        (Fault::Cut, &counts.origin_cuts),
        (Fault::Slow(SLOW / 10), &counts.origin_delays),
        (Fault::Slow(SLOW), &counts.origin_delays),
        (Fault::Garbage, &counts.origin_garbage),
    ];
    let kept = [
        "max-age=1",
        "max-age=1",
        "max-age=2",
        "max-age=300",
        "no-store",
    ];
    while !world.is_over() {
        rng.shuffle(&mut kinds);
        for (fault, count) in kinds {
            let set = origin.set_cache_control(rng.choice(kept));
            set.expect("a header");
            origin.inject(Fault::None);
            world.wait(Duration::from_millis(rng.u64(0..1_000))).await;
            origin.inject(fault);
            count.add();
            world.wait(Duration::from_millis(rng.u64(50..1_000))).await;
        }
    }
}

/// Removes entries behind the back of the model.
pub fn lose_writes(world: &World, primary: &mut Primary, rng: &mut Rng) {
    let redis = &primary.redis;
    until_noticed(world, || {
        if let Some(key) = any_key(redis, rng) {
            redis.command::<u32>(&["DEL", &key]);
        }
    });
}

/// Puts what an entry held before in the place of what it holds.
pub fn bring_back_old_values(world: &World, primary: &mut Primary, rng: &mut Rng) {
    let redis = &primary.redis;
    until_noticed(world, || {
        if let Some(key) = any_key(redis, rng)
            && let Some(old) = redis.get(&key)
            // And not what an instance noted of the origin.
            && old.contains("alias")
        {
            sleep(Duration::from_millis(200));
            redis.set(&key, old);
        }
    });
}

/// Puts the entry of another connection, under the right id, in the place of an entry.
pub fn mix_up_entries(world: &World, primary: &mut Primary, rng: &mut Rng) {
    let redis = &primary.redis;
    until_noticed(world, || {
        if let (Some(one), Some(other)) = (any_key(redis, rng), any_key(redis, rng))
            && one != other
            && let Some(value) = redis.get(&other)
        {
            let id = |key: &str| key[key.len() - 36..].to_owned();
            redis.set(&one, value.replace(&id(&other), &id(&one)));
        }
    });
}

/// Long enough for a check that works.
fn until_noticed(world: &World, mut sabotage: impl FnMut()) {
    while !world.is_over() {
        sleep(Duration::from_millis(10));
        sabotage();
    }
}

fn any_key(redis: &Redis, rng: &mut Rng) -> Option<String> {
    rng.choice(redis.keys_of_connections())
}

fn sleep_up_to(millis: u64, rng: &mut Rng) {
    sleep(Duration::from_millis(rng.u64(0..millis)));
}
