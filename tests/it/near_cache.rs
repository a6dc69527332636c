//! The near cache: what was read of late, from the memory of the instance.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::support::cache::{Cache, LookupResult};
use crate::support::connection::{connection, entry, id};
use crate::support::redis::Redis;
use crate::support::secrets::CIPHERTEXT;
use crate::support::service::{Service, path};

const LONG: (&str, &str) = ("near_cache_ttl_ms", "3600000");
const HIT: &str = "provider-connection-cache; hit";
const NEAR_HIT: &str = "provider-connection-cache; hit; detail=near";

fn none() -> Vec<String> {
    Vec::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_off_unless_it_is_given_a_lifetime() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    for _ in 0..3 {
        redis.forget_commands();
        let answer = service.read("GET", &path(&id(1))).await;
        assert_eq!(answer.header("cache-status"), HIT);
        assert_eq!(redis.commands_since(), ["get"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn summaries_come_from_it_and_cache_status_says_so() {
    let redis = Redis::start(&[]);
    let service = Service::with(&redis, &[LONG]).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    redis.set(&service.key(&id(2)), entry(&id(2)).to_string());
    let first = service.read("GET", &path(&id(1))).await;
    assert_eq!(first.header("cache-status"), HIT);
    assert_eq!(redis.commands_since(), ["get", "pttl"]);
    let again = service.read("GET", &path(&id(1))).await;
    assert_eq!(again.header("cache-status"), NEAR_HIT);
    assert_eq!(
        (again.status, &again.body, again.header("etag")),
        (200, &first.body, first.header("etag"))
    );
    let ids = format!(r#"{{"ids":["{}","{}","{}"]}}"#, id(1), id(2), id(3));
    assert_eq!(redis.commands_since(), none());

    // A batch asks for the rest only, and what it reads is kept as well.
    let batch = service.look_up(&ids).await;
    assert_eq!(batch.json()["connections"][id(1)], first.json());
    assert_eq!(batch.json()["connections"][id(2)]["id"], id(2));
    assert!(batch.json()["connections"][id(3)].is_null());
    assert_eq!(redis.commands_since(), ["eval", "mget", "pttl"]);
    assert_eq!(
        batch.header("cache-status"),
        "provider-connection-cache; fwd=miss"
    );
    let ids = format!(r#"{{"ids":["{}","{}"]}}"#, id(1), id(2));
    let near = service.look_up(&ids).await;
    assert_eq!(near.header("cache-status"), NEAR_HIT);
    let second = service.read("GET", &path(&id(2))).await;
    assert_eq!(second.header("cache-status"), NEAR_HIT);
    assert_eq!(redis.commands_since(), none());

    // Whose it is must be true now, so Redis is asked.
    let other = format!("{}?user_id={}", path(&id(1)), id(9));
    assert_eq!(service.read("GET", &other).await.status, 404);
    assert_eq!(redis.commands_since(), ["get", "pttl"]);

    // Credentials are never in it.
    let full = format!("{}?view=full", path(&id(1)));
    for _ in 0..2 {
        let full = service.write("GET", &full).await;
        assert!(full.text().contains(CIPHERTEXT));
        assert_eq!(full.header("cache-status"), HIT);
        assert_eq!(redis.commands_since(), ["get"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_functions_without_credentials_use_it_and_the_others_do_not() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[LONG]).await;
    redis.set(&cache.key(&id(1)), entry(&id(1)).to_string());
    let summary = cache.get_summary(&id(1)).await.unwrap();
    assert_eq!(redis.commands_since(), ["get", "pttl"]);
    assert_eq!(cache.get_summary(&id(1)).await.unwrap(), summary);
    assert!(cache.exists(&id(1)).await.unwrap());
    assert_eq!(redis.commands_since(), none());
    let expected = Some(connection(&id(1)));
    assert_eq!(cache.get(&id(1)).await.unwrap(), expected);
    assert_eq!(redis.commands_since(), ["get"]);
    assert!(matches!(
        cache.lookup(&id(1)).await.unwrap(),
        LookupResult::Hit(_)
    ));
    assert_eq!(redis.commands_since(), ["get", "pttl"]);
    assert_eq!(cache.get_many(&[id(1)]).await.unwrap(), [expected]);
    assert_eq!(redis.commands_since(), ["eval", "mget", "pttl"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_through_the_instance_take_effect_at_once() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[LONG]).await;
    let alias = |summary: Option<crate::support::cache::ProviderConnectionSummary>| {
        summary.and_then(|summary| summary.alias)
    };
    let mut one = connection(&id(1));
    for name in ["A", "B"] {
        one.alias = Some(name.to_owned());
        cache.set(&one, None).await.unwrap();
        for _ in 0..2 {
            let summary = cache.get_summary(&id(1)).await.unwrap();
            assert_eq!(alias(summary).as_deref(), Some(name));
        }
    }
    one.alias = Some("C".to_owned());
    cache.set_many(&[one.clone()], None).await.unwrap();
    let summary = cache.get_summary(&id(1)).await.unwrap();
    assert_eq!(alias(summary).as_deref(), Some("C"));
    assert!(cache.delete(&id(1)).await.unwrap());
    assert_eq!(cache.get_summary(&id(1)).await.unwrap(), None);
    cache.set(&one, None).await.unwrap();
    assert!(cache.exists(&id(1)).await.unwrap());
    assert_eq!(cache.delete_many(&[id(1)]).await.unwrap(), 1);
    assert!(!cache.exists(&id(1)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_takes_it_out_as_well() {
    let mut redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[LONG]).await;
    cache.set(&connection(&id(1)), None).await.unwrap();
    assert!(cache.exists(&id(1)).await.unwrap());
    redis.stop();
    assert!(cache.exists(&id(1)).await.unwrap(), "it needs no Redis");
    assert!(cache.delete(&id(1)).await.is_err());
    assert!(!cache.exists(&id(1)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_forgets_when_its_own_lifetime_ends_or_that_of_the_entry() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[("near_cache_ttl_ms", "300")]).await;
    redis.set(&cache.key(&id(1)), entry(&id(1)).to_string());
    assert!(cache.exists(&id(1)).await.unwrap());
    let mut newer = entry(&id(1));
    newer["alias"] = json!("Newer");
    redis.set(&cache.key(&id(1)), newer.to_string());
    sleep(Duration::from_millis(350)).await;
    let summary = cache
        .get_summary(&id(1))
        .await
        .unwrap()
        .expect("it is there");
    assert_eq!(summary.alias.as_deref(), Some("Newer"));

    let mut cache = Cache::with(&redis, &[LONG]).await;
    for (number, batch) in [(1, false), (2, true)] {
        let key = cache.key(&id(number));
        redis.set(&key, entry(&id(number)).to_string());
        redis.command::<()>(&["PEXPIRE", &key, "400"]);
        if batch {
            cache.get_many(&[id(number)]).await.unwrap();
        } else {
            cache.get_summary(&id(number)).await.unwrap();
        }
        sleep(Duration::from_millis(450)).await;
        assert!(!cache.exists(&id(number)).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_no_more_than_it_may() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[LONG, ("near_cache_entries", "2")]).await;
    for number in 1..=3 {
        redis.set(&cache.key(&id(number)), entry(&id(number)).to_string());
        assert!(cache.exists(&id(number)).await.unwrap());
    }
    redis.commands_since();
    for number in [2, 3] {
        assert!(cache.exists(&id(number)).await.unwrap());
        assert_eq!(redis.commands_since(), none(), "{number} was read of late");
    }
    assert!(cache.exists(&id(1)).await.unwrap());
    assert_eq!(redis.commands_since(), ["get", "pttl"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrupt_or_not_there_is_not_kept() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[LONG]).await;
    assert!(!cache.exists(&id(1)).await.unwrap());
    redis.set(&cache.key(&id(1)), "{}");
    assert!(!cache.exists(&id(1)).await.unwrap());
    redis.set(&cache.key(&id(1)), entry(&id(1)).to_string());
    assert!(cache.exists(&id(1)).await.unwrap());
}
