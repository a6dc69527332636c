//! The cache as middleware: `examples/middleware`, an application with the cache before it.

use std::fs;
use std::path::{Path, PathBuf};

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::client::{Answer, Call};
use crate::support::connection::entry;
use crate::support::redis::{Redis, unique_prefix};
use crate::support::secrets::ORIGIN_TOKEN;
use crate::support::service::{BASE, READ_TOKEN, Service, WRITE_TOKEN, path};
use crate::support::{
    application, assert_nothing_trapped, in_repository, middleware_component, variables,
};

/// One of the application's connections, or from 10 on none.
fn id(number: usize) -> String {
    format!("0192f3a4-5b6c-7d8e-9f03-{number:012}")
}

fn spin_toml() -> PathBuf {
    let _there = (application(), middleware_component());
    in_repository("examples/middleware/spin.toml")
}

async fn start(manifest: &Path, redis: &Redis, more: &[(&str, &str)]) -> Service {
    let prefix = unique_prefix();
    let common = [
        ("key_prefix", prefix.as_str()),
        ("origin_token", ORIGIN_TOKEN),
        ("origin_timeout_ms", "30000"),
        ("read_token", READ_TOKEN),
        ("write_token", WRITE_TOKEN),
    ];
    let variables = variables(redis, &[&common, more].concat());
    Service::start_from(manifest, variables).await
}

/// How often the application was asked.
fn asked(service: &Service) -> usize {
    service.log().matches("asked for").count()
}

