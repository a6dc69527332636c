//! One connection to Redis per instance, not per request.

use crate::support::client::Call;
use crate::support::connection::{entry, id};
use crate::support::redis::Redis;
use crate::support::service::{READ_TOKEN, Service, path};

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_opens_one_connection_for_all_of_its_requests() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    let before = redis.info("total_connections_received");
    let mut client = service.connect().await;
    for _ in 0..300 {
        let answer = client
            .send(Call::new("GET", &path(&id(1))).bearer(READ_TOKEN))
            .await;
        assert_eq!(answer.status, 200);
    }
    // Asking costs a connection of the test's own.
    let opened = redis.info("total_connections_received") - before - 1;
    let instances = service.instances_created() as u64;
    assert!(
        (1..=instances).contains(&opened),
        "{opened} connections, {instances} instances"
    );
    assert!(instances < 10, "{instances} instances for 300 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_meet_a_cold_instance_together_share_its_connection() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    let before = redis.info("total_connections_received");
    let target = path(&id(1));
    let requests = (0..16).map(|_| service.read("GET", &target));
    for answer in futures_util::future::join_all(requests).await {
        assert_eq!(answer.status, 200);
    }
    let opened = redis.info("total_connections_received") - before - 1;
    let instances = service.instances_created() as u64;
    assert!(
        (1..=instances).contains(&opened),
        "{opened} connections, {instances} instances"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_redis_closed_is_replaced_without_a_caller_seeing_it() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    for _ in 0..20 {
        let answer = service.read("GET", &path(&id(1))).await;
        assert_eq!(
            (answer.status, answer.header("cache-status")),
            (200, "provider-connection-cache; hit")
        );
        redis.command::<()>(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
}
