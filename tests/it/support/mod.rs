//! What the tests share: servers that end with the test, ways to call the components, data.

pub mod answers;
pub mod cache;
pub mod client;
pub mod connection;
pub mod faults;
pub mod fixtures;
pub mod handler;
pub mod monitor;
pub mod origin;
pub mod process;
pub mod raw;
pub mod redis;
pub mod secrets;
pub mod service;
pub mod spin;
pub mod until;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use provider_connection_cache_host::{AppOptions, LogSink, StateDir};
use serde::de::DeserializeOwned;

/// The variables of the component under test.
pub type Variables = BTreeMap<String, String>;

/// Variables for one test: this Redis, a time-out that a busy machine does not reach, and
/// then `more`, which may say otherwise.
pub fn variables(redis: &redis::Redis, more: &[(&str, &str)]) -> Variables {
    let address = redis.address();
    let common = [
        ("redis_address", address.as_str()),
        ("redis_timeout_ms", "30000"),
    ];
    let pairs = common.iter().chain(more);
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The most memory that an instance has in any test: docs/security.md says what it is for.
pub const MAX_INSTANCE_MEMORY: usize = 128 << 20;

/// What all tests have in common of how the host runs the component.
pub fn options(variables: Variables, log: &LogSink) -> AppOptions {
    AppOptions {
        variables,
        use_env: false,
        max_instance_memory: Some(MAX_INSTANCE_MEMORY),
        counts_instructions: false,
        state_dir: StateDir::Unset,
        runtime_config_file: None,
        log: log.clone(),
    }
}

/// Where an application keeps what it stores: by default nowhere that outlasts the service.
#[derive(Clone, Copy, Default)]
pub struct Storage<'a> {
    /// As `--state-dir`.
    pub state_dir: Option<&'a Path>,
    /// As `--runtime-config-file`.
    pub runtime_config_file: Option<&'a Path>,
}

/// A file or directory of this repository.
pub fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A directory of one test, which may not be there yet.
pub fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A directory for one test, empty.
pub fn empty_directory(name: &str) -> PathBuf {
    let directory = directory(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// The component that exports the cache alone.
pub fn lean_component() -> PathBuf {
    built("dist/provider-connection-cache.wasm")
}

/// The component that Spin serves.
pub fn spin_component() -> PathBuf {
    built("dist/provider-connection-cache-spin.wasm")
}

/// The component that stands before another one.
pub fn middleware_component() -> PathBuf {
    built("dist/provider-connection-cache-middleware.wasm")
}

/// The Python that `make test` installs, with what tests/schemathesis lists.
pub fn python() -> PathBuf {
    let python = std::env::var_os("PYTHON").map_or_else(
        || in_repository("target/schemathesis/bin/python"),
        PathBuf::from,
    );
    assert!(python.exists(), "Python is missing: run `make test`");
    python
}

/// What a Python script of the tests says of this input, as JSON; none if it ends badly.
pub fn said_by_python<T: DeserializeOwned>(script: &str, input: &str) -> Option<T> {
    let mut python = Command::new(python())
        .arg(in_repository(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut stdin = python.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = python.wait_with_output().expect("it ends");
    let said = || serde_json::from_slice(&output.stdout).expect("it says JSON");
    output.status.success().then(said)
}

/// The component of the explorer.
pub fn explorer_component() -> PathBuf {
    built("dist/provider-connection-explorer.wasm")
}

/// The components of the examples, without the cache inside or before them.
pub fn python_consumer() -> PathBuf {
    made("dist/python-consumer.wasm", "make python-consumer")
}

pub fn rust_consumer() -> PathBuf {
    let built = "target/wasm32-wasip2/release/rust_consumer.wasm";
    let path = format!("examples/rust-consumer/{built}");
    made(&path, "make rust-consumer")
}

pub fn application() -> PathBuf {
    let built = "target/wasm32-wasip2/release/application.wasm";
    made(&format!("examples/middleware/{built}"), "make middleware")
}

/// The component that does with a key-value store what its requests say.
pub fn key_value_probe() -> PathBuf {
    let built = "target/wasm32-wasip2/release/key_value_probe.wasm";
    made(built, "make probes")
}

/// The component that calls the cache, and gives the call up.
pub fn cancellation_probe() -> PathBuf {
    let built = "target/wasm32-wasip2/release/cancellation_probe.wasm";
    made(built, "make probes")
}

fn built(path: &str) -> PathBuf {
    made(path, "make build")
}

fn made(path: &str, by: &str) -> PathBuf {
    let file = in_repository(path);
    assert!(file.exists(), "{path} is missing: run `{by}` first");
    file
}

/// What a component or its host logged when all went as it should.
pub fn assert_nothing_trapped(log: &str) {
    let log = log.to_lowercase();
    for sign in [
        "trap",
        "panicked",
        "worker failed",
        "error processing",
        "unreachable` instr",
    ] {
        assert!(!log.contains(sign), "the log says {sign:?}:\n{log}");
    }
}
