//! While Redis is away, lookups do not wait for it; when it is back, it is used again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use provider_connection_cache_host::InstanceReuse;
use tokio::time::{interval, sleep, timeout};

use crate::support::assert_nothing_trapped;
use crate::support::cache::Cache;
use crate::support::client::Answer;
use crate::support::connection::{entry, id};
use crate::support::redis::Redis;
use crate::support::service::{Service, path};
use crate::support::until::until_answered;

/// So long that no busy machine makes a lookup take half of it by itself.
const TIMEOUT_MS: &str = "4000";
const SLOW: Duration = Duration::from_secs(2);

/// 50 lookups a second, each sent whether or not others are still under way: how long each
/// took, and what it was told.
async fn lookups(service: &Arc<Service>, count: usize) -> Vec<(Duration, Answer)> {
    let mut ticks = interval(Duration::from_millis(20));
    let mut lookups = Vec::new();
    for number in 0..count {
        ticks.tick().await;
        let service = Arc::clone(service);
        lookups.push(tokio::spawn(async move {
            let start = Instant::now();
            let answer = service.read("GET", &path(&id(number))).await;
            (start.elapsed(), answer)
        }));
    }
    let mut answers = Vec::new();
    for lookup in lookups {
        answers.push(lookup.await.expect("it is answered"));
    }
    answers
}

async fn hits_again(service: &Service) {
    let start = Instant::now();
    loop {
        let answer = service.read("GET", &path(&id(1))).await;
        if answer.status == 200 {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{answer:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_stopped_costs_an_instance_one_deadline() {
    let redis = Redis::start(&[]);
    let timeout = [("redis_timeout_ms", "2000")];
    let one_instance = InstanceReuse {
        max_instance_reuse_count: usize::MAX,
        max_instance_concurrent_reuse_count: usize::MAX,
        idle_instance_timeout: Duration::from_secs(60),
        ..InstanceReuse::default()
    };
    let service = Arc::new(Service::reusing(&redis, &timeout, one_instance).await);
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    redis.pause();
    let answers = lookups(&service, 400).await;
    let slow = answers
        .iter()
        .filter(|(time, _)| *time > Duration::from_secs(1));
    let slow = slow.count();
    for (_, answer) in &answers {
        assert_eq!(
            (answer.status, answer.header("cache-status")),
            (404, "provider-connection-cache; fwd=miss; detail=timeout")
        );
    }
    // Those that come within a quarter of the deadline wait with the first: 25 at 50 a
    // second. A busy host makes a second instance, for which the same holds, or that cannot
    // connect: then those wait who are there by its deadline.
    assert!(slow > 0, "the first was to wait");
    assert!(slow < answers.len() / 2, "{slow} of {}", answers.len());
    redis.go_on();
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    hits_again(&service).await;
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_gone_is_left_alone_for_longer_and_longer() {
    let mut redis = Redis::start(&[]);
    let service = Arc::new(Service::with(&redis, &[("redis_timeout_ms", TIMEOUT_MS)]).await);
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    redis.stop();
    for (time, answer) in lookups(&service, 150).await {
        assert_eq!(
            (answer.status, answer.header("cache-status")),
            (
                404,
                "provider-connection-cache; fwd=miss; detail=unavailable"
            )
        );
        assert!(time < SLOW, "{time:?}");
    }
    redis.start_again();
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    hits_again(&service).await;
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_to_connect_are_few_during_an_outage() {
    // A listener counts them: it takes each connection, and closes it at once.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("redis://{}", listener.local_addr().unwrap());
    let attempts = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&attempts);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            drop(stream);
        }
    });
    let variables = [
        ("redis_address".to_owned(), address.clone()),
        ("redis_timeout_ms".to_owned(), TIMEOUT_MS.to_owned()),
    ];
    let mut cache = Cache::start(variables.into(), vec![address]).await;
    let start = Instant::now();
    let mut lookups = 0;
    while start.elapsed() < Duration::from_secs(2) {
        assert!(!cache.exists(&id(1)).await.unwrap());
        lookups += 1;
    }
    let attempts = attempts.load(std::sync::atomic::Ordering::Relaxed);
    // Pauses of 50 to 100 ms, 100 to 200, 200 to 400, 400 to 800: a handful in two seconds.
    // A slow machine makes them fewer, never more.
    assert!(
        (2..=8).contains(&attempts),
        "{attempts} of {lookups} lookups"
    );
    assert!(lookups > attempts, "{lookups}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_their_callers_gave_up_leave_nothing_stuck() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[("redis_timeout_ms", "500")]).await;
    redis.set(&cache.key(&id(1)), entry(&id(1)).to_string());
    // The first is given up while it connects, others while they wait for an answer, or
    // for the probe of a Redis that failed.
    for _ in 0..3 {
        redis.pause();
        for _ in 0..4 {
            let one = id(1);
            let lookup = cache.exists(&one);
            let _given_up = timeout(Duration::from_millis(20), lookup).await;
        }
        sleep(Duration::from_millis(600)).await;
        redis.go_on();
        until_answered("Redis is asked again", async || {
            cache.exists(&id(1)).await.unwrap()
        })
        .await;
    }
    assert_nothing_trapped(&cache.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_ping_is_served_again_too() {
    let user = ["--user", "edge", "on", ">of-the-tests", "~*", "+get"];
    let redis = Redis::start(&user);
    let variables = [
        ("redis_timeout_ms", "300"),
        ("redis_username", "edge"),
        ("redis_password", "of-the-tests"),
    ];
    let mut cache = Cache::with(&redis, &variables).await;
    redis.set(&cache.key(&id(1)), entry(&id(1)).to_string());
    assert!(cache.exists(&id(1)).await.unwrap());
    redis.pause();
    assert!(!cache.exists(&id(1)).await.unwrap());
    redis.go_on();
    until_answered("Redis is asked again", async || {
        cache.exists(&id(1)).await.unwrap()
    })
    .await;
}