fn alias(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["alias"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_is_asked_of_the_application_whose_answer_is_stored() {
    let redis = Redis::shared();
    let service = start(&spin_toml(), redis, &[]).await;
    let first = service.read("GET", &path(&id(1))).await;
    assert_eq!(
        first.header("cache-status"),
        "provider-connection-cache; fwd=miss; fwd-status=200; stored"
    );
    // The summary, whatever the application answers.
    assert_eq!(first.json()["can_sync"], true);
    assert!(!first.text().contains("encrypted_data"));
    let key = service.key(&id(1));
    let entry: Value = serde_json::from_str(&redis.get(&key).unwrap()).unwrap();
    assert_eq!(entry["alias"], alias(&first));
    assert!((1..=300).contains(&redis.ttl(&key)));

    for _ in 0..3 {
        let next = service.read("GET", &path(&id(1).to_uppercase())).await;
        assert_eq!(
            next.header("cache-status"),
            "provider-connection-cache; hit"
        );
        assert_eq!(alias(&next), alias(&first));
    }
    let head = service.read("HEAD", &path(&id(1))).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let full = service
        .write("GET", &format!("{}?view=full", path(&id(1))))
        .await;
    assert_eq!(full.json()["credentials"], entry["credentials"]);
    assert_eq!(asked(&service), 1);
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_miss_at_once_are_one_request_to_the_application() {
    let service = start(&spin_toml(), Redis::shared(), &[]).await;
    let target = path(&id(2));
    let callers = (0..8).map(|_| service.read("GET", &target));
    let answers = futures_util::future::join_all(callers).await;
    let one = alias(&answers[0]);
    assert!(answers.iter().all(|answer| alias(answer) == one));
    assert_eq!(asked(&service), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_what_the_token_does_not_grant() {
    let redis = Redis::shared();
    let service = start(&spin_toml(), redis, &[]).await;
    for (token, query, status) in [
        ("", "", 401),
        (ORIGIN_TOKEN, "", 401),
        (READ_TOKEN, "?view=full", 403),
        (READ_TOKEN, "?x=1", 400),
        (
            READ_TOKEN,
            "?user_id=0192f3a4-5b6c-7d8e-9f00-0000000003e9",
            404,
        ),
    ] {
        let call = Call::new("GET", &format!("{}{query}", path(&id(1)))).bearer(token);
        let answer = service.send(call).await;
        assert_eq!(answer.status, status, "{query}");
        assert!(!answer.text().contains("schwab"), "{answer:?}");
    }
    // Ways around the cache lead to the application, which knows it by its token.
    for path in [
        format!("{BASE}/{}/", id(1)),
        format!("{BASE}//{}", id(1)),
        format!("/{BASE}/{}", id(1)),
    ] {
        let answer = service.read("GET", &path).await;
        assert!(!answer.text().contains("schwab"), "{answer:?}");
    }
    let closed = start(
        &spin_toml(),
        redis,
        &[("read_token", ""), ("write_token", "")],
    )
    .await;
    assert_eq!(closed.read("GET", &path(&id(1))).await.status, 403);
    assert_eq!(asked(&closed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_does_not_have_is_remembered_a_moment() {
    let service = start(&spin_toml(), Redis::shared(), &[]).await;
    for _ in 0..3 {
        assert_eq!(service.read("GET", &path(&id(10))).await.status, 404);
    }
    assert_eq!(asked(&service), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_write_the_application_is_asked_again() {
    let redis = Redis::shared();
    let service = start(&spin_toml(), redis, &[]).await;
    for (method, token) in [("PUT", ""), ("DELETE", ""), ("PUT", WRITE_TOKEN)] {
        let before = alias(&service.read("GET", &path(&id(3))).await);
        let call = Call::new(method, &path(&id(3))).bearer(token).body("x");
        assert_eq!(service.send(call).await.status, 204);
        assert_eq!(redis.get(&service.key(&id(3))), None);
        let after = service.read("GET", &path(&id(3))).await;
        assert_ne!(alias(&after), before);
    }
    // So is what is written below it.
    let before = alias(&service.read("GET", &path(&id(3))).await);
    let below = format!("{}/disconnect", path(&id(3)));
    assert_eq!(service.write("POST", &below).await.status, 204);
    assert_ne!(alias(&service.read("GET", &path(&id(3))).await), before);
    // What it does not have any more is not answered either.
    redis.set(&service.key(&id(10)), entry(&id(10)).to_string());
    assert_eq!(service.read("GET", &path(&id(10))).await.status, 200);
    assert_eq!(service.write("DELETE", &path(&id(10))).await.status, 404);
    assert_eq!(service.read("GET", &path(&id(10))).await.status, 404);
    // What it refused is no write.
    let before = alias(&service.read("GET", &path(&id(3))).await);
    assert_eq!(service.write("PATCH", &path(&id(3))).await.status, 405);
    assert_eq!(alias(&service.read("GET", &path(&id(3))).await), before);
    assert_nothing_trapped(&service.log());
}

/// The application may decode the path, resolve its dot segments, and overlook empty ones, before it finds
/// the connection there.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_by_any_spelling_of_the_path_drops_the_entry_too() {
    let redis = Redis::shared();
    let service = start(&spin_toml(), redis, &[]).await;
    let key = service.key(&id(1));
    for place in [
        format!("/{}", path(&id(1))),
        format!("/v1//provider-connections/{}", id(1)),
        format!("{BASE}//{}/", id(1)),
        format!("{}//x", path(&id(1))),
        format!("/v1/provider%2Dconnections/{}", id(1)),
        format!("/v1%2fprovider-connections%2F{}", id(1)),
        format!("{}%2Fdisconnect", path(&id(1))),
        format!("{}/%ff", path(&id(1))),
        format!("/v1/./provider-connections/{}", id(1)),
        format!("/x/../v1/provider-connections/{}", id(1)),
        format!("{BASE}/x/%2E%2e/{}", id(1)),
        format!("{BASE}//../{}", id(1)),
        format!("/../..{}", path(&id(1))),
        format!("/v1\\provider-connections\\x\\..\\{}", id(1)),
    ] {
        redis.set(&key, entry(&id(1)).to_string());
        service.write("PUT", &place).await;
        assert_eq!(redis.get(&key), None, "{place}");
    }
    redis.set(&key, entry(&id(1)).to_string());
    service.write("PUT", &format!("/x{}", path(&id(1)))).await;
    assert!(redis.get(&key).is_some());
}

/// Preconditions of a write, and questions of browsers, are for the application. A lookup that the cache
/// answers is answered as by the service.
#[tokio::test(flavor = "multi_thread")]
async fn only_lookups_are_conditional_here() {
    let redis = Redis::shared();
    let service = start(&spin_toml(), redis, &[]).await;
    let call = |method| Call::new(method, &path(&id(1))).bearer(WRITE_TOKEN);
    let first = service.send(call("GET")).await;
    let etag = first.header("etag");
    let known = service
        .send(call("GET").header("if-none-match", etag))
        .await;
    assert_eq!(known.status, 304);
    let other = service.send(call("GET").header("if-match", "\"x\"")).await;
    assert_eq!(other.status, 412);
    // The application knows no preconditions, and writes.
    let written = service.send(call("PUT").header("if-match", "\"x\"")).await;
    assert_eq!(
        (written.status, redis.get(&service.key(&id(1)))),
        (204, None)
    );
    let options = service.send(call("OPTIONS")).await;
    assert_eq!((options.status, options.body), (405, Vec::new()));
    assert!(
        service.log().contains("Options"),
        "the application was asked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_else_is_the_applications() {
    let service = start(&spin_toml(), Redis::shared(), &[]).await;
    for (method, path) in [
        ("GET", "/".to_owned()),
        ("POST", "/x?y=z".to_owned()),
        ("GET", "/health/live".to_owned()),
        ("GET", "/metrics".to_owned()),
    ] {
        let answer = service
            .send(Call::new(method, &path).body("whatever"))
            .await;
        assert_eq!((answer.status, answer.text()), (200, "the application\n"));
        assert_eq!(answer.optional_header("cache-status"), None);
        assert!(service.log().contains(&format!(" {path}\n")), "{path}");
    }
    for segment in ["lookup", "x", "%zz"] {
        let answer = service.read("POST", &format!("{BASE}/{segment}")).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.body, b"", "it is the application's 404");
    }
    assert_nothing_trapped(&service.log());
}

/// Without Redis lookups are as if the cache were not there; but what is written would not be read
/// by those who still reach it.
#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_application_answers_and_nothing_is_written() {
    let mut redis = Redis::start(&[]);
    let service = start(&spin_toml(), &redis, &[]).await;
    redis.stop();
    for asked_before in 0..2 {
        let answer = service.read("GET", &path(&id(1))).await;
        assert_eq!(answer.json()["can_sync"], true);
        assert!(answer.header("cache-status").contains("detail=unavailable"));
        assert_eq!(asked(&service), asked_before + 1);
    }
    for method in ["PUT", "POST", "PATCH"] {
        let answer = service.write(method, &path(&id(1))).await;
        assert_eq!(answer.status, 503);
        assert_eq!(
            answer.json()["type"],
            "urn:problem-type:provider-connection-cache:unavailable"
        );
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(asked(&service), 2, "nothing was written");
    assert_nothing_trapped(&service.log());
}

/// Redis drops what is tried before the write, and refuses to drop the entry after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_entry_stays_is_not_to_be_repeated() {
    let redis = Redis::start(&[]);
    let service = start(&spin_toml(), &redis, &[]).await;
    let before = alias(&service.read("GET", &path(&id(1))).await);
    redis.command::<()>(&["ACL", "SETUSER", "default", "resetkeys", "~*:ready-?"]);
    let answer = service.write("PUT", &path(&id(1))).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json()["type"],
        "urn:problem-type:provider-connection-cache:not-invalidated"
    );
    assert_eq!(answer.optional_header("retry-after"), None);
    assert_eq!(asked(&service), 2, "it was written");
    redis.command::<()>(&["ACL", "SETUSER", "default", "allkeys"]);
    assert_eq!(alias(&service.read("GET", &path(&id(1))).await), before);
}

/// The next component fails, as one does that is not what it should be: the caller hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_next_component_fails_to_say_is_a_bad_gateway() {
    let redis = Redis::shared();
    // The application takes nobody for the cache, so it answers 401.
    let service = start(&spin_toml(), redis, &[("origin_token", "")]).await;
    let answer = service.read("GET", &path(&id(1))).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(
        answer.json()["type"],
        "urn:problem-type:provider-connection-cache:origin-failed"
    );
    assert!(answer.header("cache-status").contains("fwd-status=401"));
    // And with a wrong variable the cache lets nobody past.
    let wrong = [("redis_timeout_ms", "x")];
    let service = start(&spin_toml(), redis, &wrong).await;
    for method in ["GET", "PUT"] {
        assert_eq!(service.write(method, &path(&id(1))).await.status, 503);
    }
    assert_eq!(asked(&service), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_stuck_ends_nothing_but_its_request() {
    let more = [("origin_timeout_ms", "300"), ("redis_timeout_ms", "250")];
    let service = start(&spin_toml(), Redis::shared(), &more).await;
    let answer = service.read("GET", &path(&id(9))).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    let cache_status = answer.header("cache-status");
    assert!(
        cache_status.ends_with("detail=origin-timeout"),
        "{cache_status}"
    );
    let others = service.send(Call::new("GET", "/x")).await;
    assert_eq!(others.text(), "the application\n");
    assert_nothing_trapped(&service.log());
}

/// The next component is each host's own, so the failures of one are no reason to leave it alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_stuck_is_asked_all_the_same() {
    let redis = Redis::shared();
    let more = [("origin_timeout_ms", "300"), ("redis_timeout_ms", "250")];
    let service = start(&spin_toml(), redis, &more).await;
    for asked_before in 0..4 {
        let answer = service.read("GET", &path(&id(9))).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(asked(&service), asked_before + 1);
        // For a second, this failure would answer others who ask for the same connection.
        redis.command::<()>(&["DEL", &service.key(&id(9))]);
    }
    let other = service.read("GET", &path(&id(1))).await;
    assert_eq!(other.status, 200, "{other:?}");
    assert_eq!(
        redis.keys(&format!("{}:provider:conn-origin:*", service.prefix())),
        Vec::<String>::new()
    );
    assert_nothing_trapped(&service.log());
}

/// An empty token is nobody's. HTTP/2 keeps the space after `Bearer`, which HTTP/1 drops.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_the_application_takes_nobody_for_the_cache() {
    let service = start(&spin_toml(), Redis::shared(), &[("origin_token", "")]).await;
    let stream = TcpStream::connect(service.address()).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    // Not a lookup, so it is passed on.
    let request = Request::get(format!("http://localhost{}/", path(&id(1))))
        .header("authorization", "Bearer ")
        .body(Empty::<Bytes>::new())
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 401);
    assert_eq!(asked(&service), 1);
}

/// Two of it in one chain, though two caches are of no use: the second takes the first for a caller
/// without a token.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_may_be_longer() {
    let one = r#"{ component = "provider-connection-cache", inherit_configuration = ["allowed_outbound_hosts", "key_value_stores", "variables"] },"#;
    let text = fs::read_to_string(spin_toml()).unwrap();
    assert!(text.contains(one));
    let from = in_repository("examples/middleware");
    let text = text
        .replace(one, &one.repeat(2))
        .replace("../../dist", in_repository("dist").to_str().unwrap())
        .replace(
            "target/wasm32",
            &format!("{}/target/wasm32", from.display()),
        );
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chain.toml");
    fs::write(&file, text).unwrap();
    let service = start(&file, Redis::shared(), &[]).await;
    let answer = service.send(Call::new("GET", "/x")).await;
    assert_eq!(answer.text(), "the application\n");
    let answer = service.read("GET", &path(&id(1))).await;
    assert!(answer.header("cache-status").contains("fwd-status=401"));
    assert_eq!(asked(&service), 1);
    assert_nothing_trapped(&service.log());
}
