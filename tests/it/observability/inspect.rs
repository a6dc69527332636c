//! What Redis holds of a connection, and whether it is well, told to who looks after the cache.

use crate::support::cache::{Cache, Error, Inspection};
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
async fn many_are_shown_as_each_of_them_is_by_one_command() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[]).await;
    let more = reading_through(&origin, &[("negative_ttl", "3600")]);
    let mut cache = Cache::with(&redis, &borrowed(&more)).await;
    cache.set(&connection(&id(1)), Some(100)).await.unwrap();
    cache.set(&connection(&id(2)), None).await.unwrap();
    redis.command::<()>(&["PERSIST", &cache.key(&id(2))]);
    redis.set(&cache.key(&id(3)), "{}");
    assert_eq!(cache.get(&id(4)).await.unwrap(), None);
    let ids: Vec<_> = [5, 4, 3, 2, 1, 1].into_iter().map(id).collect();
    // The one that expires is inspected before and after: a second may pass in between.
    let before = cache.inspect(&id(1)).await.unwrap();
    let commands = redis.commands_seen();
    let found = cache.inspect_many(&ids).await.unwrap();
    let sent = redis.commands_seen();
    let after = cache.inspect(&id(1)).await.unwrap();
    for (id, found) in ids.iter().zip(&found).take(4) {
        assert_eq!(*found, cache.inspect(id).await.unwrap());
    }
    let ttl = |inspection: &Inspection| match inspection {
        Inspection::Hit(entry) => entry.ttl_seconds.expect("it expires"),
        other => panic!("{other:?}"),
    };
    for found in &found[4..] {
        assert!((ttl(&after)..=ttl(&before)).contains(&ttl(found)));
    }
    assert!(matches!(found[3], Inspection::Hit(ref entry) if entry.ttl_seconds.is_none()));
    let calls = |seen: &[(String, u64)], name: &str| {
        let seen = seen.iter().find(|(seen, _)| seen == name);
        seen.map_or(0, |(_, calls)| *calls)
    };
    let of = |name| calls(&sent, name) - calls(&commands, name);
    assert_eq!((of("eval"), of("mget"), of("get")), (1, 1, 0));
    assert_eq!(cache.inspect_many(&[]).await.unwrap(), []);
    let too_many: Vec<_> = (0..1_001).map(id).collect();
    for wrong in [&["not an id".to_owned()][..], &too_many] {
        let error = cache.inspect_many(wrong).await.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
    }
    // Who looks at them changes nothing: the corrupt one is neither counted nor logged.
    assert_eq!(cache.log(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_tells_reads_from_writes_and_leaves_no_trace() {
    let mut redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    let ready = cache.ready().await;
    assert_eq!((ready.lookups, ready.writes), (Ok(()), Ok(())));
    redis.command::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let ready = cache.ready().await;
    assert_eq!(ready.lookups, Ok(()));
    let Err(Error::Unavailable(reason)) = ready.writes else {
        panic!("Redis refuses writes");
    };
    assert!(reason.contains("NOREPLICAS"), "{reason}");
    assert_eq!(redis.keys("*"), Vec::<String>::new());
    redis.stop();
    let ready = cache.ready().await;
    for failed in [ready.lookups, ready.writes] {
        assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_away_is_told_from_a_miss() {
    let mut redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    redis.stop();
    let error = cache.inspect_many(&[id(1)]).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    let found = cache.inspect(&id(1)).await.unwrap();
    assert!(
        matches!(&found, Inspection::Unavailable(reason) if reason.contains("Redis")),
        "{found:?}"
    );
}
