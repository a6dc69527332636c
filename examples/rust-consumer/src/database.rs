//! Stands for the database: a few connections, and what there is to know of them.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Uuid, uuid};

use crate::bindings::provider::connection_cache::types::{
    ConnectionStatus, CredentialType, ProviderConnection, ProviderCredentials, Timestamp,
};

const ACTIVE: Uuid = uuid!("0192f3a4-5b6c-7d8e-9f02-000000000001");
const REVOKED: Uuid = uuid!("0192f3a4-5b6c-7d8e-9f02-000000000002");
const RUN_OUT: Uuid = uuid!("0192f3a4-5b6c-7d8e-9f02-000000000003");
const PENDING: Uuid = uuid!("0192f3a4-5b6c-7d8e-9f02-000000000004");

/// 2026-01-27T05:17:19Z, the day after, and 2099-01-27T05:17:19Z.
const CREATED: Timestamp = at(1_769_491_039);
const NEXT_DAY: Timestamp = at(1_769_577_439);
const FAR: Timestamp = at(4_073_174_239);

const fn at(seconds: i64) -> Timestamp {
    let nanoseconds = 0;
    Timestamp {
        seconds,
        nanoseconds,
    }
}

/// The connection with this id.
pub fn find(id: &str) -> Option<ProviderConnection> {
    let id = Uuid::try_parse(id).ok()?;
    let (status, expires_at) = match id {
        ACTIVE => (ConnectionStatus::Active, Some(FAR)),
        REVOKED => (ConnectionStatus::Revoked, None),
        RUN_OUT => (ConnectionStatus::Active, Some(NEXT_DAY)),
        PENDING => (ConnectionStatus::Pending, None),
        _ => return None,
    };
    let credentials = expires_at.map(|expires_at| ProviderCredentials {
        encrypted_data: "Z0FBQUFBQm5sLWNpcGhlcnRleHQ=".to_owned(),
        credential_type: CredentialType::Oauth2,
        expires_at: Some(expires_at),
    });
    Some(ProviderConnection {
        id: id.to_string(),
        user_id: "0192f3a4-5b6c-7d8e-9f02-0000000003e8".to_owned(),
        provider_id: "0192f3a4-5b6c-7d8e-9f02-0000000007d0".to_owned(),
        provider_slug: "schwab".to_owned(),
        status,
        alias: Some("My Schwab IRA".to_owned()),
        credentials,
        connected_at: Some(CREATED),
        last_sync_at: None,
        created_at: CREATED,
        updated_at: CREATED,
    })
}

/// As `can-sync` of a summary: it is active, and its credentials have not run out.
pub fn can_sync(connection: &ProviderConnection) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(i64::MAX, |now| now.as_secs().cast_signed());
    let is_valid = |credentials: &ProviderCredentials| {
        credentials.expires_at.is_none_or(|at| at.seconds > now)
    };
    matches!(connection.status, ConnectionStatus::Active)
        && connection.credentials.as_ref().is_some_and(is_valid)
}
