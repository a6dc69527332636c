//! The summary of a connection, as a status check needs it.

use serde::Serialize;

use super::entry;
use super::fields::{Alias, CredentialType, Id, InvalidField, ProviderConnection, Slug, Status};
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
        let (credential_type, credentials_expire_at) = match &fields.credentials {
            Some(credentials) => (Some(credentials.credential_type), credentials.expires_at),
            None => (None, None),
        };
        let summary = Summary {
            id: fields.id,
            user_id: fields.user_id,
            provider_id: fields.provider_id,
            provider_slug: fields.provider_slug,
            alias: fields.alias,
            status: fields.status,
            is_connected: false,
            needs_reauthentication: false,
            credentials_expired: false,
            credentials_expiring_soon: false,
            can_sync: false,
            credential_type,
            credentials_expire_at,
            connected_at: fields.connected_at,
            last_sync_at: fields.last_sync_at,
            created_at: fields.created_at,
            updated_at: fields.updated_at,
        };
        summary.at(now)
    }
}

impl Summary {
    /// Reads a summary from the JSON that it was written as. Its flags are not read: [`Self::at`] sets
    /// them.
    pub(crate) fn read(object: &Object<'_>) -> Result<Self, InvalidField> {
        let id = |field| Id::parse(field, entry::text(object, field)?);
        let credential_type = match object.get("credential_type") {
            Node::Null => None,
            _ => Some(CredentialType::parse(entry::text(
                object,
                "credential_type",
            )?)?),
        };
        let alias = match object.get("alias") {
            Node::Null => None,
            _ => Alias::new(entry::text(object, "alias")?.to_owned())?,
        };
        Ok(Self {
            id: id("id")?,
            user_id: id("user_id")?,
            provider_id: id("provider_id")?,
            provider_slug: Slug::new(entry::text(object, "provider_slug")?.to_owned())?,
            alias,
            status: Status::parse(entry::text(object, "status")?)?,
            is_connected: false,
            needs_reauthentication: false,
            credentials_expired: false,
            credentials_expiring_soon: false,
            can_sync: false,
            credential_type,
            credentials_expire_at: entry::timestamp(object, "credentials_expire_at")?,
            connected_at: entry::timestamp(object, "connected_at")?,
            last_sync_at: entry::timestamp(object, "last_sync_at")?,
            created_at: entry::required_timestamp(object, "created_at")?,
            updated_at: entry::required_timestamp(object, "updated_at")?,
        })
    }

    /// Returns the same summary as of another moment, with its flags.
    pub(crate) fn at(self, now: Timestamp) -> Self {
        let expires_by = |micros: i64| {
            let expire_at = self.credentials_expire_at;
            expire_at.is_some_and(|expire_at| expire_at.micros() <= micros)
        };
        let credentials_expired = expires_by(now.micros());
        let is_connected = self.status == Status::Active && self.credential_type.is_some();
        Self {
            is_connected,
            needs_reauthentication: matches!(
                self.status,
                Status::Expired | Status::Revoked | Status::Failed
            ),
            credentials_expired,
            credentials_expiring_soon: expires_by(now.micros() + EXPIRING_SOON_MICROS),
            can_sync: is_connected && !credentials_expired,
            ..self
        }
    }
}
