//! Conversions between WIT types and those of the library.

use std::time::Duration;

use provider_connection_cache::cache::{Absence, Entry, InspectedEntry, Lookup, Removal};
use provider_connection_cache::connection::{
    Alias, CredentialType, Credentials, EncryptedData, Fields, Id, InvalidField,
    ProviderConnection, Revision, Slug, Status, Summary, Timestamp,
};
use provider_connection_cache::redis::Error;
use provider_connection_cache::stats::{BOUNDS, Counter, HourStats, Operation};
use strum::VariantArray as _;

use crate::wit;

/// The largest ciphertext that is stored, in bytes: as much as fits into the body of a `PUT`. So the
/// largest batch is bounded. A larger ciphertext that is stored already can be read.
const MAX_ENCRYPTED_DATA: usize = 64 * 1024;

impl From<InvalidField> for wit::Error {
    fn from(invalid: InvalidField) -> Self {
        Self::InvalidArgument(invalid.to_string())
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Converts both ways between two enums with the same variants.
macro_rules! same_variants {
    ($ours:ident, $theirs:path, { $($variant:ident,)+ }) => {
        impl From<$ours> for $theirs {
            fn from(ours: $ours) -> Self {
                match ours { $($ours::$variant => Self::$variant,)+ }
            }
        }

        impl From<$theirs> for $ours {
            fn from(theirs: $theirs) -> Self {
                match theirs { $(<$theirs>::$variant => Self::$variant,)+ }
            }
        }
    };
}

same_variants!(Status, wit::ConnectionStatus, {
    Pending, Active, Expired, Revoked, Failed, Disconnected,
});

same_variants!(CredentialType, wit::CredentialType, {
    Oauth2, ApiKey, LinkToken, Certificate, FileImport, Custom,
});

same_variants!(Removal, wit::Removal, {
    Removed, Absent, PreconditionFailed,
});

/// Returns the condition that a precondition is.
pub(crate) fn condition(precondition: wit::Precondition) -> impl Fn(Option<Revision>) -> bool {
    move |current| match &precondition {
        wit::Precondition::NoEntry => current.is_none(),
        wit::Precondition::AnyEntry => current.is_some(),
        wit::Precondition::Revision(wanted) => {
            current.is_some_and(|current| current.to_string() == *wanted)
        }
    }
}

impl From<Timestamp> for wit::Timestamp {
    fn from(timestamp: Timestamp) -> Self {
        let (seconds, nanoseconds) = timestamp.parts();
        Self {
            seconds,
            nanoseconds,
        }
    }
}

fn timestamp(field: &'static str, timestamp: wit::Timestamp) -> Result<Timestamp, InvalidField> {
    Timestamp::from_parts(timestamp.seconds, timestamp.nanoseconds).ok_or(InvalidField {
        field,
        rule: "in the years 1 to 9999, with less than 1,000,000,000 nanoseconds",
    })
}

fn optional_timestamp(
    field: &'static str,
    value: Option<wit::Timestamp>,
) -> Result<Option<Timestamp>, InvalidField> {
    value.map(|value| timestamp(field, value)).transpose()
}

impl TryFrom<wit::ProviderConnection> for ProviderConnection {
    type Error = InvalidField;

    fn try_from(connection: wit::ProviderConnection) -> Result<Self, InvalidField> {
        Self::new(Fields {
            id: Id::parse("id", &connection.id)?,
            user_id: Id::parse("user_id", &connection.user_id)?,
            provider_id: Id::parse("provider_id", &connection.provider_id)?,
            provider_slug: Slug::new(connection.provider_slug)?,
            status: connection.status.into(),
            alias: match connection.alias {
                Some(alias) => Alias::new(alias)?,
                None => None,
            },
            credentials: connection.credentials.map(TryInto::try_into).transpose()?,
            connected_at: optional_timestamp("connected_at", connection.connected_at)?,
            last_sync_at: optional_timestamp("last_sync_at", connection.last_sync_at)?,
            created_at: timestamp("created_at", connection.created_at)?,
            updated_at: timestamp("updated_at", connection.updated_at)?,
        })
    }
}

impl TryFrom<wit::ProviderCredentials> for Credentials {
    type Error = InvalidField;

    fn try_from(credentials: wit::ProviderCredentials) -> Result<Self, InvalidField> {
        if credentials.encrypted_data.len() > MAX_ENCRYPTED_DATA {
            return Err(InvalidField {
                field: "encrypted_data",
                rule: "at most 65,536 bytes",
            });
        }
        Ok(Self {
            encrypted_data: EncryptedData::new(credentials.encrypted_data)?,
            credential_type: credentials.credential_type.into(),
            expires_at: optional_timestamp("expires_at", credentials.expires_at)?,
        })
    }
}

impl From<ProviderConnection> for wit::ProviderConnection {
    fn from(connection: ProviderConnection) -> Self {
        let fields = connection.into_fields();
        Self {
            id: fields.id.to_string(),
            user_id: fields.user_id.to_string(),
            provider_id: fields.provider_id.to_string(),
            provider_slug: fields.provider_slug.into_inner(),
            status: fields.status.into(),
            alias: fields.alias.map(Alias::into_inner),
            credentials: fields
                .credentials
                .map(|credentials| wit::ProviderCredentials {
                    encrypted_data: credentials.encrypted_data.into_inner(),
                    credential_type: credentials.credential_type.into(),
                    expires_at: credentials.expires_at.map(Into::into),
                }),
            connected_at: fields.connected_at.map(Into::into),
            last_sync_at: fields.last_sync_at.map(Into::into),
            created_at: fields.created_at.into(),
            updated_at: fields.updated_at.into(),
        }
    }
}

impl From<Entry> for wit::Entry {
    fn from(entry: Entry) -> Self {
        Self {
            ttl_seconds: entry.remaining.as_ref().map(Duration::as_secs),
            revision: Revision::of(&entry.connection).to_string(),
            connection: entry.connection.into(),
        }
    }
}

impl From<Lookup<InspectedEntry>> for wit::Inspection {
    fn from(found: Lookup<InspectedEntry>) -> Self {
        match found {
            Lookup::Hit(entry) => Self::Hit(wit::InspectedEntry {
                ttl_seconds: entry.remaining.as_ref().map(Duration::as_secs),
                summary: entry.summary.into(),
            }),
            Lookup::NotFound => Self::NotFound,
            Lookup::Absent(Absence::Corrupt(corrupt)) => Self::Corrupt(corrupt.to_string()),
            Lookup::Absent(Absence::Unavailable(error)) => Self::Unavailable(error.to_string()),
            Lookup::Absent(Absence::Miss) | Lookup::Forwarded(_) => Self::Miss,
        }
    }
}

impl From<HourStats> for wit::HourStats {
    fn from(hour: HourStats) -> Self {
        let counts = hour.counts;
        let operation = |operation: &Operation| {
            let of = counts.of(*operation);
            let bounds = BOUNDS.iter().map(|bound| Some(bound * 1_000));
            let buckets = bounds.chain([None]).zip(of.latency.calls);
            wit::OperationStats {
                operation: operation.name().to_owned(),
                hits: of.tally.hits,
                misses: of.tally.misses,
                errors: of.tally.errors,
                latency: buckets
                    .map(|(up_to, calls)| wit::LatencyBucket { up_to, calls })
                    .collect(),
                time: of.latency.microseconds.saturating_mul(1_000),
            }
        };
        Self {
            hour: hour.hour.begins().into(),
            operations: Operation::VARIANTS.iter().map(operation).collect(),
            corrupt_entries: counts.counter(Counter::CorruptEntries),
            timeouts: counts.counter(Counter::Timeouts),
            breaker_openings: counts.counter(Counter::BreakerOpenings),
            edge_hits: counts.counter(Counter::EdgeHits),
            coalesced_lookups: counts.counter(Counter::CoalescedLookups),
            reconnections: counts.counter(Counter::Reconnections),
            origin_requests: counts.counter(Counter::OriginRequests),
            origin_failures: counts.counter(Counter::OriginFailures),
        }
    }
}

impl From<Absence> for wit::LookupResult {
    fn from(absence: Absence) -> Self {
        match absence {
            Absence::Miss => Self::Miss,
            Absence::Corrupt(corrupt) => Self::Corrupt(corrupt.to_string()),
            Absence::Unavailable(error) => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<Summary> for wit::ProviderConnectionSummary {
    fn from(summary: Summary) -> Self {
        Self {
            id: summary.id.to_string(),
            user_id: summary.user_id.to_string(),
            provider_id: summary.provider_id.to_string(),
            provider_slug: summary.provider_slug.into_inner(),
            alias: summary.alias.map(Alias::into_inner),
            status: summary.status.into(),
            is_connected: summary.is_connected,
            needs_reauthentication: summary.needs_reauthentication,
            credentials_expired: summary.credentials_expired,
            credentials_expiring_soon: summary.credentials_expiring_soon,
            can_sync: summary.can_sync,
            credential_type: summary.credential_type.map(Into::into),
            credentials_expire_at: summary.credentials_expire_at.map(Into::into),
            connected_at: summary.connected_at.map(Into::into),
            last_sync_at: summary.last_sync_at.map(Into::into),
            created_at: summary.created_at.into(),
            updated_at: summary.updated_at.into(),
        }
    }
}
