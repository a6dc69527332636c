//! What holds for any connection and any bytes, through the component and a real Redis.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::support::assert_nothing_trapped;
use crate::support::cache::{
    Cache, ConnectionStatus, CredentialType, ProviderConnection, ProviderCredentials, Timestamp,
};
use crate::support::connection::{entry, id};
use crate::support::redis::Redis;

/// Runs `check` on the values of a strategy, one after the other, as an asynchronous test can.
async fn for_all<T: std::fmt::Debug>(values: impl Strategy<Value = T>, check: impl AsyncFn(T)) {
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..96 {
        let tree = values.new_tree(&mut runner).unwrap();
        check(tree.current()).await;
    }
}

fn uuid() -> impl Strategy<Value = String> {
    any::<[u8; 16]>().prop_map(|bytes| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let part = |range| &hex[range];
        [
            part(0..8),
            part(8..12),
            part(12..16),
            part(16..20),
            part(20..32),
        ]
        .join("-")
    })
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800i64..=253_402_300_799, 0u32..1_000_000).prop_map(|(seconds, micros)| {
        Timestamp {
            seconds,
            nanoseconds: micros * 1_000,
        }
    })
}

fn text(lengths: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), lengths).prop_map(String::from_iter)
}

fn connection() -> impl Strategy<Value = ProviderConnection> {
    let status = prop::sample::select(vec![
        ConnectionStatus::Pending,
        ConnectionStatus::Active,
        ConnectionStatus::Expired,
        ConnectionStatus::Revoked,
        ConnectionStatus::Failed,
        ConnectionStatus::Disconnected,
    ]);
    let credential_type = prop::sample::select(vec![
        CredentialType::Oauth2,
        CredentialType::ApiKey,
        CredentialType::LinkToken,
        CredentialType::Certificate,
        CredentialType::FileImport,
        CredentialType::Custom,
    ]);
    let credentials = (
        text(1..=300),
        credential_type,
        prop::option::of(timestamp()),
    );
    let times = (
        prop::option::of(timestamp()),
        prop::option::of(timestamp()),
        timestamp(),
        timestamp(),
    );
    let ids = (uuid(), uuid(), uuid());
    let alias = prop::option::of(text(1..=100));
    (
        ids,
        text(1..=50),
        status,
        alias,
        prop::option::of(credentials),
        times,
    )
        .prop_map(
            |(ids, provider_slug, status, alias, credentials, times)| ProviderConnection {
                id: ids.0,
                user_id: ids.1,
                provider_id: ids.2,
                provider_slug,
                status,
                alias,
                credentials: credentials.map(|(encrypted_data, credential_type, expires_at)| {
                    ProviderCredentials {
                        encrypted_data,
                        credential_type,
                        expires_at,
                    }
                }),
                connected_at: times.0,
                last_sync_at: times.1,
                created_at: times.2,
                updated_at: times.3,
            },
        )
        .prop_filter("active requires credentials", |connection| {
            connection.status != ConnectionStatus::Active || connection.credentials.is_some()
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn any_valid_connection_survives_set_and_get() {
    let cache = tokio::sync::Mutex::new(Cache::over(Redis::shared()).await);
    for_all(connection(), async |connection| {
        let mut cache = cache.lock().await;
        cache.set(&connection, None).await.unwrap();
        assert_eq!(cache.get(&connection.id).await.unwrap(), Some(connection));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_stored_bytes_are_refused_or_read() {
    let redis = Redis::shared();
    let cache = tokio::sync::Mutex::new(Cache::over(redis).await);
    let whole = entry(&id(1)).to_string().into_bytes();
    let damaged = (any::<prop::sample::Index>(), any::<u8>(), any::<bool>()).prop_map(
        move |(at, byte, cut)| {
            let mut bytes = whole.clone();
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] = byte;
            }
            bytes
        },
    );
    let bytes = prop_oneof![damaged, prop::collection::vec(any::<u8>(), 0..300)];
    for_all(bytes, async |bytes| {
        let mut cache = cache.lock().await;
        redis.set(&cache.key(&id(1)), bytes);
        // A trap would fail this.
        let _found = cache.get(&id(1)).await.unwrap();
    })
    .await;
    assert_nothing_trapped(&cache.lock().await.log());
}
