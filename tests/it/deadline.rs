//! Every operation ends in time, whatever Redis does, and works again soon after.
//!
//! None of these faults ends by itself: without the deadline, an operation would wait for
//! minutes, or for ever.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::fail_open::reads_are_misses_and_writes_say_so;
use crate::support::cache::Cache;
use crate::support::client::{Answer, Call};
use crate::support::connection::{connection, entry, id};
use crate::support::faults::{Blackhole, Fault, Proxy, Then};
use crate::support::redis::{Redis, unique_prefix};
use crate::support::service::{READ_TOKEN, Service, WRITE_TOKEN, path};
use crate::support::{Variables, assert_nothing_trapped};

const HIT: &str = "provider-connection-cache; hit";
const TIMEOUT: &str = "provider-connection-cache; fwd=miss; detail=timeout";
const UNAVAILABLE: &str = "provider-connection-cache; fwd=miss; detail=unavailable";

/// The connection that is looked up when the fault is over. While it lasts, nobody writes it:
/// what a stopped Redis was told it does when it goes on.
const KEPT: usize = 9;

/// Both components, over one address.
struct Components {
    service: Service,
    cache: Cache,
    prefix: String,
}

impl Components {
    async fn over(address: &str, timeout_ms: &str) -> Self {
        let prefix = unique_prefix();
        let variables: Variables = [
            ("redis_address", address),
            ("redis_timeout_ms", timeout_ms),
            ("key_prefix", &prefix),
            ("read_token", READ_TOKEN),
            ("write_token", WRITE_TOKEN),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        Self {
            cache: Cache::start(variables.clone(), vec![address.to_owned()]).await,
            service: Service::start(variables).await,
            prefix,
        }
    }

    /// Stores a connection as the existing application would.
    fn keep(&self, redis: &Redis, number: usize) {
        let id = id(number);
        let key = format!("{}:provider:conn:{id}", self.prefix);
        redis.set(&key, entry(&id).to_string());
    }

    async fn get(&self, number: usize) -> Answer {
        self.service.read("GET", &path(&id(number))).await
    }

    /// The instances that met the fault answer lookups.
    async fn answer(&mut self) {
        let hit = self.get(KEPT).await;
        assert_eq!((hit.status, hit.header("cache-status")), (200, HIT));
        let found = self.cache.get(&id(KEPT)).await.unwrap();
        assert_eq!(found, Some(connection(&id(KEPT))));
    }

    async fn fail_open_in_time(&mut self, detail: &str) {
        let Self { service, cache, .. } = self;
        in_time(reads_are_misses_and_writes_say_so(service, cache, detail)).await;
    }

    async fn answer_again(&mut self) {
        let start = Instant::now();
        let not_yet = || assert!(start.elapsed() < Duration::from_secs(10), "still no answer");
        while self.get(KEPT).await.status != 200 {
            not_yet();
            sleep(Duration::from_millis(20)).await;
        }
        while self.cache.get(&id(KEPT)).await.unwrap().is_none() {
            not_yet();
            sleep(Duration::from_millis(20)).await;
        }
        for log in [self.service.log(), self.cache.log()] {
            assert_nothing_trapped(&log);
        }
    }
}

/// A bound for some twenty operations, far above what they take and far below for ever.
async fn in_time<T>(operations: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), operations)
        .await
        .expect("an operation does not end")
}

