//! `set-if` and `delete-if`.

use super::invalid;
use crate::support::cache::{
    Cache, Error, LookupResult, Precondition, Removal, SourcedLookupResult,
};
use crate::support::connection::{connection, entry, id};
use crate::support::redis::Redis;
use crate::support::service::{Service, path};

/// The revision that `lookup` tells.
async fn revision(cache: &mut Cache) -> String {
    match cache.lookup(&id(1)).await.unwrap() {
        LookupResult::Hit(found) => found.revision,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn set_if_stores_if_the_precondition_holds() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    let key = cache.key(&id(1));
    let mut other = connection(&id(1));
    other.alias = Some("other".to_owned());
    let (none, any) = (Precondition::NoEntry, Precondition::AnyEntry);
    let wrong = Precondition::Revision("x".to_owned());
    for there in [None, Some("corrupt"), Some(r#"{"origin":"not-found"}"#)] {
        for (precondition, holds) in [(&any, false), (&wrong, false), (&none, true)] {
            let _: i64 = redis.command(&["DEL", &key]);
            if let Some(value) = there {
                redis.set(&key, value);
            }
            let stored = cache
                .set_if(&connection(&id(1)), Some(45), precondition)
                .await;
            assert_eq!(stored.unwrap(), holds, "{precondition:?} over {there:?}");
            match holds {
                true => assert!((35..=45).contains(&redis.ttl(&key))),
                false => assert_eq!(redis.get(&key).as_deref(), there),
            }
        }
    }
    let current = Precondition::Revision(revision(&mut cache).await);
    for (precondition, holds) in [(&none, false), (&wrong, false), (&current, true)] {
        assert_eq!(
            cache.set_if(&other, None, precondition).await.unwrap(),
            holds
        );
    }
    assert_eq!(cache.get(&id(1)).await.unwrap(), Some(other.clone()));
    assert!(!cache.set_if(&other, None, &current).await.unwrap());
    assert!(cache.set_if(&connection(&id(1)), None, &any).await.unwrap());
    assert_eq!(cache.get(&id(1)).await.unwrap(), Some(connection(&id(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_if_removes_if_the_precondition_holds() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    let key = cache.key(&id(1));
    let (none, any) = (Precondition::NoEntry, Precondition::AnyEntry);
    let wrong = Precondition::Revision("x".to_owned());
    for precondition in [&none, &any, &wrong] {
        let removal = cache.delete_if(&id(1), precondition).await.unwrap();
        assert_eq!(removal, Removal::Absent);
    }
    redis.set(&key, "corrupt");
    for (precondition, wanted) in [
        (&any, Removal::PreconditionFailed),
        (&none, Removal::Removed),
    ] {
        assert_eq!(cache.delete_if(&id(1), precondition).await.unwrap(), wanted);
    }
    redis.set(&key, entry(&id(1)).to_string());
    let current = Precondition::Revision(revision(&mut cache).await);
    for (precondition, wanted) in [
        (&none, Removal::PreconditionFailed),
        (&wrong, Removal::PreconditionFailed),
        (&current, Removal::Removed),
    ] {
        assert_eq!(cache.delete_if(&id(1), precondition).await.unwrap(), wanted);
    }
    assert_eq!(redis.get(&key), None);
}

/// What one interface tells, the other takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_revision_is_the_entity_tag_of_the_whole_connection() {
    let redis = Redis::shared();
    let service = Service::over(redis).await;
    let prefix = [("key_prefix", service.prefix())];
    let mut cache = Cache::with(redis, &prefix).await;
    service.hold(&id(1)).await;
    let full = format!("{}?view=full", path(&id(1)));
    let etag = service.write("GET", &full).await.header("etag").to_owned();
    let revision = revision(&mut cache).await;
    assert_eq!(etag, format!("\"{revision}\""));
    let SourcedLookupResult::Hit(found) = cache.lookup_sourced(&id(1)).await.unwrap() else {
        panic!("it is there");
    };
    assert_eq!(found.entry.revision, revision);
    let precondition = Precondition::Revision(etag);
    let with_quotes = cache.delete_if(&id(1), &precondition).await.unwrap();
    assert_eq!(with_quotes, Removal::PreconditionFailed);
    let precondition = Precondition::Revision(revision);
    let removal = cache.delete_if(&id(1), &precondition).await.unwrap();
    assert_eq!(removal, Removal::Removed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_or_not_confirmed_is_an_error() {
    let mut redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    let any = Precondition::AnyEntry;
    let mut damaged = connection(&id(1));
    damaged.provider_slug = String::new();
    invalid(cache.set_if(&damaged, None, &any).await, &["provider_slug"]);
    let set = cache.set_if(&connection(&id(1)), Some(0), &any).await;
    invalid(set, &["ttl_seconds"]);
    invalid(cache.delete_if("x", &any).await, &["id", "UUID"]);
    redis.stop();
    let set = cache.set_if(&connection(&id(1)), None, &any).await;
    assert!(matches!(set, Err(Error::Unavailable(_))), "{set:?}");
    let deleted = cache.delete_if(&id(1), &any).await;
    assert!(matches!(deleted, Err(Error::Unavailable(_))), "{deleted:?}");
}
