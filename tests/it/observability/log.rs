//! The log: one line of JSON for each event, of names that are documented, and not too many.

use std::collections::BTreeSet;
use std::fs;

use provider_connection_cache::log::Event;
use provider_connection_origin::Fault;
use serde_json::Value;
use strum::VariantArray as _;

use crate::support::cache::Cache;
use crate::support::client::Call;
use crate::support::connection::id;
use crate::support::in_repository;
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::redis::Redis;
use crate::support::service::{READ_TOKEN, Service, WRITE_TOKEN, path};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The lines of a log, each of which must be an event.
fn lines(log: &str) -> Vec<Value> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        let is_known = Event::VARIANTS
            .iter()
            .any(|event| line["event"] == event.name() && line["level"] == event.level());
        assert!(is_known, "{line}");
        let time: jiff::Timestamp = line["time"].as_str().unwrap().parse().unwrap();
        let age = jiff::Timestamp::now().as_second() - time.as_second();
        assert!((-1..600).contains(&age), "{line}");
        line
    };
    log.lines().map(line).collect()
}

fn events(log: &str) -> Vec<String> {
    let lines = lines(log);
    lines
        .iter()
        .map(|line| line["event"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_table_of_events_is_complete() {
    let text = fs::read_to_string(in_repository("docs/observability.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let event = cells.next()?.strip_suffix('`')?.to_owned();
        Some((event, cells.next()?.to_owned()))
    });
    let levels = ["info", "warn", "error"];
    let rows: BTreeSet<_> = rows
        .filter(|(_, level)| levels.contains(&level.as_str()))
        .collect();
    let known = Event::VARIANTS
        .iter()
        .map(|event| (event.name().to_owned(), event.level().to_owned()));
    assert_eq!(rows, known.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_says_for_whose_request_it_is() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    for number in 1..=3 {
        redis.set(&service.key(&id(number)), "{}");
    }
    let read = |number| Call::new("GET", &path(&id(number))).bearer(READ_TOKEN);
    let traced = read(1).header("traceparent", TRACEPARENT);
    // At the same time, in the same instance.
    let wrong = read(3).header("traceparent", "00-not-one");
    futures_util::join!(
        service.send(traced),
        service.send(read(2)),
        service.send(wrong)
    );
    let lines = lines(&service.log());
    assert_eq!(lines.len(), 3);
    for number in 1..=3 {
        let line = lines.iter().find(|line| line["id"] == id(number)).unwrap();
        assert_eq!(line["event"], "corrupt_entry");
        assert_eq!(line["reason"], "id must be a UUID", "{line}");
        let traceparent = if number == 1 {
            TRACEPARENT.into()
        } else {
            Value::Null
        };
        assert_eq!(line["traceparent"], traceparent, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_an_event_is_ten_lines_a_second_and_a_count() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    redis.set(&cache.key(&id(1)), "{}");
    // In the same second, and then in another.
    let ids = vec![id(1); 1_000];
    for _ in 0..3 {
        cache.get_many(&ids).await.unwrap();
        cache.wait(std::time::Duration::from_millis(1_100)).await;
    }
    cache.get(&id(1)).await.unwrap();
    let lines = lines(&cache.log());
    let suppressed = |line: &Value| line["suppressed"].as_u64().unwrap_or(0);
    let left_out: u64 = lines.iter().map(suppressed).sum();
    assert_eq!(lines.len() as u64 + left_out, 3_001);
    // A batch that a busy machine takes more than a second for is more lines.
    assert!(lines.len() >= 31 && lines.len() < 300, "{}", lines.len());
    assert!(lines[..10].iter().all(|line| suppressed(line) == 0));
    assert!(suppressed(&lines[10]) > 0);
    assert_eq!(lines[0]["suppressed"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_logged_and_a_missing_one_is_not() {
    let service = Service::over(Redis::shared()).await;
    let target = path(&id(1));
    let wrong = "wrong-wrong-wrong-wrong-wrong-wrong";
    assert_eq!(service.send(Call::new("GET", &target)).await.status, 401);
    assert_eq!(service.log(), "");
    let traced = Call::new("GET", &target).header("traceparent", TRACEPARENT);
    assert_eq!(service.send(traced.bearer(wrong)).await.status, 401);
    assert_eq!(service.read("DELETE", &target).await.status, 403);
    let lines = lines(&service.log());
    let reasons: Vec<_> = lines
        .iter()
        .map(|line| line["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        ["the token is not a valid one", "this needs the write token"]
    );
    assert!(lines.iter().all(|line| line["event"] == "token_refused"));
    assert_eq!(lines[0]["traceparent"], TRACEPARENT);
    for token in [wrong, READ_TOKEN, WRITE_TOKEN] {
        assert!(!service.log().contains(token));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_says_that_it_opened_and_that_it_closed() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[("redis_timeout_ms", "300")]).await;
    assert_eq!(cache.get(&id(1)).await.unwrap(), None);
    redis.pause();
    for _ in 0..5 {
        cache.get(&id(1)).await.unwrap();
    }
    redis.go_on();
    let start = std::time::Instant::now();
    while cache.ping().await.is_err() {
        assert!(start.elapsed().as_secs() < 30);
        cache.wait(std::time::Duration::from_millis(20)).await;
    }
    let lines = lines(&cache.log());
    let events = events(&cache.log());
    // On a busy machine it may be too slow again.
    assert_eq!(events[..2], ["breaker_opened", "breaker_closed"]);
    assert_eq!(events.len() % 2, 0, "{events:?}");
    assert!(lines.iter().all(|line| line["redis"] == "primary"));
    assert_eq!(
        lines[0]["reason"],
        "Redis did not answer within redis_timeout_ms"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_configured_wrongly_is_named() {
    let service = Service::with(Redis::shared(), &[("redis_timeout_ms", "fast")]).await;
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
    let lines = lines(&service.log());
    assert_eq!(lines[0]["event"], "bad_configuration");
    assert_eq!(lines[0]["variable"], "redis_timeout_ms");
    assert!(
        lines[0]["reason"]
            .as_str()
            .unwrap()
            .contains("must be a whole number")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_fails_is_logged_once_and_what_it_says_wrongly_each_time() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let mut cache = Cache::with(&redis, &borrowed(&reading_through(&origin, &[]))).await;
    origin.inject(Fault::Status(500));
    for number in 1..=3 {
        cache.get(&id(number)).await.unwrap();
    }
    assert_eq!(events(&cache.log()), ["origin_failed"]);
    assert!(
        lines(&cache.log())[0]["reason"]
            .as_str()
            .unwrap()
            .contains("500")
    );
}
