//! What the origin is sent, and what the headers of its answers mean.

use provider_connection_origin::{Fault, Origin};

use super::background::{AT_ONCE, STALE, read_and_wait};
use super::{HIT, Headers, PASSED, STORED, read, seen, service, stale_key, until};
use crate::support::connection::id;
use crate::support::origin::origin_with;
use crate::support::redis::Redis;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_the_cache_and_wants_no_content_coding() {
    let redis = Redis::shared();
    let origin = origin_with(&[1]).await;
    let service = service(redis, &origin, &[]).await;
    assert_eq!(read(&service, 1).await, seen(200, STORED));
    let version = env!("CARGO_PKG_VERSION");
    let named = format!("provider-connection-cache/{version}");
    assert_eq!(origin.seen_header("user-agent"), Some(named));
    for (name, value) in [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
    ] {
        assert_eq!(origin.seen_header(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_a_content_coding_is_a_failure_that_says_so() {
    let redis = Redis::shared();
    let origin = origin_with(&[1, 2, 3, 4]).await;
    let service = service(redis, &origin, &[]).await;
    let encoded = "provider-connection-cache; fwd=miss; detail=origin-encoded";
    for (number, coding) in [(1, "gzip"), (2, "identity, br")] {
        origin.set_headers(&[("content-encoding", coding)]).unwrap();
        assert_eq!(read(&service, number).await, seen(404, encoded), "{coding}");
    }
    for (number, coding) in [(3, "Identity"), (4, "")] {
        origin.set_headers(&[("content-encoding", coding)]).unwrap();
        assert_eq!(read(&service, number).await, seen(200, STORED), "{coding}");
    }
    let log = service.log();
    assert!(log.contains("its answer has a content coding"), "{log}");
    assert!(!log.contains("corrupt_answer"), "{log}");
}

/// Rows of the table in docs/read-through.md; the tests of `cache_control.rs` have all of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_headers_of_an_answer_say_how_long_it_is_stored() {
    let redis = Redis::shared();
    let numbers: Vec<_> = (1..=12).collect();
    let origin = origin_with(&numbers).await;
    let service = service(redis, &origin, &[]).await;
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let later = ("expires", "Sun, 06 Nov 1994 09:06:17 GMT");
    let rows: [(Headers, Option<i64>); 12] = [
        (&[], Some(300)),
        (&[("cache-control", "max-age=1000")], Some(1_000)),
        (
            &[("cache-control", "max-age=2000, s-maxage=1000")],
            Some(1_000),
        ),
        (
            &[("cache-control", "max-age=2000"), ("age", "1000")],
            Some(1_000),
        ),
        (&[date, later], Some(1_000)),
        (
            &[
                ("cache-control", "max-age=60"),
                ("cache-control", "max-age=20"),
            ],
            None,
        ),
        (&[("cache-control", "private, max-age=60")], None),
        (&[("cache-control", "s-maxage=0, max-age=60")], None),
        (&[("cache-control", "no-cache=\"set-cookie\"")], None),
        (&[("expires", "0")], None),
        (&[date, ("expires", "Sun, 06 Nov 1994 08:49:37 GMT")], None),
        (&[("pragma", "no-cache")], None),
    ];
    for (number, (headers, lifetime)) in (1..).zip(rows) {
        origin.set_headers(headers).unwrap();
        let how = if lifetime.is_some() { STORED } else { PASSED };
        assert_eq!(read(&service, number).await, seen(200, how), "{headers:?}");
        if let Some(longest) = lifetime {
            let ttl = redis.ttl(&service.key(&id(number)));
            assert!(
                (longest - 60..=longest).contains(&ttl),
                "{headers:?}: {ttl}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_must_be_revalidated_never_answers_stale() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1, 2, 3]).await;
    let service = service(&redis, &origin, &[STALE]).await;
    for (number, cache_control) in [
        (1, "max-age=1, must-revalidate"),
        (2, "max-age=1, proxy-revalidate, stale-if-error=600"),
        (3, "s-maxage=1"),
    ] {
        origin.inject(Fault::None);
        origin.set_cache_control(Some(cache_control)).unwrap();
        assert_eq!(read(&service, number).await, seen(200, STORED));
        let key = service.key(&id(number));
        until("its lifetime is over", || redis.get(&key).is_none()).await;
        origin.inject(Fault::Status(500));
        let failed = "provider-connection-cache; fwd=miss; fwd-status=500";
        assert_eq!(
            read(&service, number).await,
            seen(404, failed),
            "{cache_control}"
        );
        assert_eq!(redis.get(&stale_key(&key)), None, "{cache_control}");
    }
}

/// An entry whose refresh fails is copied, to answer stale; but not if the origin forbids it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_fails_does_not_undo_what_the_origin_said_of_stale_answers() {
    let redis = Redis::start(&[]);
    for (cache_control, copy) in [
        ("max-age=300, must-revalidate", "0 "),
        ("max-age=300, stale-if-error=60", "60 "),
        ("max-age=300, stale-if-error=99999", "3600 "),
    ] {
        let origin = origin_with(&[1]).await;
        origin.set_cache_control(Some(cache_control)).unwrap();
        let service = service(&redis, &origin, &[STALE, AT_ONCE]).await;
        let key = read_and_wait(&redis, &service).await;
        let copied = || redis.get(&stale_key(&key)).expect("a copy");
        let before = copied();
        assert!(before.starts_with(copy), "{cache_control}");
        origin.inject(Fault::Status(500));
        assert_eq!(read(&service, 1).await, seen(200, HIT));
        refreshed(&origin).await;
        assert_eq!(copied(), before, "{cache_control}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_says_how_long_its_answer_may_be_stale() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1, 2]).await;
    let service = service(&redis, &origin, &[STALE]).await;
    let cache_control = "max-age=300, stale-if-error=60";
    origin.set_cache_control(Some(cache_control)).unwrap();
    for number in [1, 2] {
        assert_eq!(read(&service, number).await, seen(200, STORED));
        let ttl = redis.ttl(&stale_key(&service.key(&id(number))));
        assert!((300..=360).contains(&ttl), "{ttl}");
    }
    origin.inject(Fault::Status(500));
    // Its lifetime is over, but not the minute after it.
    let key = service.key(&id(1));
    redis.command::<()>(&["DEL", &key]);
    redis.command::<()>(&["EXPIRE", &stale_key(&key), "60"]);
    assert!(read(&service, 1).await.1.contains("fwd=stale"));
    assert!((1..=60).contains(&redis.ttl(&key)));
    // Somebody removed it before its time.
    redis.command::<()>(&["DEL", &service.key(&id(2))]);
    let failed = "provider-connection-cache; fwd=miss; fwd-status=500";
    assert_eq!(read(&service, 2).await, seen(404, failed));
}

/// Waits until the second request was made, and what follows it.
async fn refreshed(origin: &Origin) {
    until("it is asked again", || origin.requests() == 2).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
}
