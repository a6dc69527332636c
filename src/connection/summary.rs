//! The summary of a connection, as a status check needs it.

use serde::Serialize;

use super::entry;
use super::fields::{
    Alias, CredentialType, Fields, Id, InvalidField, ProviderConnection, Slug, Status,
};
use super::json::{Node, Object};
use super::timestamp::Timestamp;

/// Credentials expire soon if they expire within 5 minutes: in microseconds.
const EXPIRING_SOON_MICROS: i64 = 5 * 60 * 1_000_000;

/// A connection without its credentials. Flags that depend on the time hold for one moment.
/// `wit/types.wit` documents the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the WIT record documents them")]
pub struct Summary {
    pub id: Id,
    pub user_id: Id,
    pub provider_id: Id,
    pub provider_slug: Slug,
    pub alias: Option<Alias>,
    pub status: Status,
    pub is_connected: bool,
    pub needs_reauthentication: bool,
    pub credentials_expired: bool,
    pub credentials_expiring_soon: bool,
    pub can_sync: bool,
    pub credential_type: Option<CredentialType>,
    pub credentials_expire_at: Option<Timestamp>,
    pub connected_at: Option<Timestamp>,
    pub last_sync_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl ProviderConnection {
    /// Summarizes the connection as of `now`.
    pub fn summarize(self, now: Timestamp) -> Summary {
        let fields = self.into_fields();
        let credentials = fields.credentials.as_ref();
        let credentials = credentials.map(|known| (known.credential_type, known.expires_at));
        Summary::new(fields, credentials, now)
    }
}

impl Summary {
    /// Reads a summary, as of `now`, from the JSON that one of an earlier moment was written as.
    pub(crate) fn read(object: &Object<'_>, now: Timestamp) -> Result<Self, InvalidField> {
        let credentials = match object.get("credential_type") {
            Node::Null => None,
            _ => Some((
                CredentialType::parse(entry::text(object, "credential_type")?)?,
                entry::timestamp(object, "credentials_expire_at")?,
            )),
        };
        let fields = entry::fields(object, None, Id::parse)?;
        Ok(Self::new(fields, credentials, now))
    }

    /// Summarizes fields, with the type of the credentials and when they expire.
    fn new(
        fields: Fields,
        credentials: Option<(CredentialType, Option<Timestamp>)>,
        now: Timestamp,
    ) -> Self {
        let (credential_type, credentials_expire_at) = credentials.unzip();
        let credentials_expire_at = credentials_expire_at.flatten();
        let expires_by =
            |micros| credentials_expire_at.is_some_and(|expire_at| expire_at.micros() <= micros);
        let credentials_expired = expires_by(now.micros());
        let is_connected = fields.status == Status::Active && credential_type.is_some();
        Self {
            id: fields.id,
            user_id: fields.user_id,
            provider_id: fields.provider_id,
            provider_slug: fields.provider_slug,
            alias: fields.alias,
            status: fields.status,
            is_connected,
            needs_reauthentication: matches!(
                fields.status,
                Status::Expired | Status::Revoked | Status::Failed
            ),
            credentials_expired,
            credentials_expiring_soon: expires_by(now.micros() + EXPIRING_SOON_MICROS),
            can_sync: is_connected && !credentials_expired,
            credential_type,
            credentials_expire_at,
            connected_at: fields.connected_at,
            last_sync_at: fields.last_sync_at,
            created_at: fields.created_at,
            updated_at: fields.updated_at,
        }
    }
}
