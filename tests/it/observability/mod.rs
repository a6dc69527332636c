//! What an operator sees: what is counted, what is logged, what is cached.

mod ids;
mod inspect;
mod log;
mod metrics;
mod reports;
mod server_timing;
mod stats;

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use crate::support::service::Service;

/// What `/stats` says once it is so, for as long as a busy machine may take.
async fn stats_when(service: &Service, is_so: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let answer = service.read("GET", "/stats?hours=2").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let stats = answer.json();
        if is_so(&stats) {
            return stats;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{stats:#}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The calls of an operation so far.
fn calls(stats: &Value, operation: &str) -> u64 {
    let latency = &stats["total"]["operations"][operation]["latency"];
    latency["calls"].as_u64().unwrap_or(0)
}
