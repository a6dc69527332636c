//! How much memory an instance takes, at most: all tests run under the same limit.

use std::time::Duration;

use serde_json::json;

use crate::support::assert_nothing_trapped;
use crate::support::cache::{Cache, Error, LookupResult, ProviderConnection};
use crate::support::connection::{connection, entry, id};
use crate::support::faults::{Fault, Proxy};
use crate::support::redis::Redis;
use crate::support::service::{LASTING, Service, path};
use crate::support::spin;

const MIB: usize = 1 << 20;
const KIB_64: usize = 64 << 10;

/// The connection as large as `PUT` takes it.
fn largest_entry(id: &str) -> String {
    let mut entry = entry(id);
    let text = entry["credentials"]["encrypted_data"].as_str().unwrap();
    let room = KIB_64 - entry.to_string().len();
    let text = format!("{text}{}", "x".repeat(room));
    entry["credentials"]["encrypted_data"] = json!(text);
    entry.to_string()
}

/// The connection as large as `set` takes it.
fn largest_connection(id: &str) -> ProviderConnection {
    let mut connection = connection(id);
    let credentials = connection.credentials.as_mut().unwrap();
    credentials.encrypted_data = "x".repeat(KIB_64);
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_body_and_the_largest_lookup_have_their_measure() {
    if spin::is_skipped("the memory of an instance") {
        return;
    }
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    let ids: Vec<_> = (0..1_000).map(id).collect();
    let put = service.put(&path(&ids[0]), largest_entry(&ids[0])).await;
    assert_eq!(put.status, 204);
    assert_eq!(service.read("GET", &path(&ids[0])).await.status, 200);
    assert!(service.peak_memory() < 4 * MIB, "{}", service.peak_memory());
    for id in &ids {
        redis.set(&service.key(id), largest_entry(id));
    }
    let found = service.look_up(json!({ "ids": ids }).to_string()).await;
    assert!(found.header("cache-status").ends_with("hit"));
    assert!(
        service.peak_memory() < 80 * MIB,
        "{}",
        service.peak_memory()
    );
}

/// A thousand connections, with ciphertexts of this size.
fn batch(ciphertext: usize) -> Vec<ProviderConnection> {
    let with_ciphertext = |number| {
        let mut connection = connection(&id(number));
        let credentials = connection.credentials.as_mut().unwrap();
        credentials.encrypted_data = "x".repeat(ciphertext);
        connection
    };
    (0..1_000).map(with_ciphertext).collect()
}

/// What `batch` may have at most: the entries are 16 MiB together.
const LARGEST_IN_A_BATCH: usize = 16_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_batches_have_their_measure() {
    let redis = Redis::start(&[]);
    let ids: Vec<_> = (0..1_000).map(id).collect();
    let mut writer = Cache::over(&redis).await;
    writer
        .set_many(&batch(LARGEST_IN_A_BATCH), None)
        .await
        .unwrap();
    assert!(writer.peak_memory() < 50 * MIB, "{}", writer.peak_memory());
    let mut reader = Cache::over(&redis).await;
    for id in &ids {
        redis.set(&reader.key(id), largest_entry(id));
    }
    let found = reader.get_many(&ids).await.unwrap();
    assert!(found.iter().all(Option::is_some));
    assert!(reader.peak_memory() < 80 * MIB, "{}", reader.peak_memory());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_connection_and_a_larger_batch_are_refused() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    let refused = |message: &str| Err(Error::InvalidArgument(message.to_owned()));
    let mut larger = largest_connection(&id(1));
    larger
        .credentials
        .as_mut()
        .unwrap()
        .encrypted_data
        .push('x');
    assert_eq!(
        cache.set(&larger, None).await,
        refused("encrypted_data must be at most 65,536 bytes")
    );
    let too_large = refused("connections must be at most 16 MiB together, as JSON");
    assert_eq!(cache.set_many(&batch(KIB_64), None).await, too_large);
    // JSON has six bytes for each of these.
    let mut escaped = batch(5_000);
    for connection in &mut escaped {
        let credentials = connection.credentials.as_mut().unwrap();
        credentials.encrypted_data = "\u{1}".repeat(5_000);
    }
    assert_eq!(cache.set_many(&escaped, None).await, too_large);
    assert_eq!(redis.get(&cache.key(&id(1))), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_does_not_grow_with_the_number_of_its_requests() {
    if spin::is_skipped("the memory of an instance") {
        return;
    }
    let edge = [("edge_cache_ttl_ms", "60000")];
    let service = Service::reusing(Redis::shared(), &edge, LASTING).await;
    let round = async |round: usize| {
        for number in 0..100 {
            let id = id(round * 100 + number);
            let repeated = format!("{{{}}}", "\"a\":0,".repeat(9_000));
            let statuses = [
                service.put(&path(&id), largest_entry(&id)).await.status,
                service.read("GET", &path(&id)).await.status,
                service.put(&path(&id), "[".repeat(KIB_64)).await.status,
                service.look_up(repeated).await.status,
                service.write("DELETE", &path(&id)).await.status,
            ];
            assert_eq!(statuses, [204, 200, 400, 400, 204]);
        }
    };
    round(0).await;
    let after_one = service.peak_memory();
    for number in 1..4 {
        round(number).await;
    }
    let instances = service.instances_created();
    assert!(
        instances <= Some(2),
        "{instances:?}: they do not live long enough"
    );
    assert!(service.peak_memory() <= after_one + MIB, "{after_one}");
    assert_nothing_trapped(&service.log());
}

/// Each of many that wait for one another has half of this. A busy machine does not reach it.
const PATIENT: (&str, &str) = ("redis_timeout_ms", "60000");

/// As many at a time as Spin has in an instance, under a limit that holds one.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_batches_at_the_same_time_wait_for_each_other() {
    let redis = Redis::start(&[]);
    let ids: Vec<_> = (0..1_000).map(id).collect();
    let mut cache = Cache::with(&redis, &[PATIENT]).await;
    for id in &ids {
        redis.set(&cache.key(id), largest_entry(id));
    }
    for found in cache.get_many_at_once(16, &ids).await {
        assert!(found.unwrap().iter().all(Option::is_some));
    }
    assert!(cache.peak_memory() < 80 * MIB, "{}", cache.peak_memory());
}

/// The same with writes among them, whose arguments are in memory before they can wait.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_writes_and_reads_at_the_same_time_wait_for_each_other() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[PATIENT]).await;
    let ids: Vec<_> = (1_000..2_000).map(id).collect();
    for id in &ids {
        redis.set(&cache.key(id), largest_entry(id));
    }
    let written = batch(LARGEST_IN_A_BATCH);
    for (set, found) in cache.set_and_get_many_at_once(8, &written, &ids).await {
        assert_eq!(set, Ok(()));
        assert!(found.unwrap().iter().all(Option::is_some));
    }
    assert!(cache.peak_memory() < 100 * MIB, "{}", cache.peak_memory());
}

/// The same over HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_lookups_at_the_same_time_wait_for_each_other() {
    let redis = Redis::start(&[]);
    let service = Service::reusing(&redis, &[PATIENT], LASTING).await;
    let ids: Vec<_> = (0..1_000).map(id).collect();
    for id in &ids {
        redis.set(&service.key(id), largest_entry(id));
    }
    let lookups = (0..16).map(|_| service.look_up(json!({ "ids": ids }).to_string()));
    for found in futures_util::future::join_all(lookups).await {
        assert_eq!(found.status, 200);
        let cache_status = found.header("cache-status");
        assert!(cache_status.ends_with("hit"), "{cache_status}");
    }
    assert_nothing_trapped(&service.log());
}

