//! Many who miss the same connection at the same time make one request.

use std::sync::Arc;
use std::time::Duration;

use provider_connection_cache_host::InstanceReuse;
use provider_connection_origin::{Fault, Origin};
use serde_json::Value;

use super::{cache, until};
use crate::support::cache::LookupResult;
use crate::support::client::{Answer, Call};
use crate::support::connection::{connection, id};
use crate::support::origin::{borrowed, origin_with, reading_through};
use crate::support::redis::{Redis, free_port, unique_prefix};
use crate::support::service::{READ_TOKEN, Service, path};

/// Long enough that all of them have come before the origin answers.
const SLOW: Fault = Fault::Slow(Duration::from_millis(1_500));

/// So many hosts that share their keys, each of which gives an instance four requests at a time.
async fn hosts(
    count: usize,
    redis: &Redis,
    origin: &Origin,
    more: &[(&str, &str)],
) -> Vec<Arc<Service>> {
    let prefix = unique_prefix();
    let mut variables = reading_through(origin, more);
    variables.push(("key_prefix".to_owned(), prefix));
    let reuse = InstanceReuse {
        max_instance_concurrent_reuse_count: 4,
        ..InstanceReuse::default()
    };
    let mut hosts = Vec::new();
    for _ in 0..count {
        let service = Service::reusing(redis, &borrowed(&variables), reuse).await;
        hosts.push(Arc::new(service));
    }
    hosts
}

/// So many callers of each host, all at once.
async fn call_all(hosts: &[Arc<Service>], callers: usize) -> Vec<Answer> {
    let mut clients = Vec::new();
    for host in hosts {
        for _ in 0..callers {
            clients.push(host.connect().await);
        }
    }
    let calls = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let call = Call::new("GET", &path(&id(1))).bearer(READ_TOKEN);
            client.send(call).await
        })
    });
    let mut answers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answers.push(call.await.expect("an answer"));
    }
    answers
}

fn instances(hosts: &[Arc<Service>]) -> Option<usize> {
    hosts.iter().map(|host| host.instances_created()).sum()
}

