//! Components that import the cache, composed with the built one. All examples do the same, in
//! their languages: `GET /sync/{id}`, cache-aside.

mod rust;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::client::{Answer, Call};
use crate::support::redis::{Redis, unique_prefix};
use crate::support::service::Service;
use crate::support::{assert_nothing_trapped, in_repository, variables};

/// A connection of the examples' databases: active, revoked, active without a valid credential,
/// or, from 4 on, none.
fn id(number: usize) -> String {
    format!("0192f3a4-5b6c-7d8e-9f02-{number:012}")
}

/// The manifest of an example, which must be built.
fn manifest(example: &str, built: &str) -> PathBuf {
    let directory = in_repository("examples").join(example);
    let component = directory.join(built);
    assert!(
        component.exists(),
        "{example} is missing: run `make {example}` first"
    );
    directory.join("spin.toml")
}

/// An example as its manifest composes it, over this Redis.
async fn start(manifest: &Path, redis: &Redis) -> Service {
    let prefix = unique_prefix();
    let variables = variables(redis, &[("key_prefix", prefix.as_str())]);
    Service::start_from(manifest, variables).await
}

async fn sync(service: &Service, id: &str) -> Answer {
    service.send(Call::new("GET", &format!("/sync/{id}"))).await
}

/// What `GET /sync/{id}` says of connection `number`.
async fn state(service: &Service, number: usize) -> (u16, Value) {
    let answer = sync(service, &id(number)).await;
    assert_eq!(answer.header("content-type"), "application/json");
    (answer.status, answer.json())
}

fn said(number: usize, status: &str, can_sync: bool, source: &str) -> Value {
    json!({ "id": id(number), "status": status, "can_sync": can_sync, "source": source })
}

/// The first who asks learns it from the database, the next from the cache.
async fn asks_the_cache_first_and_stores_what_the_database_says(service: &Service, redis: &Redis) {
    for (number, code, status) in [(1, 200, "active"), (2, 409, "revoked"), (3, 409, "active")] {
        for source in ["database", "cache", "cache"] {
            let wanted = (code, said(number, status, number == 1, source));
            assert_eq!(state(service, number).await, wanted);
        }
        let key = service.key(&id(number));
        assert!((1..=300).contains(&redis.ttl(&key)), "{key}");
        let entry: Value = serde_json::from_str(&redis.get(&key).unwrap()).unwrap();
        assert_eq!(entry["id"], id(number));
        assert_eq!(entry["status"], status);
        assert_eq!(entry["created_at"], "2026-01-27T05:17:19.123456+00:00");
        assert_eq!(entry["credentials"].is_null(), number == 2);
    }
    // What is in the cache is what counts, until it runs out.
    let other = redis
        .get(&service.key(&id(1)))
        .unwrap()
        .replace(&id(1), &id(4));
    redis.set(&service.key(&id(4)), other.replace("active", "pending"));
    assert_eq!(
        state(service, 4).await,
        (409, said(4, "pending", false, "cache"))
    );
    assert_nothing_trapped(&service.log());
}

async fn says_what_is_wrong_with_a_request(service: &Service) {
    for (method, path, status) in [
        ("GET", format!("/sync/{}", id(5)), 404),
        ("GET", "/sync/".to_owned(), 400),
        ("GET", "/sync/x".to_owned(), 400),
        ("GET", "/".to_owned(), 404),
        ("POST", format!("/sync/{}", id(1)), 405),
    ] {
        let answer = service.send(Call::new(method, &path)).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["status"], status);
        assert_eq!(
            answer.optional_header("allow"),
            (status == 405).then_some("GET")
        );
    }
    let spelled = format!("%7B{}%7D", id(1).to_uppercase());
    assert_eq!(
        sync(service, &spelled).await.status,
        400,
        "it decodes nothing"
    );
    assert_eq!(sync(service, &id(1).to_uppercase()).await.status, 200);
}

/// Redis is not there: the database answers, and the log says what is not cached.
async fn answers_without_redis(service: &Service) {
    for _ in 0..2 {
        let wanted = (200, said(1, "active", true, "database"));
        assert_eq!(state(service, 1).await, wanted);
    }
    assert!(
        service.log().contains("was not cached"),
        "{}",
        service.log()
    );
    assert_nothing_trapped(&service.log());
}

/// What leaves in a second packet waits for the client, and without a length it would.
async fn says_how_long_its_answer_is(service: &Service) {
    let mut client = service.connect().await;
    for number in 1..=5 {
        let answer = client
            .send(Call::new("GET", &format!("/sync/{}", id(number))))
            .await;
        let length = answer.body.len().to_string();
        assert_eq!(answer.header("content-length"), length);
        assert_eq!(answer.optional_header("transfer-encoding"), None);
    }
}
