//! 200 sequential lookups on one kept-alive connection, beside as many answers that need no
//! Redis. An answer that leaves in two packets takes 40 ms: none may take over 30 ms.

#![allow(missing_docs, dead_code, clippy::expect_used, clippy::unwrap_used)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::client::Call;
use support::connection::{entry, id};
use support::redis::Redis;
use support::service::{READ_TOKEN, Service, path};

const LOOKUPS: usize = 200;

#[tokio::main]
async fn main() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    // The first answer makes the first instance.
    measure(&service, &path(&id(1)), 1).await;
    println!("{LOOKUPS} sequential requests, keep-alive, embedded host");
    println!(
        "{:<22}{:>10}{:>10}{:>12}",
        "request", "p50 µs", "max µs", "over 30 ms"
    );
    for (name, target) in [
        ("GET /health/live", "/health/live"),
        ("GET /{id}", &path(&id(1))),
    ] {
        let mut times = measure(&service, target, LOOKUPS).await;
        times.sort_unstable();
        let slow = times
            .iter()
            .filter(|time| **time > Duration::from_millis(30))
            .count();
        let (p50, max) = (
            times[LOOKUPS / 2].as_micros(),
            times[LOOKUPS - 1].as_micros(),
        );
        println!("{name:<22}{p50:>10}{max:>10}{slow:>12}");
    }
}

async fn measure(service: &Service, target: &str, count: usize) -> Vec<Duration> {
    let mut client = service.connect().await;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        let answer = client
            .send(Call::new("GET", target).bearer(READ_TOKEN))
            .await;
        times.push(start.elapsed());
        assert_eq!(answer.status, 200);
    }
    times
}
