//! Calls that a component gives up while the cache is at work for it: `tests/cancellation` does.

use crate::support::client::Call;
use crate::support::connection::id;
use crate::support::origin::origin_with;
use crate::support::redis::free_port;
use crate::support::secrets::ORIGIN_TOKEN;
use crate::support::service::Service;
use crate::support::{assert_nothing_trapped, cancellation_probe, in_repository};

/// With no Redis, so that each call comes to the origin.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_while_the_origin_is_asked_harms_no_other() {
    let _there = cancellation_probe();
    let origin = origin_with(&[1]).await;
    let address = format!("http://{}", origin.address());
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let variables = [
        ("redis_address", nobody),
        ("redis_timeout_ms", "30000".to_owned()),
        ("origin_url", origin.url()),
        ("origin_address", address),
        ("origin_token", ORIGIN_TOKEN.to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let manifest = in_repository("tests/cancellation/spin.toml");
    let service = Service::start_from(&manifest, variables.into()).await;
    let ask = async |turns: u32| {
        let call = Call::new("GET", &format!("/{}/{turns}", id(1)));
        let answer = service.send(call).await;
        assert_eq!(answer.status, 200, "{turns} turns: {}", service.log());
        answer.text().to_owned()
    };
    let mut given_up = 0;
    for turns in (0..100).cycle().take(1_000) {
        given_up += usize::from(ask(turns).await == "given up");
    }
    println!(
        "{given_up} of 1,000 calls were given up, {} requests",
        origin.requests()
    );
    assert_eq!(ask(u32::MAX).await, "found");
    assert!(given_up > 0 && origin.requests() > 1);
    assert_nothing_trapped(&service.log());
}
