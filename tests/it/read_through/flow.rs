//! Hit, miss, not found: what is answered, and what is stored.

use serde_json::{Value, json};

use super::{HIT, HIT_NOT_FOUND, NOT_FOUND, PASSED, STORED, cache, read, seen, service};
use crate::support::cache::{LookupResult, Source, SourcedLookupResult};
use crate::support::client::Call;
use crate::support::connection::{OTHER_USER, USER, connection, entry, id};
use crate::support::fixtures;
use crate::support::origin::origin_with;
use crate::support::redis::Redis;
use crate::support::service::{Service, WRITE_TOKEN, path};

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_is_asked_of_the_origin_stored_and_answered() {
    let redis = Redis::shared();
    let origin = origin_with(&[1]).await;
    let service = service(redis, &origin, &[]).await;
    let key = service.key(&id(1));
    let answer = service.read("GET", &path(&id(1))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-status"), STORED);
    assert_eq!(answer.json()["can_sync"], true);
    let stored: Value = serde_json::from_str(&redis.get(&key).unwrap()).unwrap();
    assert_eq!(stored, entry(&id(1)));
    assert!((280..=300).contains(&redis.ttl(&key)));
    assert_eq!(read(&service, 1).await, seen(200, HIT));
    assert_eq!(origin.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_look_up_one_connection_reads_through() {
    let redis = Redis::shared();
    let origin = origin_with(&[1]).await;
    let service = service(redis, &origin, &[]).await;
    let full = format!("{}?view=full", path(&id(1)));
    let of_user = format!("{}?user_id={USER}", path(&id(1)));
    let mut asked = 0;
    for (method, target) in [("GET", &full), ("HEAD", &path(&id(1))), ("GET", &of_user)] {
        redis.command::<()>(&["DEL", &service.key(&id(1))]);
        let answer = service
            .send(Call::new(method, target).bearer(WRITE_TOKEN))
            .await;
        asked += 1;
        assert_eq!(
            (answer.status, origin.requests()),
            (200, asked),
            "{method} {target}"
        );
    }
    // Another user's is as one that there is not, asked for or remembered.
    let of_other = |number: usize| format!("{}?user_id={OTHER_USER}", path(&id(number)));
    for asked_for in [true, false] {
        if asked_for {
            redis.command::<()>(&["DEL", &service.key(&id(1))]);
        }
        let theirs = service.read("GET", &of_other(1)).await;
        let nobodys = service.read("GET", &of_other(2)).await;
        assert_eq!(theirs.status, 404);
        assert_eq!(
            theirs.header("cache-status"),
            nobodys.header("cache-status")
        );
        assert_eq!(theirs.text(), nobodys.text());
    }
    asked = origin.requests();

    let mut cache = cache(redis, &origin, &[]).await;
    let forget = |key: &str| redis.command::<()>(&["DEL", key]);
    let key = cache.key(&id(1));
    assert_eq!(cache.get(&id(1)).await.unwrap(), Some(connection(&id(1))));
    forget(&key);
    assert!(cache.get_summary(&id(1)).await.unwrap().is_some());
    forget(&key);
    assert!(cache.exists(&id(1)).await.unwrap());
    forget(&key);
    let LookupResult::Hit(hit) = cache.lookup(&id(1)).await.unwrap() else {
        panic!("no hit");
    };
    assert_eq!(hit.connection, connection(&id(1)));
    assert!(hit.ttl_seconds.is_some_and(|ttl| ttl > 280));
    assert_eq!(origin.requests(), asked + 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn lookup_sourced_says_where_the_answer_comes_from() {
    let redis = Redis::shared();
    let origin = origin_with(&[1]).await;
    let mut cache = cache(redis, &origin, &[]).await;
    let source = |found: SourcedLookupResult| match found {
        SourcedLookupResult::Hit(hit) => {
            assert_eq!(hit.entry.connection, connection(&id(1)));
            hit.source
        }
        other => panic!("{other:?}"),
    };
    let found = cache.lookup_sourced(&id(1)).await.unwrap();
    assert_eq!(source(found), Source::Origin);
    let found = cache.lookup_sourced(&id(1)).await.unwrap();
    assert_eq!(source(found), Source::Cache);
    for from in [Source::Origin, Source::Cache] {
        let found = cache.lookup_sourced(&id(2)).await.unwrap();
        assert_eq!(found, SourcedLookupResult::NotFound(from));
    }
    assert_eq!(cache.lookup(&id(2)).await.unwrap(), LookupResult::Miss);
    let refused = cache.lookup_sourced("no-uuid").await;
    assert!(refused.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_origin_lookup_sourced_says_what_lookup_says() {
    let redis = Redis::start(&[]);
    let mut cache = crate::support::cache::Cache::over(&redis).await;
    let key = cache.key(&id(1));
    let found = cache.lookup_sourced(&id(1)).await.unwrap();
    assert_eq!(found, SourcedLookupResult::Miss);
    redis.set(&key, "{}");
    let found = cache.lookup_sourced(&id(1)).await.unwrap();
    assert!(matches!(found, SourcedLookupResult::Corrupt(_)));
    cache.set(&connection(&id(1)), Some(100)).await.unwrap();
    let SourcedLookupResult::Hit(hit) = cache.lookup_sourced(&id(1)).await.unwrap() else {
        panic!("no hit");
    };
    assert_eq!(hit.source, Source::Cache);
    drop(redis);
    let found = cache.lookup_sourced(&id(1)).await.unwrap();
    assert!(matches!(found, SourcedLookupResult::Unavailable(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_do_not_ask_the_origin() {
    let redis = Redis::shared();
    let origin = origin_with(&[1, 2]).await;
    let service = service(redis, &origin, &[]).await;
    read(&service, 1).await;
    read(&service, 3).await;
    let ids = json!({"ids": [id(1), id(2), id(3)]});
    let answer = service.look_up(ids.to_string()).await.json();
    assert_eq!(answer["connections"][id(1)]["id"], id(1));
    assert_eq!(answer["connections"][id(2)], Value::Null);
    assert_eq!(answer["connections"][id(3)], Value::Null);
    let mut cache = cache(redis, &origin, &[]).await;
    assert_eq!(cache.get_many(&[id(1)]).await.unwrap(), [None]);
    assert_eq!(origin.requests(), 2);
    assert_eq!(service.log(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_origin_does_not_have_is_remembered_until_it_is_set() {
    let redis = Redis::shared();
    let origin = origin_with(&[]).await;
    let service = service(redis, &origin, &[]).await;
    let key = service.key(&id(1));
    assert_eq!(read(&service, 1).await, seen(404, NOT_FOUND));
    assert_eq!(read(&service, 1).await, seen(404, HIT_NOT_FOUND));
    assert_eq!(origin.requests(), 1);
    assert!((1..=5).contains(&redis.ttl(&key)));
    // It is no connection, whoever asks.
    let stored = redis.get(&key).unwrap();
    assert!(is_a_miss_for_the_existing_application(&stored), "{stored}");
    let delete = service.write("DELETE", &path(&id(1))).await;
    assert_eq!((delete.status, redis.get(&key)), (404, None));
    assert_eq!(read(&service, 1).await, seen(404, NOT_FOUND));
    // A component without an origin reads it as a miss as well, and says nothing of it.
    let other = Service::with(redis, &[("key_prefix", service.prefix())]).await;
    assert_eq!(read(&other, 1).await.0, 404);
    assert_eq!(other.log(), "");
    service.hold(&id(1)).await;
    assert_eq!(read(&service, 1).await, seen(200, HIT));
    assert!(redis.ttl(&key) > 5);
}

/// Held to the rows of the decoding table: an object without `id` is a miss.
fn is_a_miss_for_the_existing_application(value: &str) -> bool {
    let missing_id = fixtures::reference_decoding()
        .into_iter()
        .filter(|case| case.name == "missing id" || case.name == "empty object");
    let rows: Vec<_> = missing_id.map(|case| case.read_as.is_none()).collect();
    assert_eq!(rows, [true, true], "the table has both rows");
    let value: Value = serde_json::from_str(value).unwrap();
    value.is_object() && value.get("id").is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_negative_ttl_it_is_asked_each_time() {
    let redis = Redis::shared();
    let origin = origin_with(&[]).await;
    let service = service(redis, &origin, &[("negative_ttl", "0")]).await;
    for count in 1..4 {
        assert_eq!(read(&service, 1).await, seen(404, NOT_FOUND));
        assert_eq!(origin.requests(), count);
    }
    origin.insert(&entry(&id(1))).unwrap();
    assert_eq!(read(&service, 1).await, seen(200, STORED));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrupt_is_replaced_by_what_the_origin_says() {
    let redis = Redis::shared();
    let origin = origin_with(&[1, 2, 3]).await;
    let service = service(redis, &origin, &[]).await;
    redis.set(&service.key(&id(1)), "{}");
    redis.set_to_list(&service.key(&id(2)));
    redis.set(&service.key(&id(3)), " ".repeat((2 << 20) + 1));
    for number in 1..=3 {
        let corrupt = format!("{STORED}; detail=corrupt");
        assert_eq!(
            read(&service, number).await,
            seen(200, &corrupt),
            "{number}"
        );
        assert_eq!(read(&service, number).await, seen(200, HIT));
        assert!(redis.ttl(&service.key(&id(number))) > 0);
    }
    assert!(service.log().contains("corrupt_entry"));
    assert_eq!(origin.requests(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_says_how_long_its_answer_may_be_kept() {
    let redis = Redis::shared();
    let origin = origin_with(&[1, 2, 3]).await;
    let service = service(redis, &origin, &[]).await;
    for (number, cache_control, longest) in
        [(1, "public, max-age=20", 20), (2, "max-age=4000", 4_000)]
    {
        origin.set_cache_control(Some(cache_control)).unwrap();
        assert_eq!(read(&service, number).await, seen(200, STORED));
        let ttl = redis.ttl(&service.key(&id(number)));
        assert!(
            (longest - 5..=longest).contains(&ttl),
            "{cache_control}: {ttl}"
        );
    }
    origin.set_cache_control(Some("no-store")).unwrap();
    let before = origin.requests();
    for count in 1..3 {
        assert_eq!(read(&service, 3).await, seen(200, PASSED));
        assert_eq!(origin.requests(), before + count);
        let stored = redis.get(&service.key(&id(3))).unwrap_or_default();
        assert!(!stored.contains("user_id"), "{}", stored.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lifetimes_are_cut_short_by_up_to_the_jitter() {
    let redis = Redis::shared();
    let numbers: Vec<_> = (1..=40).collect();
    let origin = origin_with(&numbers).await;
    let service = service(
        redis,
        &origin,
        &[("ttl_jitter", "0.5"), ("cache_provider_ttl", "10000")],
    )
    .await;
    let mut ttls = Vec::new();
    for number in &numbers {
        assert_eq!(read(&service, *number).await, seen(200, STORED));
        ttls.push(redis.ttl(&service.key(&id(*number))));
    }
    assert!(
        ttls.iter().all(|ttl| (4_900..=10_000).contains(ttl)),
        "{ttls:?}"
    );
    ttls.sort_unstable();
    ttls.dedup();
    assert!(
        ttls.len() > 20 && ttls[0] < 8_000 && ttls[ttls.len() - 1] > 7_000,
        "{ttls:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_says_how_long_it_may_be_remembered_that_there_is_none() {
    let redis = Redis::shared();
    let origin = origin_with(&[]).await;
    let service = service(redis, &origin, &[("negative_ttl", "100")]).await;
    for (number, cache_control, longest) in [(1, "max-age=20", 20), (2, "max-age=500", 100)] {
        origin.set_cache_control(Some(cache_control)).unwrap();
        assert_eq!(read(&service, number).await, seen(404, NOT_FOUND));
        let ttl = redis.ttl(&service.key(&id(number)));
        assert!(
            (longest - 10..=longest).contains(&ttl),
            "{cache_control}: {ttl}"
        );
    }
    origin.set_cache_control(Some("no-store")).unwrap();
    for _ in 0..2 {
        assert_eq!(read(&service, 3).await, seen(404, NOT_FOUND));
    }
}