#[tokio::test(flavor = "multi_thread")]
async fn with_redis_stopped_in_its_tracks() {
    let redis = Redis::start(&[]);
    let mut components = Components::over(&redis.address(), "150").await;
    components.keep(&redis, KEPT);
    components.answer_again().await;
    redis.pause();
    components.fail_open_in_time("timeout").await;
    redis.go_on();
    components.answer_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_port_that_accepts_and_never_answers() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::to(&redis).await;
    let mut components = Components::over(&proxy.address(), "150").await;
    components.keep(&redis, KEPT);
    proxy.set(Fault::Silence);
    components.fail_open_in_time("timeout").await;
    proxy.set(Fault::None);
    components.answer_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_address_that_drops_packets() {
    let redis = Redis::start(&[]);
    let blackhole = Blackhole::new().await;
    let mut components = Components::over(&blackhole.address(), "150").await;
    components.keep(&redis, KEPT);
    components.fail_open_in_time("timeout").await;
    let _proxy = blackhole.open(&redis);
    components.answer_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_replies_cut_in_the_middle_and_then_silence() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::to(&redis).await;
    let mut components = Components::over(&proxy.address(), "150").await;
    components.keep(&redis, KEPT);
    components.answer_again().await;
    // In the length of a value, in the value, and, for every operation, in the first line.
    for bytes in [100, 2] {
        let then = Then::Silence;
        proxy.set(Fault::Cut { bytes, then });
        let cut = in_time(components.get(KEPT)).await;
        assert_eq!((cut.status, cut.header("cache-status")), (404, TIMEOUT));
        assert_eq!(in_time(components.cache.get(&id(KEPT))).await, Ok(None));
    }
    components.fail_open_in_time("timeout").await;
    proxy.set(Fault::None);
    components.answer_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_replies_cut_in_the_middle_and_the_connection_closed() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::to(&redis).await;
    // Nothing here waits for the deadline.
    let mut components = Components::over(&proxy.address(), "30000").await;
    components.keep(&redis, KEPT);
    components.answer_again().await;
    for bytes in [100, 2] {
        let then = Then::Close;
        proxy.set(Fault::Cut { bytes, then });
        let cut = in_time(components.get(KEPT)).await;
        assert_eq!((cut.status, cut.header("cache-status")), (404, UNAVAILABLE));
        assert_eq!(in_time(components.cache.get(&id(KEPT))).await, Ok(None));
    }
    components.fail_open_in_time("unavailable").await;
    proxy.set(Fault::None);
    components.answer_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reply_cut_and_its_connection_closed_is_not_seen_by_the_caller() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::to(&redis).await;
    let mut components = Components::over(&proxy.address(), "30000").await;
    components.keep(&redis, KEPT);
    components.answer().await;
    let then = Then::CloseOnce;
    for bytes in [0, 2, 100] {
        proxy.set(Fault::Cut { bytes, then });
        let hit = components.get(KEPT).await;
        assert_eq!((hit.status, hit.header("cache-status")), (200, HIT));
        proxy.set(Fault::Cut { bytes, then });
        components.answer().await;
    }
}

/// The entry of a connection, told from all others by its alias too.
fn named(number: usize) -> serde_json::Value {
    let mut entry = entry(&id(number));
    entry["alias"] = format!("number {number}").into();
    entry
}

/// What a lookup may find: the connection that was asked for, or nothing in time.
fn hit_or_timeout(answer: &Answer, wanted: &[usize]) -> bool {
    let body = answer.json();
    match (answer.status, answer.header("cache-status")) {
        (404, TIMEOUT) => return false,
        (200, TIMEOUT) => {
            let nulls = body["connections"].as_object().unwrap().values();
            assert!(nulls.clone().count() == wanted.len() && nulls.clone().all(|it| it.is_null()));
            return false;
        }
        (200, HIT) => {}
        _ => panic!("{wanted:?}: {answer:?}"),
    }
    for number in wanted {
        let found = match body.get("connections") {
            Some(connections) => &connections[id(*number)],
            None => &body,
        };
        let entry = named(*number);
        assert_eq!(
            (&found["id"], &found["alias"]),
            (&entry["id"], &entry["alias"])
        );
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn the_late_reply_to_a_command_given_up_is_never_taken_for_that_to_another() {
    const IDS: usize = 200;
    let redis = Redis::start(&[]);
    let proxy = Proxy::to(&redis).await;
    let components = Components::over(&proxy.address(), "100").await;
    for number in 0..IDS {
        let key = components.service.key(&id(number));
        redis.set(&key, named(number).to_string());
    }
    proxy.set(Fault::Delay {
        one_in: 20,
        up_to: Duration::from_millis(400),
    });
    let (mut hits, mut timeouts) = (0, 0);
    let start = Instant::now();
    while hits < 500 || timeouts < 50 {
        let round = (0..40).map(async |_| {
            let wanted: Vec<_> = match fastrand::u8(0..4) {
                0 => fastrand::choose_multiple(0..IDS, 5),
                _ => vec![fastrand::usize(0..IDS)],
            };
            let answer = match wanted.as_slice() {
                [number] => components.get(*number).await,
                numbers => {
                    let ids: Vec<_> = numbers.iter().map(|number| id(*number)).collect();
                    let body = serde_json::json!({ "ids": ids }).to_string();
                    components.service.look_up(body).await
                }
            };
            hit_or_timeout(&answer, &wanted)
        });
        for hit in futures_util::future::join_all(round).await {
            *(if hit { &mut hits } else { &mut timeouts }) += 1;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{hits} hits and {timeouts} timeouts are too few to tell"
        );
    }
    assert_nothing_trapped(&components.service.log());
}

/// The test above can tell: a reply that goes to the wrong caller is noticed.
#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "detail=corrupt")]
async fn a_mix_up_would_be_seen() {
    let service = Service::over(Redis::shared()).await;
    Redis::shared().set(&service.key(&id(1)), named(2).to_string());
    let call = Call::new("GET", &path(&id(1))).bearer(READ_TOKEN);
    hit_or_timeout(&service.send(call).await, &[1]);
}
