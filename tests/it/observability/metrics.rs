//! `/metrics`, read by Prometheus' own parsers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{calls, stats_when};
use crate::support::client::{Answer, Call};
use crate::support::connection::id;
use crate::support::redis::Redis;
use crate::support::said_by_python;
use crate::support::service::{READ_TOKEN, Service, path};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Asks as Prometheus 3 does.
async fn scrape(service: &Service) -> Answer {
    let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=0.0.1;q=0.5,\
         text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    accepting(service, accept).await
}

async fn accepting(service: &Service, accept: &str) -> Answer {
    let call = Call::new("GET", "/metrics").bearer(READ_TOKEN);
    service.send(call.header("accept", accept)).await
}

/// The families by name, as the parser of the answer's format has them.
fn parse(answer: &Answer) -> BTreeMap<String, Value> {
    let input = format!("{}\n{}", answer.header("content-type"), answer.text());
    let families = said_by_python("tests/it/observability/prometheus.py", &input);
    let families: Vec<Value> = families.unwrap_or_else(|| panic!("it is refused:\n{input}"));
    let named = |family: Value| (family["name"].as_str().unwrap().to_owned(), family);
    families.into_iter().map(named).collect()
}

fn sample(families: &BTreeMap<String, Value>, family: &str, name: &str, labels: &Value) -> f64 {
    let family = format!("provider_connection_cache_{family}");
    let samples = families[&family]["samples"].as_array().unwrap();
    let wanted = format!("{family}{name}");
    let found = samples
        .iter()
        .find(|sample| sample[0] == wanted && sample[1] == *labels);
    let found = found.unwrap_or_else(|| panic!("no {wanted} {labels} in {samples:?}"));
    found[2].as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_what_was_counted() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    let empty = parse(&scrape(&service).await);
    let summaries = json!({ "operation": "get-summary" });
    assert_eq!(sample(&empty, "hits", "_total", &summaries), 0.0);
    service.hold(&id(1)).await;
    for number in [1, 1, 1, 2] {
        service.read("GET", &path(&id(number))).await;
    }
    redis.set(&service.key(&id(3)), "{}");
    service.read("GET", &path(&id(3))).await;
    stats_when(&service, |stats| calls(stats, "get-summary") == 5).await;
    let answer = scrape(&service).await;
    assert_eq!(answer.header("content-type"), OPEN_METRICS);
    let families = parse(&answer);
    assert_eq!(sample(&families, "hits", "_total", &summaries), 3.0);
    assert_eq!(sample(&families, "misses", "_total", &summaries), 2.0);
    assert_eq!(sample(&families, "errors", "_total", &summaries), 0.0);
    assert_eq!(
        sample(
            &families,
            "errors",
            "_total",
            &json!({ "operation": "set" })
        ),
        0.0
    );
    assert_eq!(
        sample(&families, "corrupt_entries", "_total", &json!({})),
        1.0
    );
    let since = sample(&families, "hits", "_created", &summaries);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - 600.0..=now).contains(&since), "{since}");
    let duration = "operation_duration_seconds";
    assert_eq!(sample(&families, duration, "_count", &summaries), 5.0);
    let sum = sample(&families, duration, "_sum", &summaries);
    assert!(sum > 0.0 && sum < 600.0, "{sum}");
    let bucket = |le: &str| {
        let labels = json!({ "operation": "get-summary", "le": le });
        sample(&families, duration, "_bucket", &labels)
    };
    assert_eq!(bucket("+Inf"), 5.0);
    // The promise of 5 ms is a bucket of its own.
    assert!(bucket("0.005") <= bucket("0.01"));
    let build = json!({ "version": env!("CARGO_PKG_VERSION") });
    assert_eq!(sample(&families, "build", "_info", &build), 1.0);
    // With `prometheus_client` a histogram without its unit, or a name that is not as it should
    // be, is an error; these are the rules that it does not know.
    for (name, family) in &families {
        assert!(name.starts_with("provider_connection_cache_"), "{name}");
        assert!(!family["help"].as_str().unwrap().is_empty(), "{name}");
        let is_snake = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(is_snake(name), "{name}");
        assert!(["counter", "histogram", "info"].contains(&family["type"].as_str().unwrap()));
        if family["type"] == "histogram" {
            assert_eq!(family["unit"], "seconds");
        }
    }
}

