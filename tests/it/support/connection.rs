//! Connections as JSON and as WIT values, and the way from one to the other.

use jiff::Timestamp as Instant;
use serde_json::{Value, json};

use super::cache::{
    ConnectionStatus, CredentialType, ProviderConnection, ProviderCredentials, Timestamp,
};
use super::secrets::CIPHERTEXT;

/// The WIT value that an entry must be read as. Not the component's own reading: `jiff`
/// reads the timestamps.
pub fn from_json(entry: &Value) -> ProviderConnection {
    ProviderConnection {
        id: canonical_id(&entry["id"]),
        user_id: canonical_id(&entry["user_id"]),
        provider_id: canonical_id(&entry["provider_id"]),
        provider_slug: text(&entry["provider_slug"]),
        status: status(&entry["status"]),
        alias: optional(&entry["alias"], text),
        credentials: optional(&entry["credentials"], |credentials| ProviderCredentials {
            encrypted_data: text(&credentials["encrypted_data"]),
            credential_type: credential_type(&credentials["credential_type"]),
            expires_at: optional(&credentials["expires_at"], timestamp),
        }),
        connected_at: optional(&entry["connected_at"], timestamp),
        last_sync_at: optional(&entry["last_sync_at"], timestamp),
        created_at: timestamp(&entry["created_at"]),
        updated_at: timestamp(&entry["updated_at"]),
    }
}

/// The entry with its timestamps replaced by instants, so that entries can be compared
/// field by field whatever offset and fraction the timestamps are written with.
pub fn with_instants(mut entry: Value) -> Value {
    let at = [
        "/connected_at",
        "/last_sync_at",
        "/created_at",
        "/updated_at",
        "/credentials/expires_at",
    ];
    for pointer in at {
        if let Some(value) = entry.pointer_mut(pointer)
            && !value.is_null()
        {
            *value = json!(instant(value).as_nanosecond().to_string());
        }
    }
    entry
}

/// The instant that a timestamp says, to Python's resolution.
pub fn instant(value: &Value) -> Instant {
    let text = value.as_str().expect("a timestamp is text");
    text.parse()
        .unwrap_or_else(|error| panic!("{text:?} is no timestamp: {error}"))
}

/// The WIT value of an instant.
pub fn timestamp(value: &Value) -> Timestamp {
    let nanoseconds = instant(value).as_nanosecond();
    let second = 1_000_000_000;
    Timestamp {
        seconds: nanoseconds.div_euclid(second).try_into().expect("in range"),
        nanoseconds: nanoseconds.rem_euclid(second).try_into().expect("in range"),
    }
}

fn optional<T>(value: &Value, convert: impl FnOnce(&Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| convert(value))
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

/// Ids are lower-case and hyphenated in the fixtures' results.
fn canonical_id(value: &Value) -> String {
    let id = text(value);
    assert!(
        id.len() == 36 && id == id.to_lowercase(),
        "{id:?} is not canonical"
    );
    id
}

pub fn status(value: &Value) -> ConnectionStatus {
    match text(value).as_str() {
        "pending" => ConnectionStatus::Pending,
        "active" => ConnectionStatus::Active,
        "expired" => ConnectionStatus::Expired,
        "revoked" => ConnectionStatus::Revoked,
        "failed" => ConnectionStatus::Failed,
        "disconnected" => ConnectionStatus::Disconnected,
        other => panic!("no status {other:?}"),
    }
}

pub fn credential_type(value: &Value) -> CredentialType {
    match text(value).as_str() {
        "oauth2" => CredentialType::Oauth2,
        "api_key" => CredentialType::ApiKey,
        "link_token" => CredentialType::LinkToken,
        "certificate" => CredentialType::Certificate,
        "file_import" => CredentialType::FileImport,
        "custom" => CredentialType::Custom,
        other => panic!("no credential type {other:?}"),
    }
}

/// The id of the connection number `number`.
pub fn id(number: usize) -> String {
    format!("0192f3a4-5b6c-7d8e-9f00-{number:012x}")
}

/// An active connection with every field, as JSON. Its credentials run out in 2100.
pub fn entry(id: &str) -> Value {
    json!({
        "id": id,
        "user_id": "0192f3a4-5b6c-7d8e-9f00-0000000003e8",
        "provider_id": "0192f3a4-5b6c-7d8e-9f00-0000000007d0",
        "provider_slug": "schwab",
        "status": "active",
        "alias": "My Schwab IRA",
        "credentials": {
            "encrypted_data": CIPHERTEXT,
            "credential_type": "oauth2",
            "expires_at": "2100-01-27T05:17:19.123456+00:00",
        },
        "connected_at": "2026-01-27T05:17:19.000001+00:00",
        "last_sync_at": "2026-01-27T05:17:19.500000+00:00",
        "created_at": "2026-01-27T05:17:19.999999+00:00",
        "updated_at": "2026-01-27T05:17:19+00:00",
    })
}

/// The same as a WIT value.
pub fn connection(id: &str) -> ProviderConnection {
    from_json(&entry(id))
}

/// The user of [`entry`], and another one.
pub const USER: &str = "0192f3a4-5b6c-7d8e-9f00-0000000003e8";
pub const OTHER_USER: &str = "0192f3a4-5b6c-7d8e-9f00-0000000003e9";
