//! Entries are those of the existing application, both ways.

mod reading;

use serde_json::{Value, json};

use crate::support::assert_nothing_trapped;
use crate::support::cache::{Cache, LookupResult};
use crate::support::connection::{entry, from_json, id, with_instants};
use crate::support::fixtures::{DECODING_ID, reference_decoding, reference_entries};
use crate::support::redis::Redis;
use crate::support::secrets::CIPHERTEXT;
use crate::support::service::{Service, path};

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reference_entry_is_read_by_get() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    for entry in reference_entries() {
        redis.set(&cache.key(entry.id()), &entry.value);
        let found = cache.get(entry.id()).await.unwrap();
        assert_eq!(found, Some(from_json(&entry.json())), "{}", entry.name);
    }
    assert_eq!(cache.log(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reference_entry_is_stored_as_the_existing_application_stores_it() {
    let redis = Redis::start(&[]);
    // Without a prefix the keys are the fixtures' own.
    let mut cache = Cache::with(&redis, &[("key_prefix", "")]).await;
    for entry in reference_entries() {
        let connection = from_json(&entry.json());
        cache
            .set(&connection, Some(entry.ttl_seconds))
            .await
            .unwrap();
        let stored = parsed(&redis.get(&entry.key).expect("it is under its key"));
        assert_eq!(
            with_instants(stored),
            with_instants(entry.json()),
            "{}",
            entry.name
        );
        let ttl = redis.ttl(&entry.key);
        let wanted = i64::from(entry.ttl_seconds);
        assert!(
            (wanted - 5..=wanted).contains(&ttl),
            "{}: {ttl}",
            entry.name
        );
    }
    assert_eq!(redis.keys_of_connections().len(), reference_entries().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reference_entry_goes_through_http_unharmed() {
    let redis = Redis::shared();
    let service = Service::over(redis).await;
    for entry in reference_entries() {
        let answer = service.put(&path(entry.id()), &entry.value).await;
        assert_eq!(answer.status, 204, "{}: {}", entry.name, answer.text());
        let stored = parsed(&redis.get(&service.key(entry.id())).expect("it is stored"));
        assert_eq!(
            with_instants(stored),
            with_instants(entry.json()),
            "{}",
            entry.name
        );
        let full = service
            .write("GET", &format!("{}?view=full", path(entry.id())))
            .await;
        assert_eq!(
            with_instants(full.json()),
            with_instants(entry.json()),
            "{}",
            entry.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stored_value_is_read_or_refused_as_the_existing_application_does() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    for case in reference_decoding() {
        redis.set(&cache.key(DECODING_ID), &case.value);
        let found = cache.get(DECODING_ID).await.unwrap();
        assert_eq!(found, case.read_as.as_ref().map(from_json), "{}", case.name);
        let looked_up = cache.lookup(DECODING_ID).await.unwrap();
        let as_wanted = match &looked_up {
            LookupResult::Hit(entry) => Some(&entry.connection) == found.as_ref(),
            LookupResult::Corrupt(_) => case.read_as.is_none(),
            LookupResult::Miss | LookupResult::Unavailable(_) => false,
        };
        assert!(as_wanted, "{}: {looked_up:?}", case.name);
    }
    assert_nothing_trapped(&cache.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_entry_is_logged_with_its_id_and_the_reason_but_not_its_content() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    let mut damaged = entry(&id(7));
    damaged["provider_slug"] = json!("not-to-be-shown".repeat(9));
    redis.set(&cache.key(&id(7)), damaged.to_string());
    assert_eq!(cache.get(&id(7)).await.unwrap(), None);
    let log = cache.log();
    for wanted in [id(7).as_str(), "provider_slug", "1 to 50 characters"] {
        assert!(log.contains(wanted), "{wanted} is not in: {log}");
    }
    for secret in ["not-to-be-shown", CIPHERTEXT, "schwab"] {
        assert!(!log.contains(secret), "{secret} is in: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_under_another_id_is_corrupt() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    redis.set(&cache.key(&id(1)), entry(&id(2)).to_string());
    assert_eq!(cache.get(&id(1)).await.unwrap(), None);
    let found = cache.lookup(&id(1)).await.unwrap();
    assert!(
        matches!(&found, LookupResult::Corrupt(reason) if reason.contains("id")),
        "{found:?}"
    );
}
