//! When Redis cannot answer: reads are misses, writes say so, and nothing traps.

use std::time::{Duration, Instant};

use crate::support::assert_nothing_trapped;
use crate::support::cache::{Cache, Error, LookupResult};
use crate::support::connection::{connection, entry, id};
use crate::support::redis::{Redis, free_port};
use crate::support::secrets::PASSWORD;
use crate::support::service::{READ_TOKEN, Service, WRITE_TOKEN, path};
use crate::support::{Variables, spin_component};

/// Every operation, over HTTP and WIT, while Redis does not answer.
pub async fn reads_are_misses_and_writes_say_so(
    service: &Service,
    cache: &mut Cache,
    detail: &str,
) {
    let wanted = format!("provider-connection-cache; fwd=miss; detail={detail}");
    for missed in [
        service.read("GET", &path(&id(1))).await,
        service.read("HEAD", &path(&id(1))).await,
        service
            .write("GET", &format!("{}?view=full", path(&id(1))))
            .await,
    ] {
        assert_eq!(
            (missed.status, missed.header("cache-status")),
            (404, wanted.as_str())
        );
    }
    let batch = service.look_up(format!(r#"{{"ids":["{}"]}}"#, id(1))).await;
    assert_eq!(
        (batch.status, batch.header("cache-status")),
        (200, wanted.as_str())
    );
    assert!(batch.json()["connections"][id(1)].is_null());
    for unavailable in [
        service.put(&path(&id(1)), entry(&id(1)).to_string()).await,
        service.write("DELETE", &path(&id(1))).await,
        service.read("GET", "/health/ready").await,
    ] {
        assert_eq!(unavailable.status, 503);
        assert_eq!(
            unavailable.header("content-type"),
            "application/problem+json"
        );
        assert!(
            !unavailable.everything().contains("127.0.0.1"),
            "{}",
            unavailable.everything()
        );
    }
    assert_eq!(service.read("GET", "/health/live").await.status, 200);

    assert_eq!(cache.get(&id(1)).await.unwrap(), None);
    assert_eq!(cache.get_summary(&id(1)).await.unwrap(), None);
    assert_eq!(cache.get_many(&[id(1), id(2)]).await.unwrap(), [None, None]);
    assert!(!cache.exists(&id(1)).await.unwrap());
    assert!(matches!(
        cache.lookup(&id(1)).await.unwrap(),
        LookupResult::Unavailable(_)
    ));
    let unavailable = |result: Result<String, Error>| {
        assert!(matches!(&result, Err(Error::Unavailable(_))), "{result:?}");
    };
    let all = [connection(&id(1))];
    unavailable(cache.set(&all[0], None).await.map(|()| String::new()));
    unavailable(cache.set_many(&all, None).await.map(|()| String::new()));
    unavailable(cache.delete(&id(1)).await.map(|there| there.to_string()));
    unavailable(
        cache
            .delete_many(&[id(1)])
            .await
            .map(|count| count.to_string()),
    );
    unavailable(cache.ping().await.map(|time| time.to_string()));
    for log in [service.log(), cache.log()] {
        assert_nothing_trapped(&log);
    }
}

fn at(address: &str, more: &[(&str, &str)]) -> Variables {
    let common = [
        ("redis_address", address),
        ("redis_timeout_ms", "30000"),
        ("read_token", READ_TOKEN),
        ("write_token", WRITE_TOKEN),
    ];
    let pairs = common.iter().chain(more);
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

async fn both(address: &str, more: &[(&str, &str)]) -> (Service, Cache) {
    let variables = at(address, more);
    let cache = Cache::start(variables.clone(), vec![address.to_owned()]).await;
    (Service::start(variables).await, cache)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_redis_stopped_under_an_open_connection_and_again_when_it_is_back() {
    let mut redis = Redis::start(&[]);
    let (service, mut cache) = both(&redis.address(), &[]).await;
    service.hold(&id(1)).await;
    assert!(cache.exists(&id(1)).await.unwrap());
    redis.stop();
    reads_are_misses_and_writes_say_so(&service, &mut cache, "unavailable").await;
    redis.start_again();
    // It is left alone for a moment after it failed.
    let start = Instant::now();
    let in_time = || assert!(start.elapsed() < Duration::from_secs(20), "not yet");
    while service
        .put(&path(&id(1)), entry(&id(1)).to_string())
        .await
        .status
        != 204
    {
        in_time();
    }
    while !cache.exists(&id(1)).await.unwrap() {
        in_time();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_listening() {
    let address = format!("redis://127.0.0.1:{}", free_port());
    let (service, mut cache) = both(&address, &[]).await;
    reads_are_misses_and_writes_say_so(&service, &mut cache, "unavailable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_password_that_is_missing_or_wrong_and_not_with_the_right_one() {
    let redis = Redis::start_with_required_password(PASSWORD);
    for more in [
        &[][..],
        &[("redis_password", "a-wrong-one")],
        &[("redis_database", "99"), ("redis_password", PASSWORD)],
    ] {
        let (service, mut cache) = both(&redis.address(), more).await;
        reads_are_misses_and_writes_say_so(&service, &mut cache, "unavailable").await;
    }
    let right = [
        ("redis_username", "default"),
        ("redis_password", PASSWORD),
        ("redis_database", "3"),
    ];
    let (service, mut cache) = both(&redis.address(), &right).await;
    cache.set(&connection(&id(1)), None).await.unwrap();
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    redis.command::<()>(&["SELECT", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_redis_paused_every_operation_ends_in_time() {
    let redis = Redis::start(&[]);
    let (service, mut cache) = both(&redis.address(), &[("redis_timeout_ms", "100")]).await;
    redis.pause();
    reads_are_misses_and_writes_say_so(&service, &mut cache, "timeout").await;
    redis.go_on();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_address_that_the_host_does_not_allow() {
    let redis = Redis::shared();
    let variables = at(&redis.address(), &[]);
    let mut cache = Cache::start(variables.clone(), Vec::new()).await;
    let service = Service::start_allowing(&spin_component(), Vec::new(), variables).await;
    reads_are_misses_and_writes_say_so(&service, &mut cache, "unavailable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_type_is_corrupt_and_is_replaced_and_removed_like_any() {
    let redis = Redis::shared();
    let service = Service::over(redis).await;
    let mut cache = Cache::over(redis).await;
    for key in [service.key(&id(1)), cache.key(&id(1))] {
        redis.set_to_list(&key);
    }
    let answer = service.read("GET", &path(&id(1))).await;
    assert_eq!(answer.status, 404);
    assert!(
        answer
            .header("cache-status")
            .ends_with("fwd=miss; detail=corrupt")
    );
    assert_eq!(cache.get(&id(1)).await.unwrap(), None);
    assert_eq!(cache.get_many(&[id(1)]).await.unwrap(), [None]);
    assert!(!cache.exists(&id(1)).await.unwrap());
    service.hold(&id(1)).await;
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    assert!(cache.delete(&id(1)).await.unwrap());
    assert_nothing_trapped(&service.log());
}
