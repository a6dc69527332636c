//! Those who write and read: what they send, and what the answers say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::world::{Key, World};
use crate::model::{Effect, Outcome, Seen};
use crate::support::client::{Answer, Call, Client};
use crate::support::connection::entry;
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

    async fn delete(&mut self, world: &World, key: &Key) {
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
        let found = match (answer.status, CacheStatus::of(&answer)) {
            (200, CacheStatus::Hit) => Some(answer.json()),
            (404, CacheStatus::Miss) => None,
            (404, CacheStatus::FailedOpen) => return world.counts.failed_open.add(),
            _ => return unexpected(world, &key.id, &answer),
        };
        check(world, &key, start, found.as_ref());
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
        let status = CacheStatus::of(&answer);
        if answer.status != 200 || status == CacheStatus::Other {
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
            match (found.is_null(), status) {
                (true, CacheStatus::FailedOpen) => world.counts.failed_open.add(),
                (true, CacheStatus::Hit) => return unexpected(world, &all, &answer),
                (true, _) => check(world, &keys[id], start, None),
                (false, _) => check(world, &keys[id], start, Some(found)),
            }
        }
    }
}

/// The connection that holds a value: in its alias, and in its credentials.
fn put(id: &str, query: &str, value: &str) -> Call {
    let mut entry = entry(id);
    entry["alias"] = value.into();
    entry["credentials"]["encrypted_data"] = value.into();
    let call = Call::new("PUT", &format!("{}{query}", path(id)));
    call.bearer(WRITE_TOKEN).json(entry.to_string())
}

/// Checks what was found: the value, and that it is whole.
fn check(world: &World, key: &Key, start: Duration, found: Option<&Value>) {
    let Some(found) = found else {
        world.counts.misses.add();
        return world.check(key, start, Seen::Nothing);
    };
    world.counts.hits.add();
    let alias = &found["alias"];
    let is_whole = found["id"] == key.id.as_str()
        && found["user_id"] == entry(&key.id)["user_id"]
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
    FailedOpen,
    /// None at all, or that of a corrupt entry: nobody writes such.
    Other,
}

impl CacheStatus {
    fn of(answer: &Answer) -> Self {
        let status = answer.optional_header("cache-status").unwrap_or_default();
        match status.strip_prefix("provider-connection-cache; ") {
            Some("hit" | "hit; detail=edge") => Self::Hit,
            Some("fwd=miss") => Self::Miss,
            Some("fwd=miss; detail=timeout" | "fwd=miss; detail=unavailable") => Self::FailedOpen,
            _ => Self::Other,
        }
    }
}
