//! The examples that import the cache, each with the cache inside, as their manifests say. In their
//! languages all do the same, so these are the tests of each: `GET /sync/{id}`, cache-aside.

mod python;
mod rust;

use std::path::Path;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::cache::Cache;
use crate::support::client::{Answer, Call};
use crate::support::connection::{entry, from_json, id};
use crate::support::redis::{Redis, unique_prefix};
use crate::support::service::Service;
use crate::support::{assert_nothing_trapped, variables};

/// The tests of the application in a manifest, which must be built.
macro_rules! tests_of_the_consumer {
    ($manifest:expr) => {
        super::tests_of_the_consumer!($manifest,
            what_the_cache_misses_comes_from_the_database_once
            what_others_cached_needs_no_database
            what_nobody_knows_and_what_is_no_request_is_said_so
            without_redis_the_database_answers
            many_at_the_same_time_get_each_their_own_answer);
    };
    ($manifest:expr, $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(&$manifest).await;
            }
        )+
    };
}
use tests_of_the_consumer;

/// The id of a connection in the databases of the examples, which have the first four.
fn stored(number: usize) -> String {
    format!("0192f3a4-5b6c-7d8e-9f02-{number:012x}")
}

/// What is in Redis for [`stored`] 1 after it was missed.
fn stored_entry() -> Value {
    json!({
        "id": stored(1),
        "user_id": "0192f3a4-5b6c-7d8e-9f02-0000000003e8",
        "provider_id": "0192f3a4-5b6c-7d8e-9f02-0000000007d0",
        "provider_slug": "schwab",
        "status": "active",
        "alias": "My Schwab IRA",
        "credentials": {
            "encrypted_data": "Z0FBQUFBQm5sLWNpcGhlcnRleHQ=",
            "credential_type": "oauth2",
            "expires_at": "2099-01-27T05:17:19+00:00",
        },
        "connected_at": "2026-01-27T05:17:19+00:00",
        "last_sync_at": null,
        "created_at": "2026-01-27T05:17:19+00:00",
        "updated_at": "2026-01-27T05:17:19+00:00",
    })
}

async fn consumer(manifest: &Path, redis: &Redis) -> Service {
    let prefix = unique_prefix();
    Service::start_from(manifest, variables(redis, &[("key_prefix", &prefix)])).await
}

async fn sync(service: &Service, id: &str) -> Answer {
    let answer = service.send(Call::new("GET", &format!("/sync/{id}"))).await;
    // Not in pieces: docs/architecture.md, "The answer's way out".
    assert_eq!(
        answer.header("content-length"),
        answer.body.len().to_string()
    );
    answer
}

/// Asserts that the connection is known, and whether it can be used.
async fn assert_says(service: &Service, id: &str, status: &str, can_sync: bool, source: &str) {
    let answer = sync(service, id).await;
    assert_eq!(answer.status, if can_sync { 200 } else { 409 }, "{id}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.json(),
        json!({ "id": id, "status": status, "can_sync": can_sync, "source": source })
    );
}

async fn assert_problem(service: &Service, id: &str, status: u16, detail: &str) {
    let answer = sync(service, id).await;
    assert_eq!(answer.status, status, "{id}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["detail"], detail);
}

async fn what_the_cache_misses_comes_from_the_database_once(manifest: &Path) {
    let redis = Redis::start(&[]);
    let service = consumer(manifest, &redis).await;
    for (number, status, can_sync) in [
        (1, "active", true),
        (2, "revoked", false),
        // Its credentials have run out.
        (3, "active", false),
        (4, "pending", false),
    ] {
        for source in ["database", "cache", "cache"] {
            assert_says(&service, &stored(number), status, can_sync, source).await;
        }
    }
    let commands = redis.commands_seen();
    let of = |name| commands.iter().find(|(command, _)| command == name);
    assert_eq!(of("set").unwrap().1, 4, "{commands:?}");

    let key = service.key(&stored(1));
    let value = redis.get(&key).unwrap();
    assert!((200..=300).contains(&redis.ttl(&key)));
    // What the cache makes of the same connection, to the letter.
    let mut cache = Cache::over(&redis).await;
    cache.set(&from_json(&stored_entry()), None).await.unwrap();
    assert_eq!(redis.get(&cache.key(&stored(1))), Some(value));
    assert_nothing_trapped(&service.log());
}

async fn what_others_cached_needs_no_database(manifest: &Path) {
    let redis = Redis::shared();
    let service = consumer(manifest, redis).await;
    let mut connection = entry(&id(1));
    redis.set(&service.key(&id(1)), connection.to_string());
    assert_says(&service, &id(1), "active", true, "cache").await;
    connection["status"] = json!("expired");
    redis.set(&service.key(&id(1)), connection.to_string());
    assert_says(&service, &id(1), "expired", false, "cache").await;

    redis.set(&service.key(&stored(1)), "corrupt");
    assert_says(&service, &stored(1), "active", true, "database").await;
    assert_says(&service, &stored(1), "active", true, "cache").await;

    let other_spelling = sync(&service, &stored(1).to_uppercase()).await;
    assert_eq!(other_spelling.json()["id"], stored(1));
}

async fn what_nobody_knows_and_what_is_no_request_is_said_so(manifest: &Path) {
    let redis = Redis::shared();
    let service = consumer(manifest, redis).await;
    assert_problem(&service, &id(1), 404, "no such connection").await;
    assert_eq!(redis.get(&service.key(&id(1))), None);
    for no_id in ["", "x", &format!("{}/", stored(1))] {
        assert_problem(&service, no_id, 400, "id must be a UUID").await;
    }
    let path = format!("/sync/{}", stored(1));
    let posted = service.send(Call::new("POST", &path)).await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET"));
    let elsewhere = service.send(Call::new("GET", "/sync")).await;
    assert_eq!(elsewhere.status, 404);
    assert_nothing_trapped(&service.log());
}

async fn without_redis_the_database_answers(manifest: &Path) {
    let mut redis = Redis::start(&[]);
    let service = consumer(manifest, &redis).await;
    assert_says(&service, &stored(1), "active", true, "database").await;
    redis.stop();
    for _ in 0..3 {
        assert_says(&service, &stored(1), "active", true, "database").await;
        assert_says(&service, &stored(2), "revoked", false, "database").await;
        assert_problem(&service, &id(1), 404, "no such connection").await;
    }
    let log = service.log();
    assert!(
        log.contains(&format!("{} is not cached: Redis", stored(1))),
        "{log}"
    );
    assert!(!log.contains("127.0.0.1"), "{log}");
    assert_nothing_trapped(&log);
}

async fn many_at_the_same_time_get_each_their_own_answer(manifest: &Path) {
    let service = consumer(manifest, Redis::shared()).await;
    let service = &service;
    let asked = (0..64).map(|number| async move {
        let id = stored(number % 8);
        let answer = sync(service, &id).await;
        let expected = match number % 8 {
            1 => 200,
            2..=4 => 409,
            _ => 404,
        };
        assert_eq!(answer.status, expected, "{id}");
        if expected != 404 {
            assert_eq!(answer.json()["id"], id);
        }
    });
    join_all(asked).await;
    assert_nothing_trapped(&service.log());
}