fn with_status(answers: &[Answer], status: u16) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_over_many_instances_and_two_hosts_make_one_request() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.inject(SLOW);
    let hosts = hosts(2, &redis, &origin, &[]).await;
    let answers = call_all(&hosts, 100).await;
    assert_eq!(with_status(&answers, 200), 200);
    assert_eq!(origin.requests(), 1);
    if let Some(instances) = instances(&hosts) {
        assert!(instances >= 20, "{instances} instances");
    }
    let mut collapsed = 0;
    for answer in &answers {
        assert_eq!(answer.json()["id"], id(1));
        let cache_status = answer.header("cache-status");
        collapsed += usize::from(cache_status.ends_with("; collapsed"));
    }
    assert!(
        collapsed > 100,
        "{collapsed} say that they shared the request"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_one_who_asks_dies_one_of_those_who_wait_asks() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.inject(Fault::Hang);
    // Together they say how long the lease lasts: 5 seconds.
    let times = [("origin_timeout_ms", "1000"), ("redis_timeout_ms", "2000")];
    let hosts = hosts(2, &redis, &origin, &times).await;
    let key = hosts[0].key(&id(1));
    let mut doomed = cache(
        &redis,
        &origin,
        &[
            ("origin_timeout_ms", "30000"),
            ("redis_timeout_ms", "2000"),
            ("key_prefix", hosts[0].prefix()),
        ],
    )
    .await;
    let asking = tokio::spawn(async move { doomed.get(&id(1)).await });
    until("it asks", || origin.requests() == 1).await;
    let lease: Value = serde_json::from_str(&redis.get(&key).unwrap()).unwrap();
    assert_eq!(lease["origin"], "asked");
    // Its instance is gone, and its connections with it; its lease is not.
    asking.abort();
    assert!(asking.await.is_err());
    // As if it had had the time-out of the others.
    redis.command::<()>(&["PEXPIRE", &key, "3000"]);
    origin.inject(Fault::Slow(Duration::from_millis(300)));
    let answers = call_all(&hosts, 100).await;
    assert_eq!(with_status(&answers, 200), 200);
    assert_eq!(origin.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_are_told_that_the_origin_failed() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    // Nobody listens there, or for too long.
    origin.inject(Fault::Hang);
    let hosts = hosts(2, &redis, &origin, &[("origin_timeout_ms", "1500")]).await;
    let answers = call_all(&hosts, 50).await;
    assert_eq!(with_status(&answers, 404), 100);
    for answer in &answers {
        let cache_status = answer.header("cache-status");
        assert!(
            cache_status.ends_with("detail=origin-timeout"),
            "{cache_status}"
        );
    }
    assert_eq!(origin.requests(), 1);
    // Who comes later asks again.
    let key = hosts[0].key(&id(1));
    until("its moment is over", || redis.get(&key).is_none()).await;
    origin.inject(Fault::None);
    let answers = call_all(&hosts, 1).await;
    assert_eq!((with_status(&answers, 200), origin.requests()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_must_not_be_stored_is_shared_within_an_instance_only() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.set_cache_control(Some("no-store")).unwrap();
    origin.inject(SLOW);
    let hosts = hosts(1, &redis, &origin, &[]).await;
    let answers = call_all(&hosts, 40).await;
    assert_eq!(with_status(&answers, 200), 40);
    let asked = origin.requests();
    assert!((2..40).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_instance_they_make_one_request_with_redis_and_without() {
    let redis = Redis::start(&[]);
    let nowhere = format!("redis://127.0.0.1:{}", free_port());
    for address in [redis.address(), nowhere] {
        let origin = origin_with(&[1, 2]).await;
        origin.inject(SLOW);
        let mut cache = cache(&redis, &origin, &[("redis_address", &address)]).await;
        let ids: Vec<_> = (0..32).map(|number| id(1 + number % 2)).collect();
        let summaries = cache.summaries_at_once(&ids).await;
        for (id, summary) in ids.iter().zip(summaries) {
            assert_eq!(&summary.unwrap().expect("it is there").id, id);
        }
        assert_eq!(origin.requests(), 2, "{address}");
        redis.command::<()>(&["FLUSHALL"]);
        // One reads the lifetime too, the other does not.
        let (got, looked_up) = cache.get_and_look_up(&id(1)).await;
        assert_eq!(got, Some(connection(&id(1))));
        assert!(matches!(looked_up, LookupResult::Hit(_)), "{looked_up:?}");
        assert_eq!(origin.requests(), 3, "{address}");
    }
}

/// However many keep asking an origin that fails: whoever waited is told, even if it did not look
/// before the next one asked again.
#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_are_told_by_whoever_asks_again() {
    let redis = Redis::start(&[]);
    let origin = origin_with(&[1]).await;
    origin.inject(Fault::Hang);
    let hosts = hosts(1, &redis, &origin, &[]).await;
    let key = hosts[0].key(&id(1));
    let set = |value: &str| redis.command::<()>(&["SET", &key, value, "PX", "60000"]);
    let gets = || redis.info("keyspace_hits");
    set(r#"{"origin":"asked","owner":"000000000000000a"}"#);
    let before = gets();
    let reading = {
        let host = Arc::clone(&hosts[0]);
        tokio::spawn(async move { super::read(&host, 1).await })
    };
    until("it waits", || gets() > before + 2).await;
    set(r#"{"origin":"asked","owner":"000000000000000b","status":"503"}"#);
    let told = "provider-connection-cache; fwd=miss; fwd-status=503; collapsed";
    assert_eq!(reading.await.unwrap(), super::seen(404, told));
    assert_eq!(origin.requests(), 0);
    // And who comes then, asks again, and tells.
    set(r#"{"origin":"told","owner":"000000000000000b","told":"not-stored"}"#);
    let host = Arc::clone(&hosts[0]);
    let asking = tokio::spawn(async move { super::read(&host, 1).await });
    until("it asks", || origin.requests() == 1).await;
    let lease: Value = serde_json::from_str(&redis.get(&key).unwrap()).unwrap();
    assert_eq!(
        (&lease["origin"], &lease["told"]),
        (&"asked".into(), &"not-stored".into())
    );
    asking.abort();
}
