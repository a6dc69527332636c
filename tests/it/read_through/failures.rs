//! The origin fails, or Redis is away: a miss as before, and nothing wrong is stored.

use std::time::Duration;

use provider_connection_origin::Fault;

use super::{STORED, cache, read, reading, seen, service, told, until};
use crate::support::assert_nothing_trapped;
use crate::support::cache::{LookupResult, SourcedLookupResult};
use crate::support::connection::{entry, id};
use crate::support::faults::Blackhole;
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::redis::{Redis, free_port};
use crate::support::service::{Service, path};

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_origin_is_a_miss_that_says_so() {
    let redis = Redis::shared();
    let numbers: Vec<_> = (1..=12).collect();
    let origin = origin_with(&numbers).await;
    // Only `hang` ever waits for the time-out; a busy machine reaches it no sooner.
    let service = service(redis, &origin, &[("origin_timeout_ms", "3000")]).await;
    let cases = [
        (Fault::Status(500), "fwd=miss; fwd-status=500"),
        (Fault::Status(503), "fwd=miss; fwd-status=503"),
        (Fault::Status(401), "fwd=miss; fwd-status=401"),
        (Fault::Status(204), "fwd=miss; fwd-status=204"),
        (Fault::Redirect, "fwd=miss; fwd-status=302"),
        (Fault::Garbage, "fwd=miss; detail=origin-unreadable"),
        (Fault::OtherId, "fwd=miss; detail=origin-unreadable"),
        (Fault::Large, "fwd=miss; detail=origin-too-large"),
        (Fault::Cut, "fwd=miss; detail=origin-cut-off"),
        (Fault::Hang, "fwd=miss; detail=origin-timeout"),
    ];
    for (number, (fault, cache_status)) in (1..).zip(cases) {
        origin.inject(fault);
        let cache_status = format!("provider-connection-cache; {cache_status}");
        assert_eq!(
            read(&service, number).await,
            seen(404, &cache_status),
            "{fault:?}"
        );
        // The redirect, to another connection, was not followed.
        assert_eq!(origin.requests(), number as u64, "{fault:?}");
        let held = redis.get(&service.key(&id(number))).unwrap_or_default();
        assert!(!held.contains("user_id"), "{fault:?}: something is stored");
    }
    origin.inject(Fault::Slow(Duration::from_millis(300)));
    assert_eq!(read(&service, 12).await, seen(200, STORED));
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn over_wit_a_failed_origin_is_what_redis_said_and_lookup_sourced_says_more() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.inject(Fault::Status(503));
    let mut cache = cache(&redis, &origin, &[]).await;
    assert_eq!(cache.get(&id(1)).await.unwrap(), None);
    assert!(!cache.exists(&id(1)).await.unwrap());
    assert_eq!(cache.lookup(&id(1)).await.unwrap(), LookupResult::Miss);
    let found = cache.lookup_sourced(&id(1)).await.unwrap();
    let SourcedLookupResult::OriginFailed(reason) = found else {
        panic!("{found:?}");
    };
    assert_eq!(reason, "the origin: it answered with status 503");
    redis.set(&cache.key(&id(2)), "{}");
    let found = cache.lookup(&id(2)).await.unwrap();
    assert!(matches!(found, LookupResult::Corrupt(_)), "{found:?}");
    drop(redis);
    let found = cache.lookup(&id(1)).await.unwrap();
    assert!(matches!(found, LookupResult::Unavailable(_)), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_gone_is_a_miss() {
    let redis = Redis::shared();
    let origin = origin_with(&[]).await;
    let variables = reading_through(&origin, &[]);
    drop(origin);
    let service = Service::with(redis, &borrowed(&variables)).await;
    let address = variables[1].1.trim_start_matches("http://").to_owned();
    until("it is gone", || {
        std::net::TcpStream::connect(&address).is_err()
    })
    .await;
    let gone = "provider-connection-cache; fwd=miss; detail=origin-unreachable";
    assert_eq!(read(&service, 1).await, seen(404, gone));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_from_its_status_and_the_log() {
    let redis = Redis::shared();
    let origin = origin_with(&[1]).await;
    let wrong = ("origin_token", "TOP-SECRET-but-not-the-right-one");
    for token in [wrong, ("origin_token", "")] {
        let service = service(redis, &origin, &[token]).await;
        let refused = "provider-connection-cache; fwd=miss; fwd-status=401";
        assert_eq!(read(&service, 1).await, seen(404, refused));
        let log = service.log();
        assert!(
            log.contains("origin") && log.contains("status 401"),
            "{log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_the_host_does_not_allow_is_named_in_the_log() {
    let redis = Redis::shared();
    let origin = origin_with(&[1]).await;
    for address in ["", "http://127.0.0.1:1", "https://localhost"] {
        let service = service(redis, &origin, &[("origin_address", address)]).await;
        let denied = "provider-connection-cache; fwd=miss; detail=origin-not-allowed";
        assert_eq!(read(&service, 1).await, seen(404, denied));
        assert!(
            service.log().contains("set origin_address"),
            "{}",
            service.log()
        );
    }
    assert_eq!(origin.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_origin_answers_and_nothing_is_stored() {
    let mut redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let service = service(&redis, &origin, &[]).await;
    redis.stop();
    let passed = "provider-connection-cache; fwd=miss; fwd-status=200; detail=unavailable";
    for _ in 0..3 {
        assert_eq!(read(&service, 1).await, seen(200, passed));
    }
    let missing = "provider-connection-cache; fwd=miss; fwd-status=404; detail=unavailable";
    assert_eq!(read(&service, 2).await, seen(404, missing));
    assert_eq!(origin.requests(), 4);
    // Writes tell the truth as ever.
    let put = service.put(&path(&id(1)), entry(&id(1)).to_string()).await;
    assert_eq!(put.status, 503);
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_says_nothing_is_waited_for_no_longer_than_its_time_out() {
    let redis = Redis::start(&[]);
    let silent = Blackhole::new().await;
    let origin = origin_with(&[1]).await;
    let address = silent.address();
    let at_it = [
        ("redis_address", address.as_str()),
        ("redis_timeout_ms", "200"),
    ];
    let service = service(&redis, &origin, &at_it).await;
    let (status, cache_status) = read(&service, 1).await;
    assert_eq!(status, 200);
    assert!(
        cache_status.ends_with("fwd-status=200; detail=timeout"),
        "{cache_status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_goes_away_while_the_origin_is_asked() {
    let mut redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.inject(Fault::Slow(Duration::from_millis(1_500)));
    let service = std::sync::Arc::new(service(&redis, &origin, &[]).await);
    let reading = reading(&service, &origin).await;
    redis.stop();
    assert_eq!(told(&reading.await.unwrap()), seen(200, super::PASSED));
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_named_and_asks_nobody() {
    let redis = Redis::shared();
    let origin = origin_with(&[1]).await;
    let without_id = format!("http://{}/connections", origin.address());
    let port = free_port();
    let with_user = format!("http://user:TOP-SECRET@127.0.0.1:{port}/{{id}}");
    for (variable, value) in [
        ("origin_url", without_id.as_str()),
        ("origin_url", with_user.as_str()),
        ("origin_timeout_ms", "0"),
        ("origin_token", "TOP-SECRET with a space"),
        ("negative_ttl", "5s"),
        ("refresh_ahead", "1.5"),
        ("stale_if_error", "-1"),
        ("ttl_jitter", "10%"),
    ] {
        let service = service(redis, &origin, &[(variable, value)]).await;
        let ready = service.read("GET", "/health/ready").await;
        assert_eq!(ready.status, 503);
        let named = format!("variable {variable} must be ");
        assert!(ready.text().contains(&named), "{}", ready.text());
        assert_eq!(read(&service, 1).await.0, 404);
        assert!(service.log().contains(&named), "{}", service.log());
    }
    assert_eq!(origin.requests(), 0);
}
