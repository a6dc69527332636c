//! What no honest caller sends. Whatever it is, the service answers as it documents or
//! closes the connection, goes on serving others, and sends Redis nothing but the commands
//! of the design with canonical keys.

mod access;
mod bodies;
mod corpus;
mod heads;
mod kept;
mod redaction;

use provider_connection_cache::connection::Id;

use crate::support::assert_nothing_trapped;
use crate::support::client::Answer;
use crate::support::connection::{entry, id};
use crate::support::monitor::Monitor;
use crate::support::raw::{RawAnswer, bearer, exchange, request};
use crate::support::redis::Redis;
use crate::support::service::{BASE, READ_TOKEN, Service, WRITE_TOKEN, path};

/// A service under attack, with a Redis of its own that is listened to.
struct Target {
    redis: Redis,
    monitor: Monitor,
    service: Service,
}

impl Target {
    /// One that holds connection 1.
    async fn new() -> Self {
        let redis = Redis::start(&[]);
        let monitor = Monitor::of(&redis);
        let service = Service::over(&redis).await;
        let target = Self {
            redis,
            monitor,
            service,
        };
        target.service.hold(&id(1)).await;
        target
    }

    /// The commands that reached Redis since the last time, checked; without those that hand on
    /// what was counted, in their own time.
    fn commands(&self) -> Vec<Vec<String>> {
        let mut commands = self.monitor.commands(&self.redis);
        commands.retain(|command| !self.is_report(command));
        for command in &commands {
            let words: Vec<_> = command.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["MGET", one, other] if self.are_probes(&[one, other]) => {}
                ["SET", key, "", "XX", "PX", "1"] if self.are_probes(&[key]) => {}
                ["GET" | "DEL", key] => self.assert_canonical(key),
                ["MGET", keys @ ..] if !keys.is_empty() => {
                    keys.iter().for_each(|key| self.assert_canonical(key));
                }
                ["SET", key, _, "EX", ttl] => {
                    self.assert_canonical(key);
                    let ttl = ttl.parse().unwrap();
                    assert!((1..=2_592_000).contains(&ttl), "{ttl}");
                }
                // What was counted, read.
                ["EVAL", _, count, keys @ ..]
                    if count.parse().is_ok_and(|count: usize| count == keys.len())
                        && self.are_of_stats(keys) => {}
                other => panic!("{other:?} reached Redis"),
            }
        }
        commands
    }

    fn is_report(&self, command: &[String]) -> bool {
        let words: Vec<_> = command.iter().map(String::as_str).collect();
        matches!(words.as_slice(), ["EVAL", _, "2", hour, total, "172800", ..]
            if self.are_of_stats(&[hour, total]))
    }

    fn are_of_stats(&self, keys: &[&str]) -> bool {
        let stats = self.service.stats_key("");
        keys.iter().all(|key| key.starts_with(&stats))
    }

    /// Readiness tries commands on keys that do not exist.
    fn are_probes(&self, keys: &[&str]) -> bool {
        let probes = ["ready-a", "ready-b"].map(|name| self.service.key(name));
        keys.iter()
            .all(|key| probes.iter().any(|probe| probe == key))
    }

    fn assert_canonical(&self, key: &str) {
        let prefix = self.service.key("");
        let id = key
            .strip_prefix(&prefix)
            .unwrap_or_else(|| panic!("the key {key:?}"));
        let canonical = Id::parse("id", id).expect("a UUID").to_string();
        assert_eq!(id, canonical);
    }

    /// Fails unless the service came through all that unharmed.
    async fn survived(self) {
        let answer = self.service.read("GET", &path(&id(1))).await;
        assert_eq!(answer.status, 200, "it does not serve any more");
        let ready = self.service.read("GET", "/health/ready").await;
        assert_eq!(ready.status, 200);
        self.commands();
        assert_nothing_trapped(&self.service.log());
    }

    /// The answer to a request in bytes.
    async fn exchange(&self, request: impl Into<Vec<u8>>) -> Option<RawAnswer> {
        exchange(self.service.address(), request.into()).await
    }
}

/// The status of an answer that must be there.
fn status(answer: Option<RawAnswer>) -> u16 {
    answer
        .expect("an answer, not the end of the connection")
        .status
}
