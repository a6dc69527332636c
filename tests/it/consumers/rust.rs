//! `examples/rust-consumer`: a component in Rust.

use std::fs;
use std::path::Path;

use wac_graph::{CompositionGraph, EncodeOptions, plug, types::Package};

use super::tests_of_the_consumer;
use crate::support::{in_repository, lean_component, rust_consumer};

tests_of_the_consumer!({
    let _there = rust_consumer();
    in_repository("examples/rust-consumer/spin.toml")
});

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
    let consumer = add("consumer", &rust_consumer());
    plug(&mut graph, vec![cache], consumer).unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let composed = graph.encode(EncodeOptions::default()).unwrap();
    fs::write(directory.join("plugged.wasm"), composed).unwrap();

    let manifest = in_repository("examples/rust-consumer/spin.toml");
    let mut manifest: toml::Table = toml::from_str(&fs::read_to_string(manifest).unwrap()).unwrap();
    let component = &mut manifest["component"]["rust-consumer"];
    component["source"] = "plugged.wasm".into();
    component
        .as_table_mut()
        .unwrap()
        .remove("dependencies")
        .unwrap();
    let plugged = directory.join("plugged.toml");
    fs::write(&plugged, manifest.to_string()).unwrap();
    super::what_the_cache_misses_comes_from_the_database_once(&plugged).await;
}
