//! The counters, by operation, with the meaning that they have in the existing application.

use provider_connection_cache::connection::Timestamp;
use provider_connection_cache::http::stats_json;
use provider_connection_cache::stats as library;
use provider_connection_origin::Fault;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{calls, stats_when};
use crate::support::cache::{Cache, HourStats, OperationStats};
use crate::support::connection::{connection, entry, id};
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::redis::Redis;
use crate::support::said_by_python;
use crate::support::service::{Service, path};
use crate::support::until::until;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a cache counted of an operation: hits, misses, errors and calls.
type Counted = (u64, u64, u64, u64);

fn counted(of: &OperationStats) -> Counted {
    let calls = of.latency.iter().map(|bucket| bucket.calls).sum();
    (of.hits, of.misses, of.errors, calls)
}

/// The current hour and the one before, for an hour may end in a test, as one.
async fn counts(cache: &mut Cache) -> HourStats {
    let hours = cache.stats(2).await.unwrap();
    let [mut before, last] = <[_; 2]>::try_from(hours).unwrap();
    for (sum, of) in before.operations.iter_mut().zip(last.operations) {
        assert_eq!(sum.operation, of.operation);
        sum.hits += of.hits;
        sum.misses += of.misses;
        sum.errors += of.errors;
        sum.time += of.time;
        for (sum, bucket) in sum.latency.iter_mut().zip(of.latency) {
            sum.calls += bucket.calls;
        }
    }
    before.corrupt_entries += last.corrupt_entries;
    before.edge_hits += last.edge_hits;
    before.coalesced_lookups += last.coalesced_lookups;
    before
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_is_counted_under_its_own_name() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    cache.set(&connection(&id(1)), None).await.unwrap();
    let many = [connection(&id(2)), connection(&id(3))];
    cache.set_many(&many, None).await.unwrap();
    for (times, id) in [(1, id(1)), (2, id(9))] {
        for _ in 0..times {
            cache.get(&id).await.unwrap();
            cache.get_summary(&id).await.unwrap();
            cache.exists(&id).await.unwrap();
            cache.lookup(&id).await.unwrap();
            cache.lookup_sourced(&id).await.unwrap();
            cache.inspect(&id).await.unwrap();
            cache.inspect_many(slice::from_ref(&id)).await.unwrap();
            cache.ready().await;
        }
    }
    cache.get_many(&[id(1), id(2), id(9)]).await.unwrap();
    cache.get_many(&[]).await.unwrap();
    cache.delete(&id(1)).await.unwrap();
    cache.delete_many(&[id(2), id(3)]).await.unwrap();
    cache.ping().await.unwrap();
    // What is refused is no operation.
    cache.get("not an id").await.unwrap_err();
    let expected = [
        ("get", (1, 2, 0, 3)),
        ("get-many", (2, 1, 0, 2)),
        ("get-summary", (1, 2, 0, 3)),
        ("exists", (1, 2, 0, 3)),
        ("lookup", (2, 4, 0, 6)),
        ("set", (0, 0, 0, 1)),
        ("set-many", (0, 0, 0, 1)),
        ("delete", (0, 0, 0, 1)),
        ("delete-many", (0, 0, 0, 1)),
        ("ping", (0, 0, 0, 1)),
    ];
    let mut last = counts(&mut cache).await;
    let start = Instant::now();
    while counted(&last.operations[9]).3 == 0 && start.elapsed() < Duration::from_secs(30) {
        cache.wait(Duration::from_millis(50)).await;
        last = counts(&mut cache).await;
    }
    let names: Vec<_> = last
        .operations
        .iter()
        .map(|of| (of.operation.as_str(), counted(of)))
        .collect();
    assert_eq!(names, expected);
    for of in &last.operations {
        assert!(of.time > 0, "{of:?}");
        assert_eq!(of.latency.last().unwrap().up_to, None);
        assert!(of.latency.windows(2).all(|two| {
            let [one, next] = two else { unreachable!() };
            next.up_to.is_none() || one.up_to < next.up_to
        }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_counts_are_those_of_the_cache_and_the_rate_has_four_digits() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    service.hold(&id(1)).await;
    let mut client = service.connect().await;
    let mut read = async |number| {
        let call = crate::support::client::Call::new("GET", &path(&id(number)));
        client
            .send(call.bearer(crate::support::service::READ_TOKEN))
            .await
    };
    for _ in 0..2 {
        assert_eq!(read(1).await.status, 200);
    }
    assert_eq!(read(2).await.status, 404);
    let body = json!({ "ids": [id(1), id(2), id(3)] }).to_string();
    service.look_up(body).await;
    assert_eq!(service.write("DELETE", &path(&id(1))).await.status, 204);
    let stats = stats_when(&service, |stats| calls(stats, "delete") == 1).await;
    let total = &stats["total"];
    let figures = |of: &Value| {
        let numbers = ["hits", "misses", "errors", "total"].map(|name| of[name].as_u64().unwrap());
        (numbers, of["hit_rate"].as_f64().unwrap())
    };
    assert_eq!(figures(total), ([3, 3, 0, 6], 0.5));
    let operations = &total["operations"];
    assert_eq!(figures(&operations["get-summary"]), ([2, 1, 0, 3], 0.6667));
    assert_eq!(figures(&operations["get-many"]), ([1, 2, 0, 3], 0.3333));
    assert_eq!(figures(&operations["set"]), ([0, 0, 0, 0], 0.0));
    assert_eq!(operations["get"], Value::Null);
    let latency = &total["latency"];
    assert_eq!(latency["calls"], 4);
    let [p50, p95, p99] = ["p50_us", "p95_us", "p99_us"].map(|name| latency[name].as_u64());
    assert!(p50 > Some(0) && p50 <= p95 && p95 <= p99, "{latency}");
    let hours = stats["hours"].as_array().unwrap();
    assert_eq!(hours.len(), 2);
    let whole: u64 = hours
        .iter()
        .map(|hour| hour["total"].as_u64().unwrap())
        .sum();
    assert_eq!(whole, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_in_operations_is_counted_once() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    redis.set(&service.key(&id(1)), "{}");
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
    redis.set_to_list(&service.key(&id(2)));
    assert_eq!(service.read("GET", &path(&id(2))).await.status, 404);
    let stats = stats_when(&service, |stats| calls(stats, "get-summary") == 2).await;
    assert_eq!(stats["total"]["corrupt_entries"], 2);
    assert_eq!(stats["total"]["misses"], 2);
    assert_eq!(stats["total"]["errors"], 0);
    for event in [
        "timeouts",
        "breaker_openings",
        "reconnections",
        "edge_hits",
        "coalesced_lookups",
    ] {
        assert_eq!(stats["total"][event], 0, "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_that_share_an_answer_are_counted_and_so_are_those_that_share_the_origins() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    let ids: Vec<_> = (0..20).map(|_| id(1)).collect();
    cache.summaries_at_once(&ids).await;
    let mut last = counts(&mut cache).await;
    let start = Instant::now();
    while last.coalesced_lookups == 0 && start.elapsed() < Duration::from_secs(30) {
        cache.wait(Duration::from_millis(50)).await;
        last = counts(&mut cache).await;
    }
    assert_eq!(last.coalesced_lookups, 19);
    assert_eq!(counted(&last.operations[2]), (0, 20, 0, 20));

    let origin = origin_with(&[1]).await;
    let more = reading_through(&origin, &[]);
    let service = Service::with(&redis, &borrowed(&more)).await;
    for _ in 0..2 {
        assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
        assert_eq!(service.read("GET", &path(&id(2))).await.status, 404);
    }
    let stats = stats_when(&service, |stats| calls(stats, "get-summary") == 4).await;
    // That there is no such connection is known from the cache the second time.
    assert_eq!(stats["total"]["hits"], 2);
    assert_eq!(stats["total"]["misses"], 2);
    assert_eq!(stats["total"]["origin_requests"], 2);
    assert_eq!(stats["total"]["origin_failures"], 0);
    origin.inject(Fault::Status(500));
    assert_eq!(service.read("GET", &path(&id(3))).await.status, 404);
    let stats = stats_when(&service, |stats| calls(stats, "get-summary") == 5).await;
    assert_eq!(stats["total"]["origin_failures"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_that_does_not_share_an_older_answer_is_not_counted_as_sharing_it() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.inject(Fault::Slow(Duration::from_millis(500)));
    let more = reading_through(&origin, &[]);
    let service = Arc::new(Service::with(&redis, &borrowed(&more)).await);
    let first = tokio::spawn({
        let service = Arc::clone(&service);
        async move { service.read("GET", &path(&id(1))).await.status }
    });
    until("the origin is asked", || origin.requests() == 1).await;
    // The second joins the first, whose answer may be older than this.
    redis.command::<()>(&["DEL", &service.key(&id(1))]);
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    assert_eq!(first.await.unwrap(), 200);
    assert_eq!(origin.requests(), 2);
    service.assert_instances(1);
    let stats = stats_when(&service, |stats| calls(stats, "get-summary") == 2).await;
    assert_eq!(stats["total"]["coalesced_lookups"], 0);
}

/// A Redis that fails cannot be told of it. It is when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_handed_on_when_redis_is_back() {
    let redis = Redis::start(&[]);
    let service = Service::with(&redis, &[("redis_timeout_ms", "300")]).await;
    service.hold(&id(1)).await;
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    redis.pause();
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
    assert_eq!(service.write("DELETE", &path(&id(1))).await.status, 503);
    redis.go_on();
    // The instance that counted them is in use until the breaker lets one through.
    let start = Instant::now();
    while service.read("GET", &path(&id(1))).await.status != 200 {
        assert!(start.elapsed() < Duration::from_secs(30));
        sleep(Duration::from_millis(20)).await;
    }
    let stats = stats_when(&service, |stats| stats["total"]["reconnections"] != 0).await;
    let total = &stats["total"];
    assert!(total["timeouts"].as_u64() >= Some(1), "{total}");
    assert!(total["breaker_openings"].as_u64() >= Some(1), "{total}");
    assert!(total["errors"].as_u64() >= Some(2), "{total}");
    let lookups = &total["operations"]["get-summary"];
    assert!(
        lookups["errors"].as_u64() <= lookups["misses"].as_u64(),
        "{lookups}"
    );
    assert_eq!(total["operations"]["delete"]["errors"], 1, "{total}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_are_told_apart_and_what_nobody_counted_is_zero() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    let hours = service.read("GET", "/stats").await.json();
    let hours: Vec<_> = hours["hours"].as_array().unwrap().clone();
    assert_eq!(hours.len(), 24);
    for hour in &hours {
        assert_eq!(
            (&hour["total"], &hour["latency"]),
            (&json!(0), &Value::Null)
        );
    }
    // Each by its key, as another host writes it.
    let name = |hour: &Value| {
        let begins = hour["hour"].as_str().unwrap();
        assert!(begins.ends_with(":00:00+00:00"), "{begins}");
        service.stats_key(&begins[..13])
    };
    for (hour, hits, misses) in [(&hours[3], "3", "1"), (&hours[20], "1", "31")] {
        let fields = [
            "get:hits",
            hits,
            "get:misses",
            misses,
            "from-the-future",
            "8",
            "get:le:500",
            "x",
        ];
        redis.command::<()>(&[&["HSET", &name(hour)], &fields[..]].concat());
    }
    let stats = service.read("GET", "/stats?hours=24").await.json();
    for (index, hits, rate) in [(3, 3, 0.75), (20, 1, 0.0312)] {
        // The hour may have ended since.
        let begins = &hours[index]["hour"];
        let hour = stats["hours"]
            .as_array()
            .unwrap()
            .iter()
            .find(|hour| hour["hour"] == *begins);
        let hour = hour.unwrap();
        assert_eq!(
            (&hour["hits"], &hour["hit_rate"]),
            (&json!(hits), &json!(rate))
        );
    }
    assert_eq!(stats["total"]["total"], 36);
    let longest = service.read("GET", "/stats?hours=48").await.json();
    assert_eq!(longest["hours"].as_array().unwrap().len(), 48);
    for wrong in ["0", "49", "-1", "1.5", "", "x", "%2B5", "05"] {
        let answer = service.read("GET", &format!("/stats?hours={wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(
            answer.text().contains("hours must be 1 to 48"),
            "{}",
            answer.text()
        );
    }
    // Whatever somebody wrote there, what is made of it is a number that can be.
    let most = u64::MAX.to_string();
    for hour in &hours[6..10] {
        redis.command::<()>(&[
            "HSET",
            &name(hour),
            "get:hits",
            &most,
            "get:misses",
            &most,
            "get:le:500",
            &most,
        ]);
    }
    let total = &service.read("GET", "/stats").await.json()["total"];
    assert!(total["total"].as_u64() > Some(1 << 53), "{total}");
    assert!(
        (0.0..=1.0).contains(&total["hit_rate"].as_f64().unwrap()),
        "{total}"
    );
    // What is no hash is trouble with Redis, and says so.
    redis.set(&name(&hours[5]), "x");
    assert_eq!(service.read("GET", "/stats").await.status, 503);
}

#[test]
fn the_hit_rate_is_rounded_as_the_existing_application_rounds_it() {
    let mut rng = fastrand::Rng::with_seed(17);
    let few = (0..128).flat_map(|hits| (0..128).map(move |misses| (hits, misses)));
    // Every tie there can be, and what is close to one.
    let ties = (1..20_000).step_by(2).map(|share| (share, 20_000 - share));
    let mut number = || {
        let bits = rng.u32(1..53);
        rng.u64(..1 << bits)
    };
    let many: Vec<_> = (0..10_000).map(|_| (number(), number())).collect();
    let pairs: Vec<(u64, u64)> = few.chain(ties).chain(many).collect();
    let rates: Vec<f64> = said_by_python(
        "tests/it/observability/hit_rate.py",
        &serde_json::to_string(&pairs).unwrap(),
    )
    .unwrap();
    let hour = |(hits, misses): &(u64, u64)| library::HourStats {
        hour: library::Hour::of(Timestamp::MIN),
        counts: library::Counts::from_fields(|field| match field {
            "get:hits" => Some(*hits),
            "get:misses" => Some(*misses),
            _ => None,
        }),
    };
    let hours: Vec<_> = pairs.iter().map(hour).collect();
    let said: Value = serde_json::from_slice(&stats_json::body(&hours)).unwrap();
    let rows = said["hours"].as_array().unwrap();
    assert_eq!((rows.len(), rates.len()), (pairs.len(), pairs.len()));
    for ((row, rate), pair) in rows.iter().zip(rates).zip(pairs) {
        assert_eq!(row["hit_rate"].as_f64(), Some(rate), "{pair:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_of_a_redis_that_is_away_are_unavailable() {
    let mut redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    let mut cache = Cache::over(&redis).await;
    redis.stop();
    for path in ["/stats", "/metrics"] {
        assert_eq!(service.read("GET", path).await.status, 503, "{path}");
    }
    cache.stats(1).await.unwrap_err();
    for wrong in [0, 49, u32::MAX] {
        let error = cache.stats(wrong).await.unwrap_err();
        assert!(
            format!("{error:?}").contains("hours must be 1 to 48"),
            "{error:?}"
        );
    }
    let entry = entry(&id(1)).to_string();
    assert_eq!(service.put(&path(&id(1)), entry).await.status, 503);
}
