//! What happens to Redis meanwhile: faults, which callers must not notice, and sabotage,
//! which the checks must.

use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;

use super::world::World;
use crate::support::redis::Redis;

/// What a thread of its own does to Redis during a run. It leaves Redis running.
pub type Disturbance = fn(&World, &mut Redis, &mut Rng);

/// Faults of every kind, one after the other, in any order. Of those that lose what Redis
/// holds there are fewer: what may be lost cannot be checked.
pub fn faults(world: &World, redis: &mut Redis, rng: &mut Rng) {
    let mut kinds: [Disturbance; 8] = [
        kill,
        restart,
        pause,
        pause,
        pause,
        kill_clients,
        kill_clients,
        kill_clients,
    ];
    // Each kind once at least, however short the run is.
    for round in 0.. {
        rng.shuffle(&mut kinds);
        for fault in kinds {
            if round > 0 && world.is_over() {
                return;
            }
            sleep_up_to(600, rng);
            fault(world, redis, rng);
        }
    }
}

fn kill(world: &World, redis: &mut Redis, rng: &mut Rng) {
    world.lose(|| redis.stop());
    sleep_up_to(500, rng);
    redis.start_again();
    world.counts.kills.add();
}

fn restart(world: &World, redis: &mut Redis, _: &mut Rng) {
    world.lose(|| redis.shut_down());
    redis.start_again();
    world.counts.restarts.add();
}

fn pause(world: &World, redis: &mut Redis, rng: &mut Rng) {
    redis.pause();
    sleep(Duration::from_millis(rng.u64(50..1_000)));
    redis.go_on();
    world.counts.pauses.add();
}

fn kill_clients(world: &World, redis: &mut Redis, _: &mut Rng) {
    redis.kill_clients();
    world.counts.disconnections.add();
}

/// Removes entries behind the back of the model.
pub fn lose_writes(world: &World, redis: &mut Redis, rng: &mut Rng) {
    until_noticed(world, || {
        if let Some(key) = any_key(redis, rng) {
            redis.command::<u32>(&["DEL", &key]);
        }
    });
}

/// Puts what an entry held before in the place of what it holds.
pub fn bring_back_old_values(world: &World, redis: &mut Redis, rng: &mut Rng) {
    until_noticed(world, || {
        if let Some(key) = any_key(redis, rng)
            && let Some(old) = redis.get(&key)
        {
            sleep(Duration::from_millis(200));
            redis.set(&key, old);
        }
    });
}

/// Puts the entry of another connection, under the right id, in the place of an entry.
pub fn mix_up_entries(world: &World, redis: &mut Redis, rng: &mut Rng) {
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
