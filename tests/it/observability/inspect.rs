//! What Redis holds of a connection, told to who looks after the cache.

use crate::support::cache::{Cache, Inspection};
use crate::support::connection::{connection, id};
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::redis::Redis;

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_shown_with_the_rest_of_its_lifetime_and_without_credentials() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    cache.set(&connection(&id(1)), Some(100)).await.unwrap();
    let summary = cache.get_summary(&id(1)).await.unwrap().unwrap();
    let Inspection::Hit(entry) = cache.inspect(&id(1)).await.unwrap() else {
        panic!("it is there");
    };
    assert_eq!(entry.summary, summary);
    assert!(
        (50..=100).contains(&entry.ttl_seconds.unwrap()),
        "{entry:?}"
    );
    redis.command::<()>(&["PERSIST", &cache.key(&id(1))]);
    let Inspection::Hit(entry) = cache.inspect(&id(1)).await.unwrap() else {
        panic!("it is there");
    };
    assert_eq!(entry.ttl_seconds, None);
    assert_eq!(cache.inspect(&id(2)).await.unwrap(), Inspection::Miss);
    redis.set(&cache.key(&id(3)), "{}");
    let corrupt = cache.inspect(&id(3)).await.unwrap();
    assert!(
        matches!(&corrupt, Inspection::Corrupt(reason) if reason.contains("id")),
        "{corrupt:?}"
    );
    cache.inspect("not an id").await.unwrap_err();
    // Who looks at it changes nothing, so looking again is no news.
    assert_eq!(cache.log(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_is_not_asked() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let more = reading_through(&origin, &[]);
    let mut cache = Cache::with(&redis, &borrowed(&more)).await;
    assert_eq!(cache.inspect(&id(1)).await.unwrap(), Inspection::Miss);
    assert_eq!(origin.requests(), 0);
    assert_eq!(cache.get(&id(2)).await.unwrap(), None);
    assert_eq!(cache.inspect(&id(2)).await.unwrap(), Inspection::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_away_is_told_from_a_miss() {
    let mut redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    redis.stop();
    let found = cache.inspect(&id(1)).await.unwrap();
    assert!(
        matches!(&found, Inspection::Unavailable(reason) if reason.contains("Redis")),
        "{found:?}"
    );
}
