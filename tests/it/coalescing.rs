//! Concurrent lookups of one connection cost one command.

use std::time::Duration;

use tokio::time::sleep;

use crate::support::cache::Cache;
use crate::support::connection::{entry, id};
use crate::support::redis::Redis;

fn gets(redis: &Redis) -> u64 {
    let seen = redis.commands_seen();
    let get = seen.iter().find(|(name, _)| name == "get");
    get.map_or(0, |(_, count)| *count)
}

/// All lookups are under way before any can be over: Redis is stopped meanwhile.
async fn gets_of_lookups_at_once(ids: &[String]) -> u64 {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    for id in ids {
        redis.set(&cache.key(id), entry(id).to_string());
    }
    assert!(cache.exists(&ids[0]).await.unwrap());
    redis.forget_commands();
    redis.pause();
    let go_on = async {
        sleep(Duration::from_millis(300)).await;
        redis.go_on();
    };
    let (found, ()) = tokio::join!(cache.summaries_at_once(ids), go_on);
    for (id, summary) in ids.iter().zip(found) {
        assert_eq!(&summary.unwrap().expect("it is there").id, id);
    }
    gets(&redis)
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_of_one_connection_share_one_command() {
    assert_eq!(gets_of_lookups_at_once(&vec![id(1); 16]).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_of_other_connections_do_not() {
    let ids: Vec<_> = (0..16).map(|number| id(number % 4)).collect();
    assert_eq!(gets_of_lookups_at_once(&ids).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_lookup_after_the_other_asks_again() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    redis.set(&cache.key(&id(1)), entry(&id(1)).to_string());
    for count in 1..4 {
        assert!(cache.exists(&id(1)).await.unwrap());
        assert_eq!(gets(&redis), count);
    }
}
