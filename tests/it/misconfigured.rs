//! A wrong variable is named where one looks for it, and reads fail open all the same.

use crate::support::connection::id;
use crate::support::redis::Redis;
use crate::support::service::{Service, path};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_variable_is_named_by_ready_and_in_the_log() {
    for (variable, value) in [
        ("redis_database", "x"),
        ("redis_password", ""),
        ("cache_provider_ttl", "0"),
        ("redis_timeout_ms", "never"),
    ] {
        let mut more = vec![(variable, value)];
        if variable == "redis_password" {
            more.push(("redis_username", "edge"));
        }
        let service = Service::with(Redis::shared(), &more).await;
        let ready = service.read("GET", "/health/ready").await;
        assert_eq!(ready.status, 503, "{variable}");
        assert!(
            ready.text().contains(variable),
            "{variable}: {}",
            ready.text()
        );
        assert!(
            service.log().contains(variable),
            "{variable}: {}",
            service.log()
        );
        assert_eq!(service.read("GET", "/health/live").await.status, 200);
        let answer = service.read("GET", &path(&id(1))).await;
        assert_eq!(answer.status, 404, "{variable}");
        assert!(
            answer
                .header("cache-status")
                .ends_with("detail=unavailable")
        );
        assert_eq!(service.write("DELETE", &path(&id(1))).await.status, 503);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_everything_but_health_is_forbidden_and_says_what_to_set() {
    let service = Service::with(Redis::shared(), &[("read_token", ""), ("write_token", "")]).await;
    for target in [
        path(&id(1)),
        "/openapi.json".to_owned(),
        "/nowhere".to_owned(),
    ] {
        let answer = service.read("GET", &target).await;
        assert_eq!(answer.status, 403, "{target}");
        for variable in ["read_token", "write_token"] {
            assert!(answer.text().contains(variable), "{}", answer.text());
        }
    }
    assert_eq!(service.read("GET", "/health/ready").await.status, 200);
}
