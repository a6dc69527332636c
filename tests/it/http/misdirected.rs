//! Requests that miss their target: nobody takes them for a lookup that misses.

use provider_connection_cache::http::problem::Kind;

use super::{MISS, assert_problem, service};
use crate::support::client::Call;
use crate::support::connection::{OTHER_USER, entry, id};
use crate::support::redis::{Redis, free_port};
use crate::support::service::{BASE, READ_TOKEN, Service, WRITE_TOKEN, path};

/// Paths that look like that of a connection, and are not.
fn wrong_paths() -> Vec<String> {
    let id = id(1);
    let all = [
        format!("{BASE}/{id}/"),
        format!("{BASE}/{id}/x"),
        format!("{BASE}/{id}//"),
        format!("{BASE}//{id}"),
        format!("/{BASE}/{id}"),
        format!("//evil.example{BASE}/{id}"),
        format!("/v1//provider-connections/{id}"),
        format!("/v1/./provider-connections/{id}"),
        format!("/x/..{BASE}/{id}"),
        format!("/v1/provider%2Dconnections/{id}"),
        format!("/v1/provider-connections%2F{id}"),
        format!("/v1/provider-connection/{id}"),
        format!("/v2/provider-connections/{id}"),
        format!("/V1/Provider-Connections/{id}"),
        format!("/provider-connections/{id}"),
        format!("/{id}"),
        format!("{BASE}/"),
        BASE.to_owned(),
        "/".to_owned(),
        "/v1".to_owned(),
        "/lookup".to_owned(),
    ];
    all.into()
}

/// 404 is a miss, and a miss alone: a client with a wrong URL would ask the database for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_leads_nowhere_is_no_miss_and_no_redirect() {
    let service = service().await;
    for path in wrong_paths() {
        for method in ["GET", "PUT", "DELETE", "POST", "OPTIONS"] {
            let answer = service.write(method, &path).await;
            assert_problem(&answer, Kind::NoSuchRoute);
            assert_eq!(answer.status, 400, "{method} {path}");
            for name in ["cache-status", "location", "etag", "allow"] {
                assert_eq!(answer.optional_header(name), None, "{method} {path}");
            }
        }
        let head = service.read("HEAD", &path).await;
        assert_eq!((head.status, head.text()), (400, ""), "{path}");
        let stranger = service.send(Call::new("GET", &path)).await;
        assert_problem(&stranger, Kind::Unauthorized);
    }
    assert_eq!(service.read("GET", &path(&id(1))).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_miss_is_a_404_with_cache_status() {
    let redis = Redis::shared();
    let service = service().await;
    redis.set(&service.key(&id(3)), "corrupt");
    let nowhere = format!("redis://127.0.0.1:{}", free_port());
    let without_redis = Service::with(redis, &[("redis_address", &nowhere)]).await;
    for (service, target, detail) in [
        (&service, path(&id(2)), ""),
        (
            &service,
            format!("{}?user_id={OTHER_USER}", path(&id(1))),
            "",
        ),
        (&service, path(&id(3)), "; detail=corrupt"),
        (&without_redis, path(&id(1)), "; detail=unavailable"),
    ] {
        for (method, query) in [("GET", ""), ("HEAD", ""), ("GET", "view=full")] {
            let separator = if target.contains('?') { '&' } else { '?' };
            let target = format!("{target}{separator}{query}");
            let answer = service.write(method, target.trim_end_matches('?')).await;
            assert_eq!(answer.status, 404, "{method} {target}");
            assert_eq!(answer.header("cache-status"), format!("{MISS}{detail}"));
        }
    }
}

/// A page of another origin asks before it sends a token, and is not let do so.
#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_another_origin_is_let_in() {
    let service = service().await;
    let from = |call: Call| call.header("origin", "https://evil.example");
    let preflight = |target: &str, method: &str| {
        let call = from(Call::new("OPTIONS", target));
        let call = call.header("access-control-request-method", method);
        call.header("access-control-request-headers", "authorization")
    };
    for (call, status) in [
        (preflight(&path(&id(1)), "GET"), 401),
        (preflight(&path(&id(1)), "PUT").bearer(WRITE_TOKEN), 204),
        (preflight("/nowhere", "GET"), 401),
        (preflight("/health/live", "GET"), 204),
        (
            from(Call::new("GET", &path(&id(1)))).bearer(READ_TOKEN),
            200,
        ),
        (from(Call::new("GET", "/health/live")), 200),
        (
            from(Call::new("PUT", &path(&id(1))))
                .bearer(WRITE_TOKEN)
                .json(entry(&id(1)).to_string()),
            204,
        ),
    ] {
        let answer = service.send(call).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let names = answer.headers.keys().map(http_name);
        let cors: Vec<_> = names
            .filter(|name| name.starts_with("access-control"))
            .collect();
        assert!(cors.is_empty(), "{cors:?}");
    }
}

fn http_name(name: &hyper::header::HeaderName) -> &str {
    name.as_str()
}
