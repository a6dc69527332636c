//! Those who write and read: what they send, and what the answers say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::world::{Key, World, entry_of};
use crate::model::{Effect, Outcome, Seen};
use crate::support::client::{Answer, Call, Client};
use crate::support::service::{BASE, READ_TOKEN, WRITE_TOKEN, path};

/// `cache_provider_ttl`, in seconds.
pub const DEFAULT_TTL: u64 = 300;

/// A caller, with a kept-alive connection to every service.
pub struct Caller {
    clients: Vec<Client>,
    rng: Rng,
}

impl Caller {
    /// Connects to the services.
    pub async fn connect(services: &[SocketAddr], rng: Rng) -> Self {
        let mut clients = Vec::new();
        for service in services {
            clients.push(Client::connect(*service).await);
        }
        Self { clients, rng }
    }

    /// Sends it to one of the services.
    async fn send(&mut self, call: Call) -> Answer {
        let service = self.rng.usize(0..self.clients.len());
        self.clients[service].send(call).await
    }

    async fn pause(&mut self, world: &World, up_to_ms: u64) {
        let time = Duration::from_millis(self.rng.u64(0..up_to_ms));
        world.wait(time).await;
    }

    /// Writes the key in this place, and those that follow it there.
    pub async fn write(mut self, world: &World, slot: usize) {
        while !world.is_over() {
            let key = world.key(slot);
            match self.rng.u8(0..100) {
                0..15 => self.delete(world, &key).await,
                15..20 => self.put_in_vain(world, &key).await,
                20..45 => {
                    let ttl = self.rng.u64(1..=3);
                    self.put(world, &key, Some(ttl)).await;
                    if self.rng.bool() {
                        world.wait(Duration::from_secs(ttl)).await;
                        self.pause(world, 1_000).await;
                    }
                }
                // So that there is time to miss, to ask the origin, and to expire.
                45..60 if world.origin().is_some() => {
                    self.change_database(world, &key);
                    self.pause(world, 300).await;
                }
                60..85 if world.origin().is_some() => {
                    self.delete(world, &key).await;
                    self.pause(world, 100).await;
                }
                _ => self.put(world, &key, None).await,
            }
            self.pause(world, 20).await;
            world.replace_if_spent(slot);
        }
    }

    async fn put(&mut self, world: &World, key: &Key, ttl: Option<u64>) {
        let value = world.fresh_value();
        let effect = Effect::Put {
            value: value.clone(),
            ttl: Duration::from_secs(ttl.unwrap_or(DEFAULT_TTL)),
        };
        let query = ttl.map_or(String::new(), |ttl| format!("?ttl={ttl}"));
        world.say(key, Some(&value));
        world.begin(key, effect);
        let answer = self.send(put(&key.id, &query, &value)).await;
        let outcome = match answer.status {
            204 => Outcome::Acknowledged,
            503 => Outcome::Unknown,
            _ => return unexpected(world, &key.id, &answer),
        };
        world.end_operation(key, outcome);
        match outcome {
            Outcome::Acknowledged => world.counts.stored.add(),
            _ => world.counts.not_stored.add(),
        }
    }

    /// A write that must be refused, and never be seen.
    async fn put_in_vain(&mut self, world: &World, key: &Key) {
        let value = world.fresh_value();
        let effect = Effect::Put {
            value: value.clone(),
            ttl: Duration::from_secs(DEFAULT_TTL),
        };
        world.begin(key, effect);
        let answer = self.send(put(&key.id, "?ttl=0", &value)).await;
        if answer.status != 400 {
            return unexpected(world, &key.id, &answer);
        }
        world.end_operation(key, Outcome::Refused);
        world.counts.refused.add();
    }

    /// Changes what the origin says, and tells no cache of it.
    fn change_database(&mut self, world: &World, key: &Key) {
        let value = self.rng.u8(0..4) > 0;
        let value = value.then(|| world.fresh_value());
        world.say(key, value.as_deref());
    }

    async fn delete(&mut self, world: &World, key: &Key) {
        if self.rng.u8(0..4) > 0 {
            self.change_database(world, key);
        }
        let start = world.begin(key, Effect::Delete);
        let call = Call::new("DELETE", &path(&key.id)).bearer(WRITE_TOKEN);
        let answer = self.send(call).await;
        let outcome = match answer.status {
            // Sent again on another connection, it does not find what it removed before: so
            // only what was there is checked.
            204 | 404 => Outcome::Acknowledged,
            503 => Outcome::Unknown,
            _ => return unexpected(world, &key.id, &answer),
        };
        if answer.status == 204 {
            world.check(key, start, Seen::Something);
        }
        world.end_operation(key, outcome);
        match outcome {
            Outcome::Acknowledged => world.counts.deleted.add(),
            _ => world.counts.not_deleted.add(),
        }
    }

    /// Reads keys, one or many at a time.
    pub async fn read(mut self, world: &World) {
        while !world.is_over() {
            match self.rng.u8(0..10) {
                0..6 => self.get(world, "", READ_TOKEN).await,
                6..8 => self.get(world, "?view=full", WRITE_TOKEN).await,
                _ => self.look_up(world).await,
            }
            self.pause(world, 6).await;
        }
    }