/// Whoever does not name OpenMetrics gets the format that every scraper reads, with the same samples.
#[tokio::test(flavor = "multi_thread")]
async fn older_scrapers_read_the_same_in_their_format() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    service.hold(&id(1)).await;
    for number in [1, 1, 2] {
        service.read("GET", &path(&id(number))).await;
    }
    stats_when(&service, |stats| calls(stats, "get-summary") == 3).await;
    let families = parse(&scrape(&service).await);
    let without = service.read("GET", "/metrics").await;
    for (accept, wanted) in [
        ("text/plain;version=0.0.4", PROMETHEUS),
        ("text/plain", PROMETHEUS),
        ("*/*", PROMETHEUS),
        (
            "application/openmetrics-text;q=0.1,text/plain;version=0.0.4",
            PROMETHEUS,
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            PROMETHEUS,
        ),
        ("image/png", PROMETHEUS),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPEN_METRICS,
        ),
        ("application/openmetrics-text", OPEN_METRICS),
    ] {
        let answer = accepting(&service, accept).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), wanted, "{accept}");
        assert_eq!(answer.header("vary"), "accept");
        if wanted == PROMETHEUS {
            assert_eq!(answer.text(), without.text(), "{accept}");
        }
    }
    assert_eq!(without.header("content-type"), PROMETHEUS);
    // To its parsers these are comments, and samples without a type.
    for other in ["# EOF", "# UNIT", "_created"] {
        assert!(!without.text().contains(other), "{other}");
    }
    let older = parse(&without);
    assert_eq!(older.len(), families.len());
    for (name, family) in &families {
        let (name, kind) = match family["type"].as_str().unwrap() {
            "info" => (format!("{name}_info"), "gauge"),
            kind => (name.clone(), kind),
        };
        let same = &older[&name];
        assert_eq!(
            (&same["type"], &same["help"]),
            (&json!(kind), &family["help"])
        );
        let samples = |family: &Value| -> Vec<Value> {
            let samples = family["samples"].as_array().unwrap().iter();
            let lasting = samples.filter(|one| !one[0].as_str().unwrap().ends_with("_created"));
            lasting.cloned().collect()
        };
        assert_eq!(samples(same), samples(family), "{name}");
    }
    let summaries = json!({ "operation": "get-summary" });
    assert_eq!(sample(&older, "hits", "_total", &summaries), 2.0);
}

/// Instances come and go, and hours end; what Prometheus sees only grows.
#[tokio::test(flavor = "multi_thread")]
async fn the_counters_of_all_hosts_add_up() {
    let redis = Redis::start(&[]);
    let one = Service::over(&redis).await;
    let same = [("key_prefix", one.prefix())];
    let other = Service::with(&redis, &same).await;
    for service in [&one, &other, &one] {
        assert_eq!(service.read("GET", &path(&id(1))).await.status, 404);
    }
    stats_when(&one, |stats| calls(stats, "get-summary") == 3).await;
    // Such as one that was dropped after 48 hours.
    let hours = redis.keys(&one.stats_key("20*"));
    redis.command::<()>(
        &[
            &["DEL"],
            &hours.iter().map(String::as_str).collect::<Vec<_>>()[..],
        ]
        .concat(),
    );
    let families = parse(&scrape(&other).await);
    let summaries = json!({ "operation": "get-summary" });
    assert_eq!(sample(&families, "misses", "_total", &summaries), 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_who_may_read() {
    let service = Service::over(Redis::shared()).await;
    for path in ["/metrics", "/stats", "/v1/provider-connections/metrics"] {
        let call = || crate::support::client::Call::new("GET", path);
        assert_eq!(service.send(call()).await.status, 401, "{path}");
        assert_eq!(service.send(call().bearer("x")).await.status, 401, "{path}");
        assert_eq!(
            service.send(call().bearer(READ_TOKEN)).await.status,
            200,
            "{path}"
        );
        assert_eq!(service.read("POST", path).await.status, 405, "{path}");
    }
}
