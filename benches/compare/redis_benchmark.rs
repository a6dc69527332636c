//! The limit: plain `GET`s of the same keys, by `redis-benchmark`.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::entries::{COUNT, Kind, key};
use crate::program::redis_port;
use crate::setup::Setup;
use crate::support::redis::Redis;
use crate::wrk::Sample;

/// How many requests a second of measuring is made of: it takes a number, not a time.
const PER_SECOND: f64 = 50_000.0;

/// Sends `GET`s over so many connections.
pub fn run(setup: &Setup, redis: &Redis, lookup: Kind, callers: usize) -> Result<Sample> {
    let requests = (PER_SECOND * setup.time.as_secs_f64()).ceil();
    let output = Command::new(&setup.redis_benchmark)
        .args(["-p", &redis_port(redis)?.to_string(), "--csv"])
        .args(["-c", &callers.to_string(), "-n", &requests.to_string()])
        .args(["-r", &COUNT.to_string(), "GET"])
        .arg(key(&format!("{}__rand_int__", lookup.prefix())))
        .output()
        .context("redis-benchmark cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "redis-benchmark failed: {text}");
    // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95…","p99…","max…"
    let line = text.lines().last().context("no figures")?;
    let figure = |column: usize| -> Result<f64> {
        let figure = line.split("\",\"").nth(column);
        let figure =
            figure.with_context(|| format!("not the figures of redis-benchmark: {text}"))?;
        Ok(figure.trim_matches('"').parse()?)
    };
    Ok(Sample {
        wrong: 0.0,
        requests,
        per_second: figure(1)?,
        p50: figure(4)? * 1e3,
        p99: figure(6)? * 1e3,
    })
}
