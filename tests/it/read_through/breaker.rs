//! An origin that is down is left alone, by all instances and hosts: an outage costs a request now and
//! then, and not one for each lookup.

use std::sync::Arc;
use std::time::Instant;

use provider_connection_cache_host::InstanceReuse;
use provider_connection_origin::{Fault, Origin};

use super::background::STALE;
use super::{Headers, STORED, breaker_keys, read, seen, service, stale_key, until};
use crate::support::connection::id;
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::redis::Redis;
use crate::support::service::{LASTING, Service};

/// Answers of an origin that is down, in a row, open the breaker.
const THRESHOLD: usize = 3;

const OPENED: &str = "\"event\":\"origin_breaker_opened\"";
const CLOSED: &str = "\"event\":\"origin_breaker_closed\"";

/// A service whose origin has failed often enough to be left alone, until the test says so.
async fn left_alone(redis: &Redis, origin: &Origin, more: &[(&str, &str)]) -> Service {
    let service = service(redis, origin, more).await;
    for number in 1..=THRESHOLD {
        assert_eq!(read(&service, number).await.0, 404);
    }
    assert_eq!(origin.requests(), THRESHOLD as u64);
    for_ever(redis, &service);
    service
}

/// Lets the pause last as long as one may, beyond any test.
fn for_ever(redis: &Redis, service: &Service) {
    let [pause, _] = breaker_keys(service);
    let lasts: i64 = redis.command(&["PEXPIRE", &pause, "300000"]);
    assert_eq!(lasts, 1, "there is a pause");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_hangs_costs_three_deadlines_and_then_none() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[]).await;
    origin.inject(Fault::Hang);
    let service = left_alone(&redis, &origin, &[("origin_timeout_ms", "300")]).await;
    let failed = "provider-connection-cache; fwd=miss; detail=origin-timeout; collapsed";
    let failed = failed.replace(
        "detail=origin-timeout; collapsed",
        "collapsed; detail=origin-timeout",
    );
    for number in 10..60 {
        assert_eq!(read(&service, number).await, seen(404, &failed));
    }
    assert_eq!(origin.requests(), THRESHOLD as u64);
    let log = service.log();
    assert_eq!(log.matches(OPENED).count(), 1, "{log}");
    assert!(log.contains("it did not answer in time"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_who_come_after_a_pause_one_asks() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.inject(Fault::Status(503));
    let service = Arc::new(left_alone(&redis, &origin, &[]).await);
    let [pause, failures] = breaker_keys(&service);
    redis.command::<()>(&["DEL", &pause]);
    origin.inject(Fault::Hang);
    let lookups = (10..30).map(|number| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { read(&service, number).await })
    });
    let mut lookups: Vec<_> = lookups.collect();
    until("all but one are answered", || {
        lookups.iter().filter(|one| !one.is_finished()).count() == 1
    })
    .await;
    assert_eq!(origin.requests(), THRESHOLD as u64 + 1);
    lookups.retain(|lookup| !lookup.is_finished());
    lookups[0].abort();
    // As if its time were over: nobody hears of a probe whose instance ended.
    redis.command::<()>(&["DEL", &pause]);
    origin.inject(Fault::None);
    redis.command::<()>(&["DEL", &service.key(&id(1))]);
    assert_eq!(read(&service, 1).await, seen(200, STORED));
    assert_eq!((redis.get(&pause), redis.get(&failures)), (None, None));
    let log = service.log();
    assert_eq!(log.matches(CLOSED).count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_pause_is_twice_the_last_up_to_eight_seconds() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[]).await;
    origin.inject(Fault::Status(503));
    let service = left_alone(&redis, &origin, &[]).await;
    let [pause, failures] = breaker_keys(&service);
    for (number, longest) in [(10, 2_000), (11, 4_000), (12, 8_000), (13, 8_000)] {
        redis.command::<()>(&["DEL", &pause]);
        assert_eq!(read(&service, number).await.0, 404);
        let noted = redis.get(&failures).expect("failures");
        let of = format!(" {longest} 503");
        assert!(noted.ends_with(&of), "{noted}");
        // A machine that is busy for longer finds none.
        let left: i64 = redis.command(&["PTTL", &pause]);
        assert!(left <= longest, "{left}");
    }
    assert_eq!(service.log().matches(OPENED).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_and_hosts_that_begin_know_of_it() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[]).await;
    origin.inject(Fault::Status(502));
    let seasoned = left_alone(&redis, &origin, &[]).await;
    let mut variables = reading_through(&origin, &[]);
    variables.push(("key_prefix".to_owned(), seasoned.prefix().to_owned()));
    let once = InstanceReuse {
        max_instance_reuse_count: 1,
        ..InstanceReuse::default()
    };
    let other = Service::reusing(&redis, &borrowed(&variables), once).await;
    let failed = "provider-connection-cache; fwd=miss; fwd-status=502; collapsed";
    for number in 10..20 {
        assert_eq!(read(&other, number).await, seen(404, failed));
    }
    if let Some(instances) = other.instances_created() {
        assert!(instances >= 10, "{instances}");
    }
    assert_eq!(origin.requests(), THRESHOLD as u64);
    // Nothing happened here that a line would be worth.
    assert_eq!(other.log(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_with_an_answer_in_between_open_nothing() {
    let redis = Redis::start(&[]);
    let numbers: Vec<_> = (1..=30).collect();
    let origin = origin_with(&numbers).await;
    let service = service(&redis, &origin, &[]).await;
    let [pause, failures] = breaker_keys(&service);
    let mut numbers = numbers.into_iter();
    let mut next = || numbers.next().expect("a connection");
    for _ in 0..4 {
        origin.inject(Fault::Status(503));
        for count in 1..THRESHOLD {
            read(&service, next()).await;
            let noted = redis.get(&failures).expect("failures");
            assert!(noted.starts_with(&format!("{count} ")), "{noted}");
        }
        origin.inject(Fault::None);
        assert_eq!(read(&service, next()).await, seen(200, STORED));
        assert_eq!(redis.get(&failures), None);
    }
    // These say that it answers, and may concern one connection.
    let before = origin.requests();
    let faults = [500, 500, 500, 500, 401, 403, 400, 501].map(Fault::Status);
    for fault in faults.into_iter().chain([Fault::Garbage, Fault::Cut]) {
        origin.inject(fault);
        read(&service, next()).await;
    }
    assert_eq!(origin.requests(), before + 10);
    assert_eq!((redis.get(&pause), redis.get(&failures)), (None, None));
    assert!(!service.log().contains(OPENED));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_for_which_the_origin_failed_is_not_asked_for_at_once() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.inject(Fault::Status(500));
    let service = service(&redis, &origin, &[]).await;
    let failed = "provider-connection-cache; fwd=miss; fwd-status=500";
    assert_eq!(read(&service, 1).await, seen(404, failed));
    let key = service.key(&id(1));
    // The moment lasts for a second, or for as long as the test needs.
    let lasts: i64 = redis.command(&["PEXPIRE", &key, "600000"]);
    assert_eq!(lasts, 1);
    origin.inject(Fault::None);
    for _ in 0..50 {
        let collapsed = format!("{failed}; collapsed");
        assert_eq!(read(&service, 1).await, seen(404, &collapsed));
    }
    assert_eq!(origin.requests(), 1);
    redis.command::<()>(&["DEL", &key]);
    assert_eq!(read(&service, 1).await, seen(200, STORED));
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured_for_all_connections() {
    let redis = Redis::start(&[]);
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let cases: [(u16, Headers, i64); 4] = [
        (429, &[("retry-after", "30")], 30),
        (503, &[("retry-after", "30")], 30),
        (
            503,
            &[date, ("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")],
            60,
        ),
        (429, &[("retry-after", "86400")], 300),
    ];
    for (status, headers, longest) in cases {
        let origin = origin_with(&[]).await;
        origin.inject(Fault::Status(status));
        origin.set_headers(headers).unwrap();
        let service = service(&redis, &origin, &[]).await;
        let failed = format!("provider-connection-cache; fwd=miss; fwd-status={status}");
        assert_eq!(read(&service, 1).await, seen(404, &failed));
        let [pause, _] = breaker_keys(&service);
        let left = redis.ttl(&pause);
        assert!(
            (longest - 25..=longest).contains(&left),
            "{headers:?}: {left}"
        );
        for_ever(&redis, &service);
        for number in 2..52 {
            let collapsed = format!("{failed}; collapsed");
            assert_eq!(read(&service, number).await, seen(404, &collapsed));
        }
        assert_eq!(origin.requests(), 1, "{headers:?}");
        // Then one request finds out how it is.
        redis.command::<()>(&["DEL", &pause]);
        assert_eq!(read(&service, 60).await, seen(404, &failed));
        assert_eq!(origin.requests(), 2, "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_of_another_answer_means_nothing() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1, 2, 3]).await;
    origin.set_headers(&[("retry-after", "30")]).unwrap();
    let service = service(&redis, &origin, &[]).await;
    for (number, fault) in [
        (1, Fault::None),
        (2, Fault::Status(500)),
        (3, Fault::Redirect),
    ] {
        origin.inject(fault);
        read(&service, number).await;
    }
    assert_eq!(origin.requests(), 3);
    assert_eq!(redis.keys("*conn-origin*"), Vec::<String>::new());
}

/// Reads connection 4, so that there is a copy of it, and lets its lifetime end.
async fn with_copy(redis: &Redis, origin: &Origin) -> (Service, String) {
    let service = service(redis, origin, &[STALE]).await;
    assert_eq!(read(&service, 4).await, seen(200, STORED));
    let key = service.key(&id(4));
    redis.command::<()>(&["DEL", &key]);
    redis.command::<()>(&["EXPIRE", &stale_key(&key), "3600"]);
    (service, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_pause_a_stale_entry_answers_if_its_cause_allows_it() {
    let redis = Redis::start(&[]);
    for (status, answered, fwd) in [(503, 200, "stale"), (429, 404, "miss")] {
        let origin = origin_with(&[4]).await;
        let (service, key) = with_copy(&redis, &origin).await;
        origin.set_headers(&[("retry-after", "300")]).unwrap();
        origin.inject(Fault::Status(status));
        read(&service, 1).await;
        let said = format!("provider-connection-cache; fwd={fwd}; fwd-status={status}; collapsed");
        for _ in 0..2 {
            assert_eq!(read(&service, 4).await, seen(answered, &said));
        }
        assert_eq!(origin.requests(), 2);
        if status == 429 {
            // Nothing was heard of this connection, so its copy waits for another outage.
            assert!(redis.get(&stale_key(&key)).is_some());
            // But not if somebody removed the entry before its time.
            redis.command::<()>(&["DEL", &key]);
            redis.command::<()>(&["EXPIRE", &stale_key(&key), "3700"]);
            assert_eq!(read(&service, 4).await, seen(answered, &said));
            assert_eq!(redis.get(&stale_key(&key)), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_or_full_an_instance_goes_by_what_it_saw() {
    for away in [true, false] {
        let mut redis = Redis::start(&[]);
        let origin = origin_with(&[]).await;
        origin.inject(Fault::Status(503));
        let variables = reading_through(&origin, &[]);
        let service = Service::reusing(&redis, &borrowed(&variables), LASTING).await;
        match away {
            true => redis.stop(),
            false => redis.command(&["CONFIG", "SET", "maxmemory", "1"]),
        }
        one_a_second(&service, &origin).await;
    }
}

/// Reads many connections, none of which the origin answers.
async fn one_a_second(service: &Service, origin: &Origin) {
    let start = Instant::now();
    for number in 0..100 {
        assert_eq!(read(service, number).await.0, 404);
    }
    // One at the beginning, and one after each second.
    let longest = 1 + start.elapsed().as_secs();
    assert!(
        origin.requests() <= longest,
        "{} of {longest}",
        origin.requests()
    );
    service.assert_instances(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_under_the_keys_of_the_breaker_stops_nothing() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1, 2, 3, 4]).await;
    let service = service(&redis, &origin, &[]).await;
    let [pause, failures] = breaker_keys(&service);
    // The last one would be a pause if it ended.
    for (number, value) in [(1, "x"), (2, ""), (3, "-1 -1"), (4, "503")] {
        redis.set(&pause, value);
        redis.set(&failures, value);
        assert_eq!(read(&service, number).await, seen(200, STORED), "{value}");
    }
}
