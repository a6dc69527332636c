//! An application of several components in the embedded host.

use std::fs;
use std::path::Path;

use crate::support::client::Call;
use crate::support::connection::id;
use crate::support::redis::Redis;
use crate::support::service::{BASE, READ_TOKEN, Service, WRITE_TOKEN, path};
use crate::support::{assert_nothing_trapped, spin_component, variables};

/// The service twice. The second may not open Redis, and has the one's write token to read.
fn manifest() -> String {
    format!(
        r#"
        spin_manifest_version = 2
        application = {{ name = "several" }}
        trigger.http = [
            {{ route = "/...", component = "one" }},
            {{ route = "/health/...", component = "two" }},
            {{ route = "{BASE}/lookup", component = "two" }},
        ]
        [variables]
        redis_address = {{ required = true }}
        read_token = {{ required = true, secret = true }}
        write_token = {{ required = true, secret = true }}
        [component.one]
        source = {source:?}
        allowed_outbound_hosts = ["{{{{ redis_address }}}}"]
        [component.one.variables]
        redis_address = "{{{{ redis_address }}}}"
        read_token = "{{{{ read_token }}}}"
        [component.two]
        source = {source:?}
        [component.two.variables]
        redis_address = "{{{{ redis_address }}}}"
        read_token = "{{{{ write_token }}}}"
        "#,
        source = spin_component(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_component_has_routes_variables_addresses_and_instances_of_its_own() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("several.toml");
    fs::write(&file, manifest()).expect("the target directory can be written to");
    let tokens = [("read_token", READ_TOKEN), ("write_token", WRITE_TOKEN)];
    let service = Service::start_from(&file, variables(Redis::shared(), &tokens)).await;

    let call = |path: &str, token: &str| service.send(Call::new("GET", path).bearer(token));
    let one = call(&path(&id(1)), READ_TOKEN).await;
    assert_eq!(one.status, 404);
    assert!(!one.header("cache-status").contains("unavailable"));
    assert_eq!(call(&path(&id(1)), WRITE_TOKEN).await.status, 401);
    service.assert_instances_of("one", 1);
    service.assert_instances_of("two", 0);

    assert_eq!(service.look_up("{}").await.status, 401);
    assert_eq!(call("/health/ready", READ_TOKEN).await.status, 503);
    service.assert_instances_of("one", 1);
    service.assert_instances_of("two", 1);
    service.assert_instances(2);
    assert_nothing_trapped(&service.log());
}
