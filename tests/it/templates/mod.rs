//! `templates/`: what `spin new` and `spin add` make of them, run in the embedded host.

mod template;

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use self::template::Template;
use crate::support::client::Call;
use crate::support::connection::id;
use crate::support::redis::{Redis, unique_prefix};
use crate::support::secrets::EXPLORER_TOKEN;
use crate::support::service::{BASE, READ_TOKEN, Service, WRITE_TOKEN, path};
use crate::support::{
    assert_nothing_trapped, explorer_component, in_repository, lean_component, spin_component,
    variables,
};

const NAME: &str = "provider-connection-cache";

/// What stands before the names of the application's variables in `spin add`: Spin replaces
/// those that are there already.
const PREFIX: &str = "connection_cache_";

/// An empty directory.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("templates")
        .join(name);
    let _not_there = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn read(manifest: &Path) -> Table {
    fs::read_to_string(manifest).unwrap().parse().unwrap()
}

/// The cache in our own manifest, as a template may have it: what it is built of is left out, and
/// so are variables that it does not refer to.
fn ours() -> (Value, Table) {
    let mut manifest = read(&in_repository("spin.toml"));
    let mut component = manifest["component"][NAME].clone();
    component.as_table_mut().unwrap().remove("source");
    component.as_table_mut().unwrap().remove("build");
    let text = component.to_string();
    let Some(Value::Table(mut variables)) = manifest.remove("variables") else {
        panic!("spin.toml has no variables");
    };
    variables.retain(|name, _| text.contains(&format!("{{{{ {name} }}}}")));
    assert!(variables.len() > 20);
    (component, variables)
}

/// Takes the component out of a rendered manifest, without its source.
fn take_component(manifest: &Table, name: &str, source: &str) -> Value {
    let mut component = manifest["component"][name].clone();
    let removed = component.as_table_mut().unwrap().remove("source");
    assert_eq!(removed, Some(source.into()));
    component
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_application_serves_the_cache_as_our_own_manifest_does() {
    let directory = directory("new");
    let manifest = Template::read(NAME).new_application("my-app", &directory);
    let rendered = read(&manifest);
    let (component, variables_of_ours) = ours();
    let file = "provider-connection-cache-spin.wasm";
    assert_eq!(take_component(&rendered, "my-app", file), component);
    assert_eq!(rendered["variables"], Value::Table(variables_of_ours));
    assert_eq!(rendered["application"]["name"], "my-app".into());
    let wasm = |file: PathBuf| fs::read(file).unwrap();
    assert!(wasm(directory.join(file)) == wasm(spin_component()));

    let redis = Redis::shared();
    let service = Service::start_from(&manifest, variables(redis, &[])).await;
    assert_eq!(service.read("GET", "/health/ready").await.status, 200);
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 403);

    let prefix = unique_prefix();
    let more = [
        ("key_prefix", prefix.as_str()),
        ("read_token", READ_TOKEN),
        ("write_token", WRITE_TOKEN),
    ];
    let service = Service::start_from(&manifest, variables(redis, &more)).await;
    service.hold(&id(1)).await;
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    let call = Call::new("GET", &path(&id(1)));
    assert_eq!(service.send(call).await.status, 401);
    assert_nothing_trapped(&service.log());
}

/// An application that has variables of the same names as ours.
fn existing() -> String {
    format!(
        r#"
        spin_manifest_version = 2
        application = {{ name = "existing" }}
        [variables]
        redis_address = {{ required = true }}
        key_prefix = {{ default = "of-the-existing-application" }}
        explorer_token = {{ required = true, secret = true }}
        [[trigger.http]]
        route = "/explorer/..."
        component = "explorer"
        [component.explorer]
        source = {explorer:?}
        allowed_outbound_hosts = ["{{{{ redis_address }}}}"]
        [component.explorer.dependencies."provider:connection-cache/cache"]
        path = {cache:?}
        inherit_configuration = ["allowed_outbound_hosts", "key_value_stores", "variables"]
        [component.explorer.variables]
        redis_address = "{{{{ redis_address }}}}"
        key_prefix = "{{{{ key_prefix }}}}"
        explorer_token = "{{{{ explorer_token }}}}"
        "#,
        explorer = explorer_component(),
        cache = lean_component(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn added_to_an_application_the_cache_is_beside_what_was_there() {
    let manifest = directory("add").join("spin.toml");
    fs::write(&manifest, existing()).unwrap();
    let before = read(&manifest);
    Template::read(NAME).add("EDGE-v2", "components/edge", &manifest);

    let mut after = read(&manifest);
    let (component, variables_of_ours) = ours();
    let file = "components/edge/provider-connection-cache-spin.wasm";
    let added = take_component(&after, "EDGE-v2", file).to_string();
    let added = added.replace(&format!("{{{{ {PREFIX}"), "{{ ");
    assert_eq!(added, component.to_string());
    let directory = manifest.parent().unwrap();
    let files = fs::read_dir(directory.join("components/edge")).unwrap();
    assert_eq!(files.count(), 1);
    assert!(directory.join(file).is_file());

    let ours = variables_of_ours.into_iter();
    let mut expected: Table = ours
        .map(|(name, variable)| (format!("{PREFIX}{name}"), variable))
        .collect();
    expected.extend(before["variables"].as_table().unwrap().clone());
    assert_eq!(after["variables"], Value::Table(expected));
    let components = after["component"].as_table_mut().unwrap();
    components.remove("EDGE-v2");
    assert_eq!(after["component"], before["component"]);

    let redis = Redis::shared();
    let (address, prefix) = (redis.address(), unique_prefix());
    let more = [
        ("connection_cache_redis_address", address.as_str()),
        ("connection_cache_redis_timeout_ms", "30000"),
        ("connection_cache_key_prefix", prefix.as_str()),
        ("connection_cache_read_token", READ_TOKEN),
        ("connection_cache_write_token", WRITE_TOKEN),
        ("key_prefix", prefix.as_str()),
        ("explorer_token", EXPLORER_TOKEN),
    ];
    let service = Service::start_from(&manifest, variables(redis, &more)).await;
    service.hold(&id(1)).await;
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
    let ready = format!("{BASE}/health/ready");
    assert_eq!(service.read("GET", &ready).await.status, 200);
    let explored = format!("/explorer/api/connections/{}", id(1));
    let call = Call::new("GET", &explored).bearer(EXPLORER_TOKEN);
    assert_eq!(service.send(call).await.json()["found"], "hit");
    assert_nothing_trapped(&service.log());
}
