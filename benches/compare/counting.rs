//! What it costs a lookup that it is counted.

use anyhow::{Context as _, Result, ensure};

use crate::entries::Kind;
use crate::origin::{cache, local};
use crate::results::Results;
use crate::setup::Setup;
use crate::side_by_side;
use crate::support::client::{Call, Client};
use crate::support::redis::Redis;
use crate::support::service::READ_TOKEN;

/// The component that does not count.
pub const UNCOUNTED: &str = "this component, `stats` off";
/// The component as it is.
pub const COUNTED: &str = "this component";

/// The rows, in their order in the table.
pub const ROWS: [&str; 2] = [UNCOUNTED, COUNTED];

/// Measures hits, and holds what was counted against what was asked.
pub async fn measure(setup: &Setup) -> Result<Results> {
    let redis = Redis::start(&[]);
    Kind::Hit.store(&redis)?;
    let mut uncounted = cache(setup, &redis, "without counting", &["stats=off".to_owned()])?;
    let mut counted = cache(setup, &redis, "counting", &[])?;
    let mut results = Results::default();
    let servers = [&mut uncounted, &mut counted];
    side_by_side::hits(setup, "counting", ROWS, servers, &mut results)?;
    let call = Call::new("GET", "/stats?hours=2").bearer(READ_TOKEN);
    let answer = Client::connect(local(&counted)).await.send(call).await;
    let hits = answer.json()["total"]["hits"].as_u64();
    let asked: f64 = side_by_side::CALLERS
        .iter()
        .filter_map(|callers| results.get(COUNTED, Kind::Hit, *callers))
        .map(|figures| figures.per_second)
        .sum();
    let hits = hits.context("a number is missing")? as f64;
    // Of each number of callers there were several rounds of at least a part of a second.
    ensure!(
        hits > asked / 10.0,
        "{hits} of about {asked} hits were counted"
    );
    Ok(results)
}
