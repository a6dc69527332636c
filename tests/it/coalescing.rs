//! Concurrent lookups of one connection cost one command.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::support::connection::{entry, id};
use crate::support::redis::Redis;
use crate::support::service::{Service, path};

fn gets(redis: &Redis) -> u64 {
    let seen = redis.commands_seen();
    let get = seen.iter().find(|(name, _)| name == "get");
    get.map_or(0, |(_, count)| *count)
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_of_one_connection_share_one_command() {
    let redis = Redis::start(&[]);
    let service = Arc::new(Service::over(&redis).await);
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    redis.forget_commands();
    let before = service.instances_created() as u64;
    // While Redis is stopped they all wait: none can be over before the last has come.
    redis.pause();
    let lookups: Vec<_> = (0..12)
        .map(|_| {
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.read("GET", &path(&id(1))).await })
        })
        .collect();
    sleep(Duration::from_millis(500)).await;
    redis.go_on();
    for lookup in lookups {
        let answer = lookup.await.expect("it is answered");
        assert_eq!(
            (answer.status, answer.header("cache-status")),
            (200, "provider-connection-cache; hit")
        );
    }
    let instances = service.instances_created() as u64 - before + 1;
    let gets = gets(&redis);
    assert!(
        (1..=instances).contains(&gets) && instances < 6,
        "{gets} commands, {instances} instances"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_of_other_connections_do_not() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    for number in 0..4 {
        redis.set(&service.key(&id(number)), entry(&id(number)).to_string());
    }
    redis.forget_commands();
    let paths: Vec<_> = (0..4).map(|number| path(&id(number))).collect();
    let lookups = paths.iter().map(|path| service.read("GET", path));
    let answers = futures_util::future::join_all(lookups).await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.json()["id"], id(number));
    }
    assert_eq!(gets(&redis), 4);
}
