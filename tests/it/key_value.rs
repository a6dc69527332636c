//! The hosts' key-value stores, of which Spin's sets the rules: `tests/key-value` does what these
//! requests say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::client::Call;
use crate::support::service::Service;
use crate::support::{
    Storage, Variables, assert_nothing_trapped, in_repository, key_value_probe,
    middleware_component, spin,
};

fn spin_toml() -> PathBuf {
    let _there = key_value_probe();
    in_repository("tests/key-value/spin.toml")
}

async fn start(storage: Storage<'_>) -> Service {
    Service::start_storing(&spin_toml(), Variables::new(), storage).await
}

/// What the component that may open the store is answered.
async fn answer(service: &Service, operation: &str) -> String {
    answer_to("granted", service, operation).await
}

async fn answer_to(component: &str, service: &Service, operation: &str) -> String {
    let call = Call::new("GET", &format!("/{component}/{operation}"));
    let answer = service.send(call).await;
    assert_eq!(answer.status, 200, "{operation}: {}", service.log());
    answer.text().to_owned()
}

async fn assert_answers(service: &Service, expected: &[(&str, &str)]) {
    for (operation, expected) in expected {
        assert_eq!(answer(service, operation).await, *expected, "{operation}");
    }
}

/// A directory of its own, which is removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.join(format!("key-value-{}-{number}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    /// The runtime configuration with this text.
    fn configure(&self, text: &str) -> PathBuf {
        let file = self.0.join("runtime-config.toml");
        fs::write(&file, text).unwrap();
        file
    }

    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const IN_MEMORY: &str = "[key_value_store.default]\ntype = \"spin\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_is_there_until_it_is_deleted() {
    let service = start(Storage::default()).await;
    assert_answers(
        &service,
        &[
            ("open/default", "opened"),
            ("get/default/a", "None"),
            ("exists/default/a", "false"),
            ("keys/default", "[]"),
            ("first-key/default", "None"),
            ("set/default/a/1", "()"),
            ("get/default/a", "Some(Ok(\"1\"))"),
            ("exists/default/a", "true"),
            ("set/default/a/2", "()"),
            ("get/default/a", "Some(Ok(\"2\"))"),
            ("set/default/empty/", "()"),
            ("get/default/empty", "Some(Ok(\"\"))"),
            ("set/default//no-key", "()"),
            ("get/default/", "Some(Ok(\"no-key\"))"),
            ("keys/default", "[\"\", \"a\", \"empty\"]"),
            ("opened-twice/default/a/3", "Some(Ok(\"3\"))"),
            ("delete/default/a", "()"),
            ("delete/default/a", "()"),
            ("get/default/a", "None"),
            ("keys/default", "[\"\", \"empty\"]"),
        ],
    )
    .await;
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_granted_is_denied() {
    let service = start(Storage::default()).await;
    // Whether there is one or not.
    for (component, label) in [
        ("granted", "other"),
        ("granted", "Default"),
        ("granted", ""),
        ("denied", "default"),
        ("denied", "other"),
    ] {
        for operation in ["open", "get", "set", "keys"] {
            let answer = answer_to(component, &service, &format!("{operation}/{label}/a/1")).await;
            assert_eq!(answer, "Error::AccessDenied", "{component} {label}");
        }
    }
    assert_eq!(answer(&service, "keys/default").await, "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_what_they_set() {
    let service = start(Storage::default()).await;
    // More than an instance is given, in all and at a time.
    const KEYS: usize = 300;
    let set = (0..KEYS).map(async |key| {
        let set = answer(&service, &format!("set/default/{key:03}/{key}")).await;
        assert_eq!(set, "()");
    });
    futures_util::future::join_all(set).await;
    let keys: Vec<_> = (0..KEYS).map(|key| format!("{key:03}")).collect();
    assert_eq!(answer(&service, "keys/default").await, format!("{keys:?}"));
    // Who takes a key and leaves the others lets go of the store.
    assert_answers(
        &service,
        &[
            ("first-key/default", "Some(\"000\")"),
            ("get/default/299", "Some(Ok(\"299\"))"),
        ],
    )
    .await;
    if let Some(instances) = service.instances_created() {
        assert!(instances > 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_in_a_file_outlasts_the_host() {
    let directory = Directory::new();
    let state_dir = directory.0.join("below");
    let storage = Storage {
        state_dir: Some(&state_dir),
        ..Storage::default()
    };
    let service = start(storage).await;
    assert_eq!(answer(&service, "set/default/a/1").await, "()");
    drop(service);
    assert!(directory.has("below/sqlite_key_value.db"));
    let service = start(storage).await;
    assert_eq!(answer(&service, "get/default/a").await, "Some(Ok(\"1\"))");
    drop(service);

    // The configuration comes before the directory; its paths are relative to its own place.
    let in_file = format!("{IN_MEMORY}path = \"below/other.db\"");
    let config = directory.configure(&in_file);
    let storage = Storage {
        runtime_config_file: Some(&config),
        ..storage
    };
    let service = start(storage).await;
    assert_answers(
        &service,
        &[("get/default/a", "None"), ("set/default/a/2", "()")],
    )
    .await;
    drop(service);
    assert!(directory.has("below/other.db"));
    let service = start(storage).await;
    assert_eq!(answer(&service, "get/default/a").await, "Some(Ok(\"2\"))");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_in_memory_does_not_outlast_the_host() {
    let directory = Directory::new();
    let config = directory.configure(IN_MEMORY);
    let storage = Storage {
        state_dir: Some(&directory.0),
        runtime_config_file: Some(&config),
    };
    let service = start(storage).await;
    assert_answers(
        &service,
        &[
            ("set/default/a/1", "()"),
            ("get/default/a", "Some(Ok(\"1\"))"),
        ],
    )
    .await;
    drop(service);
    let service = start(storage).await;
    assert_eq!(answer(&service, "get/default/a").await, "None");
    assert!(!directory.has("sqlite_key_value.db"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_several_labels_are_several() {
    let directory = Directory::new();
    let store =
        |label: &str| format!("[key_value_store.{label}]\ntype = \"spin\"\npath = \"one.db\"\n");
    // One file, in which they are apart.
    let config = directory.configure(&(store("default") + &store("second")));
    let manifest = fs::read_to_string(spin_toml()).unwrap();
    let manifest = manifest
        .replace("[\"default\"]", "[\"default\", \"second\"]")
        .replace(
            "\"../../target",
            &format!("\"{}/target", env!("CARGO_MANIFEST_DIR")),
        );
    let file = directory.0.join("spin.toml");
    fs::write(&file, manifest).unwrap();
    let storage = Storage {
        state_dir: Some(&directory.0),
        runtime_config_file: Some(&config),
    };
    let service = Service::start_storing(&file, Variables::new(), storage).await;
    assert_answers(
        &service,
        &[
            ("set/default/a/1", "()"),
            ("get/second/a", "None"),
            ("set/second/a/2", "()"),
            ("get/default/a", "Some(Ok(\"1\"))"),
            ("get/second/a", "Some(Ok(\"2\"))"),
            ("delete/second/a", "()"),
            ("keys/default", "[\"a\"]"),
            ("keys/second", "[]"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sqlite_says_is_told() {
    let directory = Directory::new();
    let storage = Storage {
        state_dir: Some(&directory.0),
        ..Storage::default()
    };
    fs::write(directory.0.join("sqlite_key_value.db"), [b'x'; 512]).unwrap();
    let service = start(storage).await;
    assert_eq!(
        answer(&service, "get/default/a").await,
        "Error::Other(\"SqliteFailure(Error { code: NotADatabase, extended_code: 26 }, Some(\\\"file is not a database\\\"))\")"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_that_inherits_the_stores_has_those_of_its_component() {
    let manifest = |stores: &str, inherited: &str| {
        format!(
            r#"
            spin_manifest_version = 2
            application = {{ name = "composed" }}
            trigger.http = [{{ route = "/granted/...", component = "main" }}]
            # Passes requests on to what it imports.
            [component.main]
            source = {middleware:?}
            key_value_stores = {stores}
            variables = {{ read_token = "", write_token = "", origin_token = "" }}
            [component.main.dependencies]
            "wasi:http/handler@0.3.0" = {{ path = {probe:?}, inherit_configuration = {inherited} }}
            "#,
            middleware = middleware_component(),
            probe = key_value_probe(),
        )
    };
    let directory = Directory::new();
    let file = directory.0.join("spin.toml");
    let storage = Storage {
        state_dir: Some(&directory.0),
        ..Storage::default()
    };
    for (stores, inherited, expected) in [
        (r#"["default"]"#, r#"["key_value_stores"]"#, "opened"),
        (r#"["default"]"#, "true", "opened"),
        ("[]", r#"["key_value_stores"]"#, "Error::AccessDenied"),
        // The embedded host refuses this one at its start.
        (r#"["default"]"#, "false", "Error::AccessDenied"),
    ] {
        if inherited == "false" && spin::program().is_none() {
            continue;
        }
        fs::write(&file, manifest(stores, inherited)).unwrap();
        let service = Service::start_storing(&file, Variables::new(), storage).await;
        let answer = answer(&service, "open/default").await;
        assert_eq!(answer, expected, "{stores} {inherited}");
    }
}
