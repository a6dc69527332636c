//! The functions of the WIT interface that read and write, on the lean component. The lean component
//! parses its arguments and speaks to Redis exactly as the Spin one does.

mod conditional;

use crate::support::cache::{
    Cache, ConnectionStatus, Error, LookupResult, ProviderConnection, Timestamp,
};
use crate::support::connection::{connection, entry, id};
use crate::support::redis::Redis;

fn invalid<T: std::fmt::Debug>(result: Result<T, Error>, names: &[&str]) {
    match result {
        Err(Error::InvalidArgument(text)) => {
            names
                .iter()
                .for_each(|name| assert!(text.contains(name), "{name} is not in {text:?}"));
        }
        other => panic!("{other:?} is not invalid-argument ({names:?})"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_returns_the_connection_or_none() {
    let mut cache = Cache::over(Redis::shared()).await;
    assert_eq!(cache.get(&id(1)).await.unwrap(), None);
    cache.set(&connection(&id(1)), None).await.unwrap();
    for spelling in [
        id(1),
        id(1).to_uppercase(),
        id(1).replace('-', ""),
        format!("{{{}}}", id(1)),
        format!("urn:uuid:{}", id(1)),
    ] {
        assert_eq!(
            cache.get(&spelling).await.unwrap(),
            Some(connection(&id(1))),
            "{spelling}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn get_many_returns_one_per_id_in_order_by_one_command() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    cache.set(&connection(&id(1)), None).await.unwrap();
    cache.set(&connection(&id(3)), None).await.unwrap();
    redis.forget_commands();
    let found = cache.get_many(&[id(3), id(2), id(1), id(3)]).await.unwrap();
    let wanted = [
        Some(connection(&id(3))),
        None,
        Some(connection(&id(1))),
        Some(connection(&id(3))),
    ];
    assert_eq!(found, wanted);
    assert_eq!(redis.commands_seen(), [("mget".to_owned(), 1)]);
    assert_eq!(cache.get_many(&[]).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_a_thousand_work_and_larger_ones_are_refused() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    let ids: Vec<_> = (0..1_000).map(id).collect();
    let connections: Vec<_> = ids.iter().map(|id| connection(id)).collect();
    redis.forget_commands();
    cache.set_many(&connections, Some(60)).await.unwrap();
    let found = cache.get_many(&ids).await.unwrap();
    assert!(found.into_iter().eq(connections.iter().cloned().map(Some)));
    assert_eq!(cache.delete_many(&ids).await.unwrap(), 1_000);
    let seen = redis.commands_seen();
    for command in ["eval", "mget", "del"] {
        assert!(
            seen.contains(&(command.to_owned(), 1)),
            "{command}: {seen:?}"
        );
    }
    let more_ids: Vec<_> = (0..1_001).map(id).collect();
    let more: Vec<_> = more_ids.iter().map(|id| connection(id)).collect();
    redis.forget_commands();
    invalid(cache.get_many(&more_ids).await, &["ids", "1,000"]);
    invalid(cache.delete_many(&more_ids).await, &["ids", "1,000"]);
    invalid(cache.set_many(&more, None).await, &["connections", "1,000"]);
    assert_eq!(redis.commands_seen(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_summary_tells_the_state_for_every_status() {
    let mut cache = Cache::over(Redis::shared()).await;
    assert_eq!(cache.get_summary(&id(1)).await.unwrap(), None);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    let at = |seconds| {
        Some(Timestamp {
            seconds,
            nanoseconds: 0,
        })
    };
    // Status, when the credentials run out; connected, reauthenticate, expired, soon, can sync.
    let cases = [
        (
            ConnectionStatus::Active,
            at(now + 3_600),
            [true, false, false, false, true],
        ),
        (
            ConnectionStatus::Active,
            at(now + 200),
            [true, false, false, true, true],
        ),
        (
            ConnectionStatus::Active,
            at(now - 10),
            [true, false, true, true, false],
        ),
        (
            ConnectionStatus::Active,
            None,
            [true, false, false, false, true],
        ),
        (
            ConnectionStatus::Pending,
            None,
            [false, false, false, false, false],
        ),
        (
            ConnectionStatus::Expired,
            at(now - 10),
            [false, true, true, true, false],
        ),
        (
            ConnectionStatus::Revoked,
            None,
            [false, true, false, false, false],
        ),
        (
            ConnectionStatus::Failed,
            None,
            [false, true, false, false, false],
        ),
        (
            ConnectionStatus::Disconnected,
            None,
            [false, false, false, false, false],
        ),
    ];
    for (status, expires_at, wanted) in cases {
        let mut connection = connection(&id(1));
        connection.status = status;
        connection.credentials.as_mut().unwrap().expires_at = expires_at;
        cache.set(&connection, None).await.unwrap();
        let summary = cache
            .get_summary(&id(1))
            .await
            .unwrap()
            .expect("it is there");
        let told = [
            summary.is_connected,
            summary.needs_reauthentication,
            summary.credentials_expired,
            summary.credentials_expiring_soon,
            summary.can_sync,
        ];
        assert_eq!(told, wanted, "{status:?} {expires_at:?}");
        assert_eq!(summary.credentials_expire_at, expires_at);
        assert_eq!(summary.alias, connection.alias);
        assert_eq!(summary.updated_at, connection.updated_at);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exists_says_what_get_would_find() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    assert!(!cache.exists(&id(1)).await.unwrap());
    cache.set(&connection(&id(1)), None).await.unwrap();
    assert!(cache.exists(&id(1)).await.unwrap());
    redis.set(&cache.key(&id(1)), "corrupt");
    assert!(!cache.exists(&id(1)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn lookup_tells_the_rest_of_the_lifetime_or_why_there_is_nothing() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    assert_eq!(cache.lookup(&id(1)).await.unwrap(), LookupResult::Miss);
    cache.set(&connection(&id(1)), Some(100)).await.unwrap();
    let LookupResult::Hit(found) = cache.lookup(&id(1)).await.unwrap() else {
        panic!("it is there");
    };
    assert_eq!(found.connection, connection(&id(1)));
    assert!(
        (90..=100).contains(&found.ttl_seconds.unwrap()),
        "{:?}",
        found.ttl_seconds
    );
    redis.set(&cache.key(&id(2)), entry(&id(2)).to_string());
    let found = cache.lookup(&id(2)).await.unwrap();
    assert!(matches!(found, LookupResult::Hit(entry) if entry.ttl_seconds.is_none()));
    redis.set(&cache.key(&id(3)), "{}");
    assert!(matches!(
        cache.lookup(&id(3)).await.unwrap(),
        LookupResult::Corrupt(_)
    ));
    redis.set_to_list(&cache.key(&id(4)));
    assert!(matches!(
        cache.lookup(&id(4)).await.unwrap(),
        LookupResult::Corrupt(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn set_stores_value_and_lifetime_in_one_command() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[("cache_provider_ttl", "77")]).await;
    redis.forget_commands();
    cache
        .set(&connection(&id(1)), Some(2_592_000))
        .await
        .unwrap();
    assert_eq!(redis.commands_seen(), [("set".to_owned(), 1)]);
    assert!(redis.ttl(&cache.key(&id(1))) > 2_591_900);
    cache.set(&connection(&id(1)), None).await.unwrap();
    assert!((70..=77).contains(&redis.ttl(&cache.key(&id(1)))));
    let mut default = Cache::over(&redis).await;
    default.set(&connection(&id(1)), None).await.unwrap();
    assert!((290..=300).contains(&redis.ttl(&default.key(&id(1)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn set_many_stores_all_in_one_script_and_the_last_of_two_wins() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    let mut later = connection(&id(1));
    later.alias = Some("later".to_owned());
    let all = [connection(&id(1)), connection(&id(2)), later.clone()];
    cache.set_many(&all, Some(50)).await.unwrap();
    assert_eq!(cache.get(&id(1)).await.unwrap(), Some(later));
    assert_eq!(cache.get(&id(2)).await.unwrap(), Some(connection(&id(2))));
    assert!((40..=50).contains(&redis.ttl(&cache.key(&id(2)))));
    cache.set_many(&[], None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn set_many_stores_nothing_where_one_is_refused() {
    // Out of memory, Redis refuses the script before it writes.
    let redis = Redis::start(&["--maxmemory", "100kb", "--maxmemory-policy", "noeviction"]);
    let mut cache = Cache::over(&redis).await;
    let mut invalid_one = connection(&id(2));
    invalid_one.provider_slug = String::new();
    invalid(
        cache
            .set_many(&[connection(&id(1)), invalid_one], None)
            .await,
        &["provider_slug"],
    );
    let all = [connection(&id(1)), connection(&id(2))];
    let refused = cache.set_many(&all, None).await;
    assert!(
        matches!(&refused, Err(Error::Unavailable(text)) if text.contains("OOM")),
        "{refused:?}"
    );
    assert_eq!(redis.keys_of_connections(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_says_whether_it_was_there() {
    let redis = Redis::shared();
    let mut cache = Cache::over(redis).await;
    assert!(!cache.delete(&id(1)).await.unwrap());
    cache.set(&connection(&id(1)), None).await.unwrap();
    assert!(cache.delete(&id(1)).await.unwrap());
    assert_eq!(cache.get(&id(1)).await.unwrap(), None);
    redis.set(&cache.key(&id(1)), "corrupt");
    assert!(cache.delete(&id(1)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_many_counts_those_that_were_there() {
    let mut cache = Cache::over(Redis::shared()).await;
    cache
        .set_many(&[connection(&id(1)), connection(&id(2))], None)
        .await
        .unwrap();
    assert_eq!(
        cache
            .delete_many(&[id(1), id(2), id(3), id(1)])
            .await
            .unwrap(),
        2
    );
    assert_eq!(cache.delete_many(&[]).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ping_measures_a_round_trip() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    redis.forget_commands();
    assert!(cache.ping().await.unwrap() > 0);
    assert_eq!(redis.commands_seen(), [("ping".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_argument_is_named_and_nothing_is_sent() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::over(&redis).await;
    cache.ping().await.unwrap();
    redis.forget_commands();
    for bad in [
        "",
        "x",
        "0192f3a4-5b6c-7d8e-9f00-00000000000",
        &format!("{}0", id(1)),
    ] {
        invalid(cache.get(bad).await, &["id", "UUID"]);
        invalid(cache.get_summary(bad).await, &["id", "UUID"]);
        invalid(cache.exists(bad).await, &["id", "UUID"]);
        invalid(cache.lookup(bad).await, &["id", "UUID"]);
        invalid(cache.delete(bad).await, &["id", "UUID"]);
        invalid(
            cache.get_many(&[id(1), bad.to_owned()]).await,
            &["ids", "UUID"],
        );
        invalid(
            cache.delete_many(&[id(1), bad.to_owned()]).await,
            &["ids", "UUID"],
        );
    }
    for ttl in [0, 2_592_001, u32::MAX] {
        invalid(
            cache.set(&connection(&id(1)), Some(ttl)).await,
            &["ttl_seconds", "2592000"],
        );
        invalid(
            cache.set_many(&[connection(&id(1))], Some(ttl)).await,
            &["ttl_seconds"],
        );
    }
    type Damage = fn(&mut ProviderConnection);
    let damages: [(Damage, &str, &str); 11] = [
        (|c| c.id = "x".to_owned(), "id", "UUID"),
        (|c| c.user_id = String::new(), "user_id", "UUID"),
        (|c| c.provider_id = "1".to_owned(), "provider_id", "UUID"),
        (
            |c| c.provider_slug = String::new(),
            "provider_slug",
            "1 to 50",
        ),
        (
            |c| c.provider_slug = "é".repeat(51),
            "provider_slug",
            "1 to 50",
        ),
        (|c| c.alias = Some("🏦".repeat(101)), "alias", "100"),
        (|c| c.credentials = None, "credentials", "active"),
        (
            |c| c.credentials.as_mut().unwrap().encrypted_data.clear(),
            "encrypted_data",
            "empty",
        ),
        (
            |c| c.created_at.nanoseconds = 1_000_000_000,
            "created_at",
            "nanoseconds",
        ),
        (
            |c| c.updated_at.seconds = 253_402_300_800,
            "updated_at",
            "9999",
        ),
        (|c| c.updated_at.seconds = i64::MIN, "updated_at", "years 1"),
    ];
    for (damage, field, limit) in damages {
        let mut damaged = connection(&id(1));
        damage(&mut damaged);
        invalid(cache.set(&damaged, None).await, &[field, limit]);
        invalid(cache.set_many(&[damaged], None).await, &[field, limit]);
    }
    assert_eq!(redis.commands_seen(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_entry_cannot_keep_is_cut_off() {
    let mut cache = Cache::over(Redis::shared()).await;
    let mut fine = connection(&id(1));
    fine.created_at = Timestamp {
        seconds: -1,
        nanoseconds: 999_999_999,
    };
    fine.alias = Some(String::new());
    cache.set(&fine, None).await.unwrap();
    let found = cache.get(&id(1)).await.unwrap().expect("it is there");
    assert_eq!(
        found.created_at,
        Timestamp {
            seconds: -1,
            nanoseconds: 999_999_000
        }
    );
    assert_eq!(found.alias, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_prefix_stands_before_the_key_with_a_colon() {
    let redis = Redis::start(&[]);
    let mut cache = Cache::with(&redis, &[("key_prefix", "dashtam")]).await;
    cache.set(&connection(&id(1)), None).await.unwrap();
    assert_eq!(
        redis.keys_of_connections(),
        [format!("dashtam:provider:conn:{}", id(1))]
    );
}
