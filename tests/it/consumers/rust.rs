//! `examples/rust-consumer`.

use std::fs;
use std::path::{Path, PathBuf};

use wac_graph::{CompositionGraph, EncodeOptions, plug, types::Package};

use super::{
    answers_without_redis, asks_the_cache_first_and_stores_what_the_database_says, manifest,
    says_how_long_its_answer_is, says_what_is_wrong_with_a_request, start,
};
use crate::support::redis::{Redis, unique_prefix};
use crate::support::service::Service;
use crate::support::{lean_component, variables};

const BUILT: &str = "target/wasm32-wasip2/release/rust_consumer.wasm";

fn spin_toml() -> PathBuf {
    let _there = lean_component();
    manifest("rust-consumer", BUILT)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_cache_aside() {
    let redis = Redis::shared();
    let service = start(&spin_toml(), redis).await;
    asks_the_cache_first_and_stores_what_the_database_says(&service, redis).await;
    says_what_is_wrong_with_a_request(&service).await;
    says_how_long_its_answer_is(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_without_redis() {
    let mut redis = Redis::start(&[]);
    let service = start(&spin_toml(), &redis).await;
    redis.stop();
    answers_without_redis(&service).await;
}

/// As `wac plug` does it, which calls this: one component, that is all there is to deploy.
#[tokio::test(flavor = "multi_thread")]
async fn plugged_by_wac_it_does_the_same() {
    let mut graph = CompositionGraph::new();
    let mut add = |name: &str, path: &Path| {
        let bytes = fs::read(path).unwrap();
        let package = Package::from_bytes(name, None, bytes, graph.types_mut()).unwrap();
        graph.register_package(package).unwrap()
    };
    let cache = add("cache", &lean_component());
    let consumer = add("consumer", &spin_toml().with_file_name(BUILT));
    plug(&mut graph, vec![cache], consumer).unwrap();
    let composed = graph.encode(EncodeOptions::default()).unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rust-consumer.wasm");
    fs::write(&file, composed).unwrap();

    let redis = Redis::shared();
    let prefix = unique_prefix();
    let variables = variables(redis, &[("key_prefix", prefix.as_str())]);
    let service = Service::start_allowing(&file, vec![redis.address()], variables).await;
    asks_the_cache_first_and_stores_what_the_database_says(&service, redis).await;
}