/// What waited for others in the instance says nothing of Redis.
#[tokio::test(flavor = "multi_thread")]
async fn batches_that_wait_for_each_other_do_not_open_the_circuit_breaker() {
    let redis = Redis::start(&[]);
    let proxy = Proxy::to(&redis).await;
    let address = proxy.address();
    let variables = [
        ("redis_address", address.as_str()),
        ("redis_timeout_ms", "8000"),
    ];
    let mut cache = Cache::with(&redis, &variables).await;
    assert!(matches!(cache.lookup(&id(1)).await, Ok(LookupResult::Miss)));
    proxy.set(Fault::Slow(Duration::from_millis(1_400)));
    let ids: Vec<_> = (0..1_000).map(id).collect();
    // One at a time, 1.4 s each: the last have no time left, and the next finds Redis there.
    for found in cache.get_many_at_once(8, &ids).await {
        assert!(found.unwrap().iter().all(Option::is_none));
    }
    let after = cache.lookup(&id(1)).await;
    assert!(matches!(after, Ok(LookupResult::Miss)), "{after:?}");
}

/// What somebody else put there may be of any size. The existing application has no limit, so
/// it is read as long as it can be an entry at all, and is a miss beyond that. One instance reads them
/// all: what it read before changes no answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_any_size_is_read_or_missed() {
    let redis = Redis::start(&[]);
    let service = Service::reusing(&redis, &[], LASTING).await;
    // The host hands in 128 MiB at most.
    let long = |mib: usize| {
        let mut entry = entry(&id(1));
        entry["credentials"]["encrypted_data"] = json!("x".repeat(mib * MIB));
        entry.to_string()
    };
    // What takes the most memory for its size.
    let arrays = |mib: usize| {
        format!(
            "[{}0]",
            format!("{}0{},", "[".repeat(100), "]".repeat(100)).repeat(mib * MIB / 202)
        )
    };
    // The host hands in 128 MiB at most.
    for (value, status, said) in [
        (long(1), 200, "hit"),
        (long(2), 404, "detail=corrupt"),
        (arrays(1), 404, "detail=corrupt"),
        (arrays(100), 404, "detail=corrupt"),
        (long(110), 404, "detail=corrupt"),
        (long(127), 404, "detail=corrupt"),
        (long(1), 200, "hit"),
    ] {
        let size = value.len();
        redis.set(&service.key(&id(1)), value);
        let found = service.read("GET", &path(&id(1))).await;
        assert_eq!(found.status, status, "{size} bytes");
        let batch = service.look_up(json!({ "ids": [id(1)] }).to_string()).await;
        for answer in [found, batch] {
            let cache_status = answer.header("cache-status");
            assert!(cache_status.ends_with(said), "{size} bytes: {cache_status}");
        }
    }
    assert_nothing_trapped(&service.log());
}

/// Larger than what the host hands in.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_the_host_refuses_is_missed() {
    let redis = Redis::start(&[]);
    let service = Service::over(&redis).await;
    redis.set(&service.key(&id(1)), "x".repeat(129 * MIB));
    let found = service.read("GET", &path(&id(1))).await;
    assert_eq!(found.status, 404);
    let cache_status = found.header("cache-status");
    assert!(
        cache_status.ends_with("detail=unavailable"),
        "{cache_status}"
    );
    assert_nothing_trapped(&service.log());
}
