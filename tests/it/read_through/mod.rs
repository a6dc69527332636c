//! Reading through to the origin, which is that of `examples/origin`, with faults.

mod background;
mod breaker;
mod failures;
mod flow;
mod freshness;
mod headers;
mod limits;
mod refusals;
mod stampede;

use std::sync::Arc;

use provider_connection_origin::Origin;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::cache::Cache;
use crate::support::client::Answer;
use crate::support::connection::{entry, id};
use crate::support::origin::{borrowed, reading_through};
use crate::support::redis::Redis;
use crate::support::service::{Service, path};
use crate::support::until::until;

const HIT: &str = "provider-connection-cache; hit";
const HIT_NOT_FOUND: &str = "provider-connection-cache; hit; detail=not-found";
const STORED: &str = "provider-connection-cache; fwd=miss; fwd-status=200; stored";
const PASSED: &str = "provider-connection-cache; fwd=miss; fwd-status=200";
const NOT_FOUND: &str = "provider-connection-cache; fwd=miss; fwd-status=404";

/// Headers of an answer of the origin.
type Headers<'a> = &'a [(&'static str, &'a str)];

/// A service that reads through.
async fn service(redis: &Redis, origin: &Origin, more: &[(&str, &str)]) -> Service {
    Service::with(redis, &borrowed(&reading_through(origin, more))).await
}

/// The same of the lean component.
async fn cache(redis: &Redis, origin: &Origin, more: &[(&str, &str)]) -> Cache {
    Cache::with(redis, &borrowed(&reading_through(origin, more))).await
}

/// A lookup of connection 1 under way, which the origin has been asked for.
async fn reading(service: &Arc<Service>, origin: &Origin) -> JoinHandle<Answer> {
    let before = origin.requests();
    let reader = Arc::clone(service);
    let reading = tokio::spawn(async move { reader.read("GET", &path(&id(1))).await });
    until("it asks", || origin.requests() == before + 1).await;
    reading
}

/// The status and the `Cache-Status` of a lookup.
async fn read(service: &Service, number: usize) -> (u16, String) {
    told(&service.read("GET", &path(&id(number))).await)
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status, answer.header("cache-status").to_owned())
}

/// What [`read`] comes to.
fn seen(status: u16, cache_status: &str) -> (u16, String) {
    (status, cache_status.to_owned())
}

/// The connection of [`entry`], with another alias.
fn named(number: usize, alias: &str) -> Value {
    let mut entry = entry(&id(number));
    entry["alias"] = json!(alias);
    entry
}

/// The alias of what is stored, if it is a connection.
fn stored_alias(redis: &Redis, key: &str) -> Option<String> {
    let stored: Value = serde_json::from_str(&redis.get(key)?).expect("JSON");
    stored["alias"].as_str().map(str::to_owned)
}

/// The keys that go with an entry.
fn fresh_key(key: &str) -> String {
    key.replace("provider:conn:", "provider:conn-fresh:")
}

fn stale_key(key: &str) -> String {
    key.replace("provider:conn:", "provider:conn-stale:")
}

/// The keys of the origin's circuit breaker: the pause, and the failures in a row.
fn breaker_keys(service: &Service) -> [String; 2] {
    let key = service.key("");
    ["pause", "failures"].map(|of| key.replace("conn:", &format!("conn-origin:{of}")))
}
