//! `Server-Timing`, and the trace that goes on to the origin.

use std::time::Duration;

use provider_connection_origin::Fault;
use serde_json::json;

use crate::support::client::{Answer, Call};
use crate::support::connection::id;
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::redis::Redis;
use crate::support::service::{READ_TOKEN, Service, path};

const ON: (&str, &str) = ("server_timing", "on");

/// The metrics of an answer in their order, each with its duration in milliseconds.
fn metrics(answer: &Answer) -> Vec<(String, f64)> {
    let header = answer.optional_header("server-timing").unwrap_or_default();
    let metrics = header.split(", ").filter(|metric| !metric.is_empty());
    metrics
        .map(|metric| {
            let (name, duration) = metric.split_once(";dur=").expect(metric);
            (name.to_owned(), duration.parse().expect(metric))
        })
        .collect()
}

/// Asserts that the metrics have these names, and that no part took longer than the whole.
fn assert_parts(answer: &Answer, names: &[&str]) {
    let metrics = metrics(answer);
    let found: Vec<_> = metrics.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, names, "{}", answer.everything());
    let parts: f64 = metrics.iter().skip(1).map(|(_, took)| took).sum();
    // Each is rounded down to a microsecond.
    assert!(parts <= metrics[0].1 + 0.001, "{metrics:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_says_what_it_spent_its_time_on_and_nothing_else_does() {
    let service = Service::with(Redis::shared(), &[ON]).await;
    service.hold(&id(1)).await;
    for (target, status) in [
        (path(&id(1)), 200),
        (format!("{}?view=full", path(&id(1))), 200),
        (path(&id(2)), 404),
    ] {
        let answer = service.write("GET", &target).await;
        assert_eq!(answer.status, status);
        assert_parts(&answer, &["cache", "redis"]);
    }
    let batch = service.look_up(json!({ "ids": [id(1), id(2)] }).to_string());
    assert_parts(&batch.await, &["cache", "redis"]);
    let refused = Call::new("GET", &path(&id(1))).bearer("wrong");
    for answer in [
        service.look_up("[]").await,
        service.send(refused).await,
        service.put(&path(&id(1)), "{}").await,
        service.write("DELETE", &path(&id(1))).await,
        service.read("GET", "/stats").await,
        service.read("GET", "/health/ready").await,
    ] {
        assert_eq!(answer.optional_header("server-timing"), None, "{answer:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_and_its_slowness_are_told_apart() {
    let redis = Redis::shared();
    let origin = origin_with(&[1]).await;
    let variables = reading_through(&origin, &[ON]);
    let service = Service::with(redis, &borrowed(&variables)).await;
    origin.inject(Fault::Slow(Duration::from_millis(50)));
    let miss = service.read("GET", &path(&id(1))).await;
    assert_eq!(miss.status, 200);
    assert_parts(&miss, &["cache", "redis", "origin"]);
    assert!(metrics(&miss)[2].1 >= 50.0, "{:?}", metrics(&miss));
    let hit = service.read("GET", &path(&id(1))).await;
    assert_parts(&hit, &["cache", "redis"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unless_it_is_wanted_nobody_is_told() {
    let service = Service::over(Redis::shared()).await;
    service.hold(&id(1)).await;
    let answer = service.read("GET", &path(&id(1))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.optional_header("server-timing"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_the_caller_goes_on_to_the_origin() {
    let redis = Redis::shared();
    let origin = origin_with(&[1, 2, 3, 4]).await;
    let variables = reading_through(&origin, &[]);
    let service = Service::with(redis, &borrowed(&variables)).await;
    let rest = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (number, given, passed_on) in [
        (1, Some(format!("00-{rest}")), true),
        // What a later version adds is left out.
        (2, Some(format!("cc-{rest}-what")), true),
        (3, Some(format!("00-{rest}-what")), false),
        (4, None, false),
    ] {
        let call = Call::new("GET", &path(&id(number))).bearer(READ_TOKEN);
        let call = match &given {
            Some(given) => call
                .header("traceparent", given)
                .header("tracestate", "a=b"),
            None => call,
        };
        assert_eq!(service.send(call).await.status, 200);
        let seen = origin.seen_header("traceparent");
        assert_eq!(seen, passed_on.then(|| format!("00-{rest}")), "{given:?}");
        assert_eq!(origin.seen_header("tracestate"), None);
    }
}
