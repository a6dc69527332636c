//! What happens when the answer has gone out: refreshing ahead, and stale while error.

use std::sync::Arc;
use std::time::Duration;

use provider_connection_origin::{Fault, Origin};
use tokio::time::sleep;

use super::{
    HIT, NOT_FOUND, STORED, cache, fresh_key, named, read, reading, seen, service, stale_key,
    stored_alias, told, until,
};
use crate::support::cache::{Source, SourcedLookupResult};
use crate::support::connection::{entry, id};
use crate::support::origin::origin_with;
use crate::support::redis::Redis;
use crate::support::service::{Service, path};

/// Fresh for a third of a second, of five minutes.
pub(super) const AT_ONCE: (&str, &str) = ("refresh_ahead", "0.001");
pub(super) const STALE: (&str, &str) = ("stale_if_error", "3600");

/// Reads the connection, and waits until its time has come.
pub(super) async fn read_and_wait(redis: &Redis, service: &Service) -> String {
    assert_eq!(read(service, 1).await, seen(200, STORED));
    let key = service.key(&id(1));
    until("it is due", || redis.get(&fresh_key(&key)).is_none()).await;
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_late_in_its_lifetime_is_answered_and_then_refreshed() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let service = service(&redis, &origin, &[AT_ONCE]).await;
    let key = read_and_wait(&redis, &service).await;
    redis.command::<()>(&["EXPIRE", &key, "100"]);
    origin.insert(&named(1, "Newer")).unwrap();
    origin.inject(Fault::Slow(Duration::from_millis(700)));
    let answer = service.read("GET", &path(&id(1))).await;
    assert_eq!(answer.header("cache-status"), HIT);
    assert_eq!(answer.json()["alias"], "My Schwab IRA");
    until("it is refreshed", || {
        stored_alias(&redis, &key).as_deref() == Some("Newer")
    })
    .await;
    assert!(redis.ttl(&key) > 200);
    assert_eq!(origin.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_refresh_and_only_one_is_made() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let service = Arc::new(service(&redis, &origin, &[AT_ONCE]).await);
    read_and_wait(&redis, &service).await;
    origin.inject(Fault::Hang);
    // Many see at the same time that it is due.
    let reads = (0..100).map(|_| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { read(&service, 1).await })
    });
    for reading in reads.collect::<Vec<_>>() {
        assert_eq!(reading.await.unwrap(), seen(200, HIT));
    }
    until("it asks", || origin.requests() == 2).await;
    assert_eq!(read(&service, 1).await, seen(200, HIT));
    assert_eq!(origin.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_gone_from_the_origin_is_gone_after_the_refresh() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let service = service(&redis, &origin, &[AT_ONCE]).await;
    let key = read_and_wait(&redis, &service).await;
    origin.remove(&id(1)).unwrap();
    assert_eq!(read(&service, 1).await, seen(200, HIT));
    until("it is gone", || stored_alias(&redis, &key).is_none()).await;
    assert_eq!(read(&service, 1).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_existing_application_is_refreshed_by_what_is_left_of_its_lifetime() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let service = service(&redis, &origin, &[]).await;
    let key = service.key(&id(1));
    let write =
        |ttl: &str| redis.command::<()>(&["SETEX", &key, ttl, &named(1, "Its").to_string()]);
    // 0.8 of 300 seconds are not over yet.
    write("300");
    assert_eq!(read(&service, 1).await, seen(200, HIT));
    until("that is noted", || redis.ttl(&fresh_key(&key)) > 200).await;
    assert_eq!(read(&service, 1).await, seen(200, HIT));
    assert_eq!(origin.requests(), 0);
    redis.command::<()>(&["DEL", &fresh_key(&key)]);
    write("59");
    assert_eq!(read(&service, 1).await, seen(200, HIT));
    until("it is refreshed", || redis.ttl(&key) > 200).await;
    assert_eq!(stored_alias(&redis, &key).as_deref(), Some("My Schwab IRA"));
    assert_eq!(origin.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_nothing_is_refreshed_and_no_other_key_is_there() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let service = service(&redis, &origin, &[("refresh_ahead", "1")]).await;
    assert_eq!(read(&service, 1).await, seen(200, STORED));
    let key = service.key(&id(1));
    redis.command::<()>(&["EXPIRE", &key, "50"]);
    assert_eq!(read(&service, 1).await, seen(200, HIT));
    sleep(Duration::from_millis(300)).await;
    assert_eq!(origin.requests(), 1);
    assert_eq!(redis.keys_of_connections(), [key]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lean_component_refreshes_too() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let mut cache = cache(&redis, &origin, &[AT_ONCE]).await;
    let key = cache.key(&id(1));
    assert!(cache.exists(&id(1)).await.unwrap());
    until("it is due", || redis.get(&fresh_key(&key)).is_none()).await;
    origin.insert(&named(1, "Newer")).unwrap();
    // Tasks of an instance go on while a call is under way, which here is not always.
    let mut seen = Vec::new();
    while stored_alias(&redis, &key).as_deref() != Some("Newer") {
        seen.push(cache.get(&id(1)).await.unwrap().unwrap().alias);
        assert!(seen.len() < 3_000, "it is never refreshed");
    }
    assert_eq!(seen[0].as_deref(), Some("My Schwab IRA"));
}

/// The entry, beyond its lifetime, and an origin that fails.
async fn stale(redis: &Redis, origin: &Origin) -> (Service, String) {
    origin.set_cache_control(Some("max-age=1")).unwrap();
    let service = service(redis, origin, &[STALE]).await;
    assert_eq!(read(&service, 1).await, seen(200, STORED));
    let key = service.key(&id(1));
    until("its lifetime is over", || redis.get(&key).is_none()).await;
    (service, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_origin_fails_what_was_cached_answers_without_waiting() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let (service, key) = stale(&redis, &origin).await;
    origin.inject(Fault::Status(503));
    let (status, cache_status) = read(&service, 1).await;
    assert_eq!(
        (status, cache_status.as_str()),
        (200, "provider-connection-cache; fwd=stale; fwd-status=503")
    );
    // Now that it is known, nobody waits for an origin that does not even answer.
    origin.inject(Fault::Hang);
    for _ in 0..20 {
        let (status, cache_status) = read(&service, 1).await;
        assert_eq!(status, 200);
        assert!(
            cache_status.contains("fwd=stale; fwd-status=503"),
            "{cache_status}"
        );
    }
    // The existing application never reads it as live.
    let held: serde_json::Value = serde_json::from_str(&redis.get(&key).unwrap()).unwrap();
    assert!(held.get("id").is_none());
    until("it is asked again, once", || origin.requests() == 3).await;
    assert_eq!(origin.requests(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_origin_is_back_its_answer_takes_the_place_of_the_stale_one() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let (service, key) = stale(&redis, &origin).await;
    origin.inject(Fault::Cut);
    let (status, cache_status) = read(&service, 1).await;
    assert_eq!(
        (status, cache_status.as_str()),
        (
            200,
            "provider-connection-cache; fwd=stale; detail=origin-cut-off"
        )
    );
    origin.inject(Fault::None);
    origin.set_cache_control(None).unwrap();
    origin.insert(&named(1, "Newer")).unwrap();
    assert!(read(&service, 1).await.1.contains("fwd=stale"));
    until("it is stored", || {
        stored_alias(&redis, &key).as_deref() == Some("Newer")
    })
    .await;
    assert_eq!(read(&service, 1).await, seen(200, HIT));
}

#[tokio::test(flavor = "multi_thread")]
async fn lookup_sourced_says_that_it_is_stale() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.set_cache_control(Some("max-age=1")).unwrap();
    let mut cache = cache(&redis, &origin, &[STALE]).await;
    assert!(cache.exists(&id(1)).await.unwrap());
    until("its lifetime is over", || {
        redis.get(&cache.key(&id(1))).is_none()
    })
    .await;
    origin.inject(Fault::Status(500));
    let SourcedLookupResult::Hit(hit) = cache.lookup_sourced(&id(1)).await.unwrap() else {
        panic!("no hit");
    };
    assert_eq!(
        (hit.source, hit.entry.ttl_seconds),
        (Source::Stale, Some(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_never_comes_back_as_stale() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let failed = seen(404, "provider-connection-cache; fwd=miss; fwd-status=500");
    let service = service(&redis, &origin, &[STALE]).await;
    let key = service.key(&id(1));
    let again = async || {
        origin.inject(Fault::None);
        redis.command::<()>(&["DEL", &key]);
        assert_eq!(read(&service, 1).await, seen(200, STORED));
        assert!(redis.get(&stale_key(&key)).is_some());
        origin.inject(Fault::Status(500));
    };
    // By this component.
    again().await;
    assert_eq!(service.write("DELETE", &path(&id(1))).await.status, 204);
    assert_eq!(redis.get(&stale_key(&key)), None);
    assert_eq!(read(&service, 1).await, failed);
    // By the existing application, which knows of no copy: it went before its time.
    again().await;
    redis.command::<()>(&["DEL", &key]);
    assert_eq!(read(&service, 1).await, failed);
    assert_eq!(redis.get(&stale_key(&key)), None);
    // By a write, which is all that counts.
    again().await;
    service.hold(&id(1)).await;
    assert_eq!(redis.get(&stale_key(&key)), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_origin_denied_never_comes_back_as_stale() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    for negative_ttl in ["5", "0"] {
        let service = service(
            &redis,
            &origin,
            &[STALE, AT_ONCE, ("negative_ttl", negative_ttl)],
        )
        .await;
        let key = service.key(&id(1));
        // Asked for on a miss, and in the background.
        for expired in [true, false] {
            origin.insert(&entry(&id(1))).unwrap();
            redis.command::<()>(&["DEL", &key]);
            let key = read_and_wait(&redis, &service).await;
            assert!(redis.get(&stale_key(&key)).is_some());
            origin.remove(&id(1)).unwrap();
            if expired {
                redis.command::<()>(&["DEL", &key]);
                assert_eq!(read(&service, 1).await, seen(404, NOT_FOUND));
            } else {
                assert_eq!(read(&service, 1).await, seen(200, HIT));
                until("it is gone", || stored_alias(&redis, &key).is_none()).await;
            }
            assert_eq!(
                redis.get(&stale_key(&key)),
                None,
                "{negative_ttl} {expired}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_refreshed_is_kept_for_when_its_time_is_over() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[]).await;
    origin.inject(Fault::Status(500));
    let service = service(&redis, &origin, &[STALE]).await;
    let key = service.key(&id(1));
    // Of the existing application, near its end.
    redis.command::<()>(&["SETEX", &key, "59", &entry(&id(1)).to_string()]);
    assert_eq!(read(&service, 1).await, seen(200, HIT));
    until("it is kept", || redis.get(&stale_key(&key)).is_some()).await;
    // A minute passes.
    redis.command::<()>(&["DEL", &key]);
    redis.command::<()>(&["EXPIRE", &stale_key(&key), "3600"]);
    let (status, cache_status) = read(&service, 1).await;
    assert_eq!(status, 200);
    assert!(
        cache_status.contains("fwd=stale; fwd-status=500"),
        "{cache_status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_writes_take_the_stale_copies_away() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1, 2]).await;
    let mut cache = cache(&redis, &origin, &[STALE]).await;
    let copies = |redis: &Redis| redis.keys("*conn-stale*").len();
    for number in [1, 2] {
        assert!(cache.exists(&id(number)).await.unwrap());
    }
    assert_eq!(copies(&redis), 2);
    let both = [1, 2].map(|number| crate::support::connection::connection(&id(number)));
    cache.set_many(&both, None).await.unwrap();
    assert_eq!(copies(&redis), 0);
    let ids = [id(1), id(2)];
    assert_eq!(cache.delete_many(&ids).await.unwrap(), 2);
    for number in [1, 2] {
        assert!(cache.exists(&id(number)).await.unwrap());
    }
    // An id that stands twice counts once, a stale copy not at all.
    let ids = [id(1), id(2), id(1), id(3)];
    assert_eq!(cache.delete_many(&ids).await.unwrap(), 2);
    assert_eq!(copies(&redis), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_while_stale_answers_go_out_ends_them() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let (service, key) = stale(&redis, &origin).await;
    origin.inject(Fault::Status(503));
    for _ in 0..2 {
        assert!(read(&service, 1).await.1.contains("fwd=stale"));
    }
    // The existing application, which revokes it.
    redis.command::<()>(&["DEL", &key]);
    let failed = "provider-connection-cache; fwd=miss; fwd-status=503";
    assert_eq!(read(&service, 1).await, seen(404, failed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_while_the_origin_is_about_to_fail_leaves_nothing_stale() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.set_cache_control(Some("max-age=1")).unwrap();
    let more = [STALE, ("origin_timeout_ms", "1500")];
    let service = Arc::new(service(&redis, &origin, &more).await);
    assert_eq!(read(&service, 1).await, seen(200, STORED));
    let key = service.key(&id(1));
    until("its lifetime is over", || redis.get(&key).is_none()).await;
    origin.inject(Fault::Hang);
    let reading = reading(&service, &origin).await;
    redis.command::<()>(&["DEL", &key]);
    let failed = "provider-connection-cache; fwd=miss; detail=origin-timeout";
    assert_eq!(told(&reading.await.unwrap()), seen(404, failed));
    assert_eq!(redis.keys("*conn-stale*"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_set_may_answer_stale_once_it_was_read() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[]).await;
    origin.inject(Fault::Status(500));
    let service = service(&redis, &origin, &[STALE]).await;
    service.hold(&id(1)).await;
    let key = service.key(&id(1));
    // It needs no refreshing yet, which the write noted.
    assert!(redis.ttl(&fresh_key(&key)) > 200);
    redis.command::<()>(&["DEL", &fresh_key(&key)]);
    assert_eq!(read(&service, 1).await, seen(200, HIT));
    until("it is kept", || redis.get(&stale_key(&key)).is_some()).await;
    redis.command::<()>(&["DEL", &key]);
    redis.command::<()>(&["EXPIRE", &stale_key(&key), "3600"]);
    assert!(read(&service, 1).await.1.contains("fwd=stale"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_was_set_for_a_short_while_is_not_refreshed_at_once() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let service = service(&redis, &origin, &[]).await;
    let target = format!("{}?ttl=30", path(&id(1)));
    let put = service.put(&target, named(1, "Mine").to_string()).await;
    assert_eq!(put.status, 204);
    let fresh = redis.ttl(&fresh_key(&service.key(&id(1))));
    assert!((15..=24).contains(&fresh), "{fresh}");
    for _ in 0..5 {
        assert_eq!(read(&service, 1).await, seen(200, HIT));
    }
    assert_eq!(origin.requests(), 0);
}
