//! One connection to Redis per instance, not per request, and another one when it breaks.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::support::assert_nothing_trapped;
use crate::support::cache::{Cache, Error, LookupResult};
use crate::support::client::Call;
use crate::support::connection::{connection, entry, id};
use crate::support::redis::Redis;
use crate::support::service::{LASTING, READ_TOKEN, Service, path};

const HIT: &str = "provider-connection-cache; hit";

/// How many instances were made, or could be for 16 requests at a time or 1,000 in turn.
fn instances(service: &Service) -> u64 {
    service.instances_created().unwrap_or(16) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_opens_one_connection_for_all_of_its_requests() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    let before = redis.info("total_connections_received");
    let mut client = service.connect().await;
    for _ in 0..1_000 {
        let answer = client
            .send(Call::new("GET", &path(&id(1))).bearer(READ_TOKEN))
            .await;
        assert_eq!(answer.status, 200);
    }
    // Asking costs a connection of the test's own.
    let opened = redis.info("total_connections_received") - before - 1;
    assert!(
        (1..=instances(&service)).contains(&opened),
        "{opened} connections, {} instances",
        instances(&service)
    );
    assert!(opened < 100, "{opened} connections for 1,000 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_meet_a_cold_instance_together_share_its_connection() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    let before = redis.info("total_connections_received");
    let target = path(&id(1));
    let requests = (0..16).map(|_| service.read("GET", &target));
    for answer in futures_util::future::join_all(requests).await {
        assert_eq!(answer.status, 200);
    }
    let opened = redis.info("total_connections_received") - before - 1;
    assert!(
        (1..=instances(&service)).contains(&opened),
        "{opened} connections, {} instances",
        instances(&service)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_redis_closed_is_replaced_without_a_caller_seeing_it() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    for _ in 0..20 {
        let answer = service.read("GET", &path(&id(1))).await;
        assert_eq!(
            (answer.status, answer.header("cache-status")),
            (200, "provider-connection-cache; hit")
        );
        redis.command::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
}

/// Waits until the others have so many connections to Redis.
async fn clients(redis: &Redis, wanted: u64) {
    let start = Instant::now();
    while redis.clients() != wanted {
        let waited = start.elapsed() < Duration::from_secs(30);
        assert!(waited, "{} connections, not {wanted}", redis.clients());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_redis_answers_does_not_replace_the_connection() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    redis.set_to_list(&cache.key(&id(1)));
    cache.ping().await.unwrap();
    let before = redis.info("total_connections_received");
    for _ in 0..10 {
        assert!(matches!(
            cache.lookup(&id(1)).await.unwrap(),
            LookupResult::Corrupt(_)
        ));
    }
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..10 {
        let refused = cache.set(&connection(&id(2)), None).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
    let own = 2;
    let opened = redis.info("total_connections_received") - before - own;
    assert_eq!(opened, 0);
    clients(&redis, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_or_falls_silent_is_replaced_by_one() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[("redis_timeout_ms", "1000")]).await;
    // Those of the component, not one of the test that Redis has not seen closed yet.
    let ids = |redis: &Redis| -> HashSet<String> {
        let list: String = redis.command(&["CLIENT", "LIST", "TYPE", "normal"]);
        let id = |line: &str| line.split(' ').next().map(str::to_owned);
        list.lines()
            .filter(|line| line.contains("cmd=ping"))
            .filter_map(id)
            .collect()
    };
    let work_again = async |cache: &mut Cache| {
        let start = Instant::now();
        while cache.ping().await.is_err() {
            let waited = start.elapsed() < Duration::from_secs(10);
            assert!(waited, "Redis is not asked again");
            sleep(Duration::from_millis(20)).await;
        }
        clients(&redis, 1).await;
    };
    work_again(&mut cache).await;
    let first = ids(&redis);
    redis.kill_clients();
    work_again(&mut cache).await;
    let second = ids(&redis);
    redis.pause();
    assert!(cache.ping().await.is_err());
    redis.go_on();
    work_again(&mut cache).await;
    let third = ids(&redis);
    for (one, other) in [(&first, &second), (&second, &third), (&first, &third)] {
        assert_eq!((one.len(), other.len()), (1, 1), "{one:?}, {other:?}");
        assert!(one.is_disjoint(other), "{one:?}, {other:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_redis_closed_for_being_idle_is_replaced_without_a_caller_seeing_it() {
    let redis = Redis::start(&["--timeout", "1"]);
    let service = Service::reusing(&redis, &[], LASTING).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    for _ in 0..2 {
        let answer = service.read("GET", &path(&id(1))).await;
        assert_eq!((answer.status, answer.header("cache-status")), (200, HIT));
        clients(&redis, 0).await;
    }
    service.assert_instances(1);
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_killed_in_the_midst_of_load_are_replaced_without_a_caller_seeing_it() {
    const CALLERS: usize = 8;
    let redis = Redis::start(&[]);
    let service = Service::reusing(&redis, &[], LASTING).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    let served: Vec<_> = (0..CALLERS).map(|_| AtomicUsize::new(0)).collect();
    let over = AtomicBool::new(false);
    let callers = served.iter().map(async |served| {
        let mut client = service.connect().await;
        while !over.load(Ordering::Relaxed) {
            let call = Call::new("GET", &path(&id(1))).bearer(READ_TOKEN);
            let answer = client.send(call).await;
            assert_eq!((answer.status, answer.header("cache-status")), (200, HIT));
            served.fetch_add(1, Ordering::Relaxed);
        }
    });
    // A command is sent twice at most, and only if the first connection served before. So
    // only such are killed as no command can be the first one on, or sent again on.
    let killer = async {
        for _ in 0..30 {
            let list: String = redis.command(&["CLIENT", "LIST", "TYPE", "normal"]);
            let before: Vec<_> = served.iter().map(|it| it.load(Ordering::Relaxed)).collect();
            let all_went_on = || {
                let counts = served.iter().zip(&before);
                counts
                    .clone()
                    .all(|(now, before)| now.load(Ordering::Relaxed) > before + 2)
            };
            while !all_went_on() {
                sleep(Duration::from_millis(1)).await;
            }
            for id in list
                .lines()
                .filter_map(|line| line.strip_prefix("id=")?.split(' ').next())
            {
                redis.command::<u32>(&["CLIENT", "KILL", "ID", id]);
            }
        }
        over.store(true, Ordering::Relaxed);
    };
    futures_util::future::join(join_all(callers), killer).await;
    assert_nothing_trapped(&service.log());
}