    async fn get(&mut self, world: &World, query: &str, token: &str) {
        let key = world.key(self.rng.usize(0..world.slots()));
        let call = Call::new("GET", &format!("{}{query}", path(&key.id))).bearer(token);
        let start = world.now();
        let answer = self.send(call).await;
        let counts = &world.counts;
        let reads_through = world.origin().is_some();
        match (answer.status, CacheStatus::of(&answer)) {
            (200, CacheStatus::Hit) => counts.hits.add(),
            (200, CacheStatus::ReadThrough) => counts.read_through.add(),
            (200, CacheStatus::Stale) => counts.stale.add(),
            (404, CacheStatus::NotFound) => {
                counts.not_found.add();
                return world.check(&key, start, Seen::NotFound);
            }
            (404, CacheStatus::OriginFailed) => return counts.origin_failed.add(),
            (404, CacheStatus::Miss) if !reads_through => {
                counts.misses.add();
                return world.check(&key, start, Seen::Nothing);
            }
            (404, CacheStatus::FailedOpen) if !reads_through => return counts.failed_open.add(),
            _ => return unexpected(world, &key.id, &answer),
        }
        check(world, &key, start, &answer.json());
    }

    async fn look_up(&mut self, world: &World) {
        let count = self.rng.usize(1..=8);
        let slots = self.rng.choose_multiple(0..world.slots(), count);
        let keys: BTreeMap<_, _> = slots
            .into_iter()
            .map(|slot| world.key(slot))
            .map(|key| (key.id.clone(), key))
            .collect();
        let ids: Vec<_> = keys.keys().collect();
        let call = Call::new("POST", &format!("{BASE}/lookup"))
            .bearer(READ_TOKEN)
            .json(json!({ "ids": ids }).to_string());
        let start = world.now();
        let answer = self.send(call).await;
        let all = format!("{ids:?}");
        // The origin is not asked for many.
        let status = CacheStatus::of(&answer);
        let is_cached = matches!(
            status,
            CacheStatus::Hit | CacheStatus::NotFound | CacheStatus::Miss | CacheStatus::FailedOpen
        );
        if answer.status != 200 || !is_cached {
            return unexpected(world, &all, &answer);
        }
        let body = answer.json();
        let Some(connections) = body["connections"].as_object() else {
            return unexpected(world, &all, &answer);
        };
        if !connections.keys().eq(keys.keys()) {
            return unexpected(world, &all, &answer);
        }
        for (id, found) in connections {
            let (counts, key) = (&world.counts, &keys[id]);
            match (found.is_null(), status) {
                (true, CacheStatus::FailedOpen) => counts.failed_open.add(),
                (true, CacheStatus::Hit) => return unexpected(world, &all, &answer),
                // The status is that of the worst: nothing is missing.
                (true, CacheStatus::NotFound) => {
                    counts.not_found.add();
                    world.check(key, start, Seen::NotFound);
                }
                (true, _) => {
                    counts.misses.add();
                    world.check(key, start, Seen::Nothing);
                }
                (false, _) => {
                    counts.hits.add();
                    check(world, key, start, found);
                }
            }
        }
    }
}

fn put(id: &str, query: &str, value: &str) -> Call {
    let call = Call::new("PUT", &format!("{}{query}", path(id)));
    call.bearer(WRITE_TOKEN)
        .json(entry_of(id, value).to_string())
}

/// Checks what was found: the value, and that it is whole.
fn check(world: &World, key: &Key, start: Duration, found: &Value) {
    let alias = &found["alias"];
    let is_whole = found["id"] == key.id.as_str()
        && found["user_id"] == entry_of(&key.id, "")["user_id"]
        && found
            .get("credentials")
            .is_none_or(|credentials| credentials["encrypted_data"] == *alias);
    match alias.as_str() {
        Some(value) if is_whole => world.check(key, start, Seen::Value(value.to_owned())),
        _ => world.violation(format!("{}: not what was written: {found}", key.id)),
    }
}

fn unexpected(world: &World, id: &str, answer: &Answer) {
    world.violation(format!("{id}: an answer that must not be: {answer:?}"));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CacheStatus {
    Hit,
    Miss,
    /// Redis did not answer.
    FailedOpen,
    /// The origin has no such connection, or had none a moment ago.
    NotFound,
    ReadThrough,
    Stale,
    OriginFailed,
    /// None at all, or that of a corrupt entry: nobody writes such.
    Other,
}

impl CacheStatus {
    fn of(answer: &Answer) -> Self {
        let status = answer.optional_header("cache-status").unwrap_or_default();
        let mut parts = status.split("; ");
        if parts.next() != Some("provider-connection-cache") || status.contains("corrupt") {
            return Self::Other;
        }
        let parts: Vec<_> = parts.filter(|part| *part != "collapsed").collect();
        match parts.as_slice() {
            ["hit"] | ["hit", "detail=edge"] => Self::Hit,
            ["hit", "detail=not-found"] | ["fwd=miss", "fwd-status=404", ..] => Self::NotFound,
            ["fwd=miss"] => Self::Miss,
            ["fwd=miss", "detail=timeout" | "detail=unavailable"] => Self::FailedOpen,
            ["fwd=miss", "fwd-status=200", ..] => Self::ReadThrough,
            ["fwd=stale", _] => Self::Stale,
            ["fwd=miss", why, ..] if why.starts_with("fwd-status=5") => Self::OriginFailed,
            ["fwd=miss", why] if why.starts_with("detail=origin-") => Self::OriginFailed,
            _ => Self::Other,
        }
    }
}
