//! What reaches the origin, and what does not.

use std::fs;
use std::time::Duration;

use provider_connection_origin::Fault;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use super::{cache, read, seen, service, until};
use crate::support::client::Call;
use crate::support::connection::{connection, id};
use crate::support::in_repository;
use crate::support::origin::origin_with;
use crate::support::redis::Redis;
use crate::support::secrets::PASSWORD;
use crate::support::service::{READ_TOKEN, Service, path};

#[tokio::test(flavor = "multi_thread")]
async fn an_id_in_any_spelling_is_asked_for_in_its_canonical_one() {
    let redis = Redis::shared();
    let origin = origin_with(&[]).await;
    let service = service(redis, &origin, &[("negative_ttl", "0")]).await;
    let canonical = id(0xabc);
    let bare = canonical.replace('-', "");
    let spellings = [
        canonical.to_uppercase(),
        bare.clone(),
        format!("%7B{canonical}%7D"),
        format!("urn:uuid:{canonical}"),
    ];
    for spelling in &spellings {
        assert_eq!(service.read("GET", &path(spelling)).await.status, 404);
    }
    let wanted = format!("/connections/{canonical}");
    assert_eq!(origin.seen_targets(), vec![wanted; spellings.len()]);
    for spelling in [
        "no-uuid",
        "..%2f..%2fhealth",
        "%7Bid%7D",
        &format!("{bare}%2f"),
    ] {
        assert_eq!(service.read("GET", &path(spelling)).await.status, 400);
    }
    assert_eq!(origin.seen_targets().len(), spellings.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_the_origin_asked_who_may_not_read() {
    let redis = Redis::shared();
    let origin = origin_with(&[1]).await;
    let service = service(redis, &origin, &[]).await;
    for call in [
        Call::new("GET", &path(&id(1))),
        Call::new("GET", &path(&id(1))).bearer("no-such-token-and-long-enough-to-be-one"),
        Call::new("GET", &format!("{}?view=full", path(&id(1)))).bearer(READ_TOKEN),
    ] {
        let status = service.send(call).await.status;
        assert!([401, 403].contains(&status), "{status}");
    }
    assert_eq!(origin.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_caller_is_sent_on() {
    let redis = Redis::shared();
    let origin = origin_with(&[1]).await;
    let service = service(redis, &origin, &[]).await;
    // The origin answers 401 to any other token than its own, and would follow `PUT`.
    let call = Call::new("HEAD", &format!("{}?view=summary", path(&id(1)))).bearer(READ_TOKEN);
    let call = call.header("x-http-method-override", "DELETE");
    assert_eq!(service.send(call).await.status, 200);
    assert_eq!(origin.seen_targets(), [format!("/connections/{}", id(1))]);
    assert_eq!(origin.seen_header("x-http-method-override"), None);
    assert_eq!(origin.connections().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_origin_url_nothing_is_asked_and_no_other_key_is_written() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let service = service(&redis, &origin, &[("origin_url", "")]).await;
    let miss = "provider-connection-cache; fwd=miss";
    assert_eq!(read(&service, 1).await, seen(404, miss));
    let mut cache = cache(&redis, &origin, &[("origin_url", "")]).await;
    assert_eq!(cache.get(&id(1)).await.unwrap(), None);
    cache.set(&connection(&id(1)), None).await.unwrap();
    assert!(cache.exists(&id(1)).await.unwrap());
    assert!(cache.delete(&id(1)).await.unwrap());
    assert_eq!(origin.requests(), 0);
    let commands: Vec<_> = redis
        .commands_seen()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(commands, ["del", "get", "set"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_nobody_holds_is_waited_for_no_longer_than_two_may_last() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1, 2, 3]).await;
    let times = [("origin_timeout_ms", "500"), ("redis_timeout_ms", "500")];
    let service = service(&redis, &origin, &times).await;
    let forged = r#"{"origin":"asked","owner":"0000000000000001"}"#;
    let key = |number| service.key(&id(number));
    redis.command::<()>(&["SET", &key(1), forged, "PX", "100000"]);
    assert_eq!(read(&service, 1).await.0, 200);
    // It is not ours to take away. But what never ends, or too late, is no lease.
    assert_eq!(redis.get(&key(1)).as_deref(), Some(forged));
    redis.set(&key(2), forged);
    redis.command::<()>(&["SET", &key(3), forged, "PX", "1000000"]);
    for number in [2, 3] {
        assert_eq!(read(&service, number).await.0, 200);
        assert_eq!(read(&service, number).await, seen(200, super::HIT));
    }
    assert_eq!(origin.requests(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_end_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origin = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_buf(&mut Vec::new()).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        // A byte now and then, until it is given up.
        while stream.write_all(b"1\r\n \r\n").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let url = format!("http://{address}/{{id}}");
    let at_it = [
        ("origin_url", url.as_str()),
        ("origin_address", url.trim_end_matches("/{id}")),
        ("origin_timeout_ms", "500"),
    ];
    let service = Service::with(Redis::shared(), &at_it).await;
    let given_up = "provider-connection-cache; fwd=miss; detail=origin-timeout";
    assert_eq!(read(&service, 1).await, seen(404, given_up));
    // The connection is closed, or it would go on for ever.
    timeout(Duration::from_secs(30), origin)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_documents_give_to_redis_users_are_enough() {
    let redis = Redis::start(&[]);
    let page = fs::read_to_string(in_repository("docs/configuration.md")).unwrap();
    let rights = page.lines().filter(|line| line.starts_with("ACL SETUSER"));
    let rights: Vec<_> = rights
        .map(|line| line.replace("PASSWORD", PASSWORD))
        .collect();
    assert_eq!(rights.len(), 4);
    for line in rights {
        redis.command::<()>(&line.split(' ').collect::<Vec<_>>());
    }
    let origin = origin_with(&[1, 2, 3]).await;
    let more = [
        ("redis_username", "edge"),
        ("redis_password", PASSWORD),
        ("key_prefix", ""),
        ("refresh_ahead", "0.001"),
        ("stale_if_error", "3600"),
    ];
    let service = service(&redis, &origin, &more).await;
    redis.set(&service.key(&id(2)), "{}");
    redis.set_to_list(&service.key(&id(3)));
    for number in 1..=3 {
        assert_eq!(read(&service, number).await.0, 200);
        assert_eq!(read(&service, number).await, seen(200, super::HIT));
    }
    assert_eq!(read(&service, 4).await.0, 404);
    assert_eq!(service.write("DELETE", &path(&id(4))).await.status, 404);
    service.hold(&id(4)).await;
    let key = service.key(&id(1));
    let fresh = super::fresh_key(&key);
    until("it is due", || redis.get(&fresh).is_none()).await;
    assert_eq!(read(&service, 1).await, seen(200, super::HIT));
    until("it is refreshed", || origin.requests_for(&id(1)) == 2).await;
    origin.inject(Fault::Status(503));
    redis.command::<()>(&["DEL", &key]);
    redis.command::<()>(&["EXPIRE", &super::stale_key(&key), "3600"]);
    let (_, cache_status) = read(&service, 1).await;
    assert!(cache_status.contains("fwd=stale"), "{cache_status}");
    for number in 6..8 {
        assert_eq!(read(&service, number).await.0, 404);
    }
    let [pause, _] = super::breaker_keys(&service);
    until("it is left alone", || redis.get(&pause).is_some()).await;
    redis.command::<()>(&["DEL", &pause]);
    origin.inject(Fault::None);
    assert_eq!(read(&service, 8).await, seen(404, super::NOT_FOUND));
    assert_eq!(service.write("DELETE", &path(&id(2))).await.status, 204);
    let mut cache = cache(&redis, &origin, &more).await;
    cache.set_many(&[connection(&id(5))], None).await.unwrap();
    assert_eq!(
        cache.get_many(&[id(5)]).await.unwrap(),
        [Some(connection(&id(5)))]
    );
    cache.ping().await.unwrap();
    assert!(!cache.list_ids(None).await.unwrap().ids.is_empty());
    // Each instance hands on what it counted; read by each of both ways.
    until("it is counted", || {
        !redis.keys("provider:conn-stats:*").is_empty()
    })
    .await;
    assert_eq!(cache.stats(1).await.unwrap().len(), 1);
    assert_eq!(service.read("GET", "/metrics").await.status, 200);
    let denied: Vec<redis::Value> = redis.command(&["ACL", "LOG"]);
    assert!(denied.is_empty(), "{denied:?}");
}

/// Without one, lookups ask the origin each time and nothing is stored, though entries could be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_reading_through_lacks_is_told_by_readiness_and_in_the_log() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    let service = service(&redis, &origin, &[("stale_if_error", "60")]).await;
    let ready = service.read("GET", "/health/ready").await.json();
    assert_eq!(ready["writes"], "accepted");
    let kinds = ["conn", "conn-fresh", "conn-stale", "conn-origin"];
    for lacks in &kinds[1..] {
        let has = kinds.iter().filter(|kind| *kind != lacks);
        let has: Vec<_> = has.map(|kind| format!("~*provider:{kind}:*")).collect();
        let rights = ["ACL", "SETUSER", "default", "resetkeys"].into_iter();
        let rights: Vec<_> = rights.chain(has.iter().map(String::as_str)).collect();
        redis.command::<()>(&rights);
        let ready = service.read("GET", "/health/ready").await;
        assert_eq!(ready.status, 200, "{lacks}");
        let ready = ready.json();
        assert_eq!(ready["writes"], "failing", "{lacks}");
        let detail = "Redis answered NOPERM: the user of redis_username lacks a right that \
                      docs/configuration.md lists";
        assert_eq!(ready["detail"], detail, "{lacks}");
    }
    // The last one is that of the breaker, which the lease needs.
    assert_eq!(read(&service, 1).await.0, 200);
    assert_eq!(redis.get(&service.key(&id(1))), None);
    let log = service.log();
    assert!(log.contains("\"event\":\"write_refused\""), "{log}");
    assert!(log.contains("NOPERM"), "{log}");
}
