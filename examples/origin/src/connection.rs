//! The entry, as the cache stores it: the order of the fields is that of the existing application.

use serde::{Deserialize, Serialize};

/// One provider connection.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) provider_id: String,
    pub(crate) provider_slug: String,
    pub(crate) status: String,
    pub(crate) alias: Option<String>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) connected_at: Option<String>,
    pub(crate) last_sync_at: Option<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// Encrypted by the application: here, and in the cache, they are opaque.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    pub(crate) encrypted_data: String,
    pub(crate) credential_type: String,
    pub(crate) expires_at: Option<String>,
}

/// As Python's `isoformat` writes an instant: whole seconds have no fraction.
pub(crate) fn timestamp(microseconds: i64) -> String {
    jiff::Timestamp::from_microsecond(microseconds)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .strftime(if microseconds % 1_000_000 == 0 {
            "%Y-%m-%dT%H:%M:%S+00:00"
        } else {
            "%Y-%m-%dT%H:%M:%S.%6f+00:00"
        })
        .to_string()
}
