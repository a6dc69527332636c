//! Work that is under way when its caller goes away, or when the host ends it.

use std::time::Duration;

use futures_util::future::join_all;
use provider_connection_cache_host::InstanceReuse;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::support::assert_nothing_trapped;
use crate::support::connection::{entry, id};
use crate::support::redis::Redis;
use crate::support::service::{READ_TOKEN, Service, WRITE_TOKEN, path};
use crate::support::spin;
use crate::support::until::{until, until_answered};

async fn service(redis: &Redis, timeout_ms: &str) -> Service {
    let service = Service::with(redis, &[("redis_timeout_ms", timeout_ms)]).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    service
}

async fn is_hit(service: &Service) -> bool {
    service.read("GET", &path(&id(1))).await.status == 200
}

/// Sends a request, and goes away before, in or after the answer.
async fn send_and_disconnect(service: &Service) {
    let entry = entry(&id(2)).to_string();
    let (get, put) = (path(&id(1)), path(&id(2)));
    let request = match fastrand::u8(0..4) {
        0 => format!(
            "PUT {put} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {WRITE_TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{entry}",
            entry.len()
        ),
        _ => format!(
            "GET {get} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {READ_TOKEN}\r\n\r\n"
        ),
    };
    // Some do not even get as far as the end of the request.
    let length = match fastrand::u8(0..4) {
        0 => fastrand::usize(1..request.len()),
        _ => request.len(),
    };
    let mut stream = TcpStream::connect(service.address()).await.expect("a port");
    let sent = stream.write_all(&request.as_bytes()[..length]).await;
    sent.expect("the service reads");
    sleep(Duration::from_micros(fastrand::u64(0..20_000))).await;
}

/// Nothing is left over: requests are answered, idle instances end, and with them their
/// connections to Redis.
async fn nothing_is_left(redis: &Redis, service: &Service) {
    until_answered("a hit", async || is_hit(service).await).await;
    until("no connection", || redis.clients() == 0).await;
    until_answered("a hit", async || is_hit(service).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_go_away_while_redis_is_fast_leave_nothing_behind() {
    let redis = Redis::start(&[]);
    let service = service(&redis, "30000").await;
    for _ in 0..4 {
        join_all((0..100).map(|_| send_and_disconnect(&service))).await;
        assert!(is_hit(&service).await);
    }
    nothing_is_left(&redis, &service).await;
    assert_nothing_trapped(&service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_go_away_while_redis_is_stopped_leave_nothing_behind() {
    let redis = Redis::start(&[]);
    let service = service(&redis, "300").await;
    for _ in 0..2 {
        redis.pause();
        join_all((0..150).map(|_| send_and_disconnect(&service))).await;
        redis.go_on();
    }
    nothing_is_left(&redis, &service).await;
    assert_nothing_trapped(&service.log());
}

/// The host lets go of a request after 100 ms, and of its instance with it, long before the
/// deadline of the component.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_the_host_cancels_leave_nothing_behind() {
    let redis = Redis::start(&[]);
    let reuse = InstanceReuse {
        request_timeout: Some(Duration::from_millis(100)),
        ..InstanceReuse::default()
    };
    let service = Service::reusing(&redis, &[("redis_timeout_ms", "30000")], reuse).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    for _ in 0..3 {
        redis.pause();
        let target = path(&id(1));
        let cancelled = (0..50).map(|_| service.read("GET", &target));
        for answer in join_all(cancelled).await {
            assert_eq!(answer.status, 500);
        }
        redis.go_on();
        until_answered("a hit", async || is_hit(&service).await).await;
    }
    nothing_is_left(&redis, &service).await;
    let log = service.log();
    assert!(log.contains("guest timed out"), "{log}");
    for sign in ["wasm trap", "panicked at", "wasm backtrace"] {
        assert!(!log.contains(sign), "the log says {sign:?}:\n{log}");
    }
    let failures = log.lines().filter(|line| line.contains("worker failed"));
    for failure in failures {
        assert!(failure.contains("guest timed out"), "{failure}");
    }
}

/// The first of them opens the connection that the others wait for.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_while_its_instance_connects_does_not_take_others_along() {
    if spin::is_skipped("the number of instances") {
        return;
    }
    let redis = Redis::start(&[]);
    let reuse = InstanceReuse {
        idle_instance_timeout: Duration::from_millis(50),
        ..InstanceReuse::default()
    };
    let service = Service::reusing(&redis, &[], reuse).await;
    redis.set(&service.key(&id(1)), entry(&id(1)).to_string());
    let made = || service.instances_created().unwrap_or_default();
    for _ in 0..10 {
        let before = redis.info("total_connections_received");
        let instances = made();
        redis.pause();
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {READ_TOKEN}\r\n\r\n",
            path(&id(1))
        );
        let mut first = TcpStream::connect(service.address()).await.expect("a port");
        let sent = first.write_all(request.as_bytes()).await;
        sent.expect("the service reads");
        until("an instance", || made() > instances).await;
        let target = path(&id(1));
        let others = join_all((0..8).map(|_| service.read("GET", &target)));
        let leave_and_go_on = async {
            sleep(Duration::from_millis(50)).await;
            drop(first);
            sleep(Duration::from_millis(50)).await;
            redis.go_on();
        };
        let (answers, ()) = futures_util::future::join(others, leave_and_go_on).await;
        for answer in answers {
            assert_eq!(answer.status, 200);
        }
        let opened = redis.info("total_connections_received") - before - 1;
        let made = (made() - instances) as u64;
        assert!(opened <= made, "{opened} connections, {made} instances");
        // The next round meets a cold instance.
        until("no connection", || redis.clients() == 0).await;
    }
    assert_nothing_trapped(&service.log());
}
