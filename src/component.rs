//! The WIT export `provider:connection-cache/cache`: arguments in, parsed; what the cache
//! found out, as WIT types.

use crate::cache::{Absence, Batch, Cursor, Entry, Forward, HourStats, Hours, Lookup, Outcome};
use crate::clock::now;
use crate::config::{MAX_TTL_SECONDS, Ttl};
use crate::connection::{
    Alias, CredentialType, Credentials, EncryptedData, Fields, Id, Invalid, ProviderConnection,
    Slug, Status, Summary,
};
use crate::deadline::nanoseconds;
use crate::instance::Instance;
use crate::redis::Failure;
use crate::stats::{BOUNDS, Event, Operation};
use crate::timestamp::Timestamp;

#[allow(
    missing_docs,
    unsafe_code,
    reason = "generated: the WIT package documents it"
)]
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "wit",
        world: "provider-connection-cache",
        runtime_path: "spin_sdk::wit_bindgen::rt",
    });
    export!(Component);
    use super::Component;
}

#[cfg(feature = "http")]
#[allow(unsafe_code, reason = "generated")]
mod handler {
    use spin_sdk::wasip3;

    wasip3::http::service::export!(Component);
    use super::Component;
}

use bindings::exports::provider::connection_cache::cache::Guest;
use bindings::provider::connection_cache::types as wit;

/// The largest ciphertext that is stored, in bytes: as much as fits into the body of a `PUT`,
/// so that the largest batch has an end. What is stored already is read whatever its size.
const MAX_ENCRYPTED_DATA: usize = 64 * 1024;

struct Component;

#[cfg(feature = "http")]
impl spin_sdk::wasip3::exports::http::handler::Guest for Component {
    async fn handle(
        request: spin_sdk::wasip3::http::types::Request,
    ) -> Result<spin_sdk::wasip3::http::types::Response, spin_sdk::wasip3::http::types::ErrorCode>
    {
        crate::http::service::handle(request).await
    }
}

impl Guest for Component {
    async fn get(id: String) -> Result<Option<wit::ProviderConnection>, wit::Error> {
        let id = Id::parse("id", &id)?;
        let found = Instance::get().await.cache.get(id).await;
        Ok(found.hit().map(Into::into))
    }

    async fn get_many(
        ids: Vec<String>,
    ) -> Result<Vec<Option<wit::ProviderConnection>>, wit::Error> {
        let ids = parse_ids(&ids)?;
        let found = Instance::get().await.cache.get_many(&ids).await;
        Ok(found
            .into_iter()
            .map(|found| found.hit().map(Into::into))
            .collect())
    }

    async fn get_summary(id: String) -> Result<Option<wit::ProviderConnectionSummary>, wit::Error> {
        let id = Id::parse("id", &id)?;
        let found = Instance::get().await.cache.summary(id).await;
        Ok(found.hit().map(|found| found.summary.into()))
    }

    async fn exists(id: String) -> Result<bool, wit::Error> {
        let id = Id::parse("id", &id)?;
        Ok(Instance::get().await.cache.exists(id).await)
    }

    async fn lookup(id: String) -> Result<wit::LookupResult, wit::Error> {
        let id = Id::parse("id", &id)?;
        let found = Instance::get().await.cache.lookup(id).await;
        Ok(match found {
            Lookup::Absent(absence) => absence.into(),
            Lookup::Forwarded(Forward {
                because,
                outcome: Outcome::Failed(_),
                ..
            }) => because.into(),
            found => match found.hit() {
                Some(entry) => wit::LookupResult::Hit(entry.into()),
                None => wit::LookupResult::Miss,
            },
        })
    }

    async fn lookup_sourced(id: String) -> Result<wit::SourcedLookupResult, wit::Error> {
        let id = Id::parse("id", &id)?;
        let found = Instance::get().await.cache.lookup(id).await;
        let hit = |entry: Entry, source| {
            let entry = entry.into();
            wit::SourcedLookupResult::Hit(wit::SourcedEntry { entry, source })
        };
        let forwarded = |outcome| match outcome {
            Outcome::Stored(entry) | Outcome::Passed(entry) => hit(entry, wit::Source::Origin),
            Outcome::Stale(entry, _) => hit(entry, wit::Source::Stale),
            Outcome::NotFound => wit::SourcedLookupResult::NotFound(wit::Source::Origin),
            Outcome::Failed(failure) => {
                wit::SourcedLookupResult::OriginFailed(format!("the origin: {failure}"))
            }
        };
        Ok(match found {
            Lookup::Hit(entry) => hit(entry, wit::Source::Cache),
            Lookup::NotFound => wit::SourcedLookupResult::NotFound(wit::Source::Cache),
            Lookup::Forwarded(forward) => forwarded(forward.outcome),
            Lookup::Absent(Absence::Miss) => wit::SourcedLookupResult::Miss,
            Lookup::Absent(Absence::Corrupt(corrupt)) => {
                wit::SourcedLookupResult::Corrupt(corrupt.to_string())
            }
            Lookup::Absent(Absence::Unavailable(failure)) => {
                wit::SourcedLookupResult::Unavailable(failure.to_string())
            }
        })
    }

    async fn inspect(id: String) -> Result<wit::Inspection, wit::Error> {
        let id = Id::parse("id", &id)?;
        let found = Instance::get().await.cache.inspect(id).await;
        Ok(match found {
            Lookup::Hit(entry) => wit::Inspection::Hit(wit::InspectedEntry {
                ttl_seconds: ttl_seconds(&entry),
                summary: entry.connection.summarize(now()).into(),
            }),
            Lookup::NotFound => wit::Inspection::NotFound,
            Lookup::Absent(Absence::Corrupt(corrupt)) => {
                wit::Inspection::Corrupt(corrupt.to_string())
            }
            Lookup::Absent(Absence::Unavailable(failure)) => {
                wit::Inspection::Unavailable(failure.to_string())
            }
            Lookup::Absent(Absence::Miss) | Lookup::Forwarded(_) => wit::Inspection::Miss,
        })
    }

    async fn list_ids(cursor: Option<String>) -> Result<wit::IdPage, wit::Error> {
        let parse = |cursor: String| {
            let rule = "cursor must be what the page before said";
            Cursor::parse(&cursor).ok_or(wit::Error::InvalidArgument(rule.to_owned()))
        };
        let cursor = cursor.map(parse).transpose()?.unwrap_or_default();
        let page = Instance::get().await.cache.list_ids(cursor).await?;
        Ok(wit::IdPage {
            ids: page.ids.iter().map(ToString::to_string).collect(),
            next: page.next.map(|next| next.to_string()),
        })
    }

    async fn stats(hours: u32) -> Result<Vec<wit::HourStats>, wit::Error> {
        let hours = Hours::new(hours).ok_or(Invalid {
            field: "hours",
            rule: "1 to 48",
        })?;
        let hours = Instance::get().await.cache.stats(hours).await?;
        Ok(hours.into_iter().map(Into::into).collect())
    }

    async fn set(
        connection: wit::ProviderConnection,
        ttl_seconds: Option<u32>,
    ) -> Result<(), wit::Error> {
        let connection = connection.try_into()?;
        let ttl = parse_ttl(ttl_seconds)?;
        Ok(Instance::get().await.cache.set(&connection, ttl).await?)
    }

    async fn set_many(
        connections: Vec<wit::ProviderConnection>,
        ttl_seconds: Option<u32>,
    ) -> Result<(), wit::Error> {
        let connections = connections
            .into_iter()
            .map(ProviderConnection::try_from)
            .collect::<Result<_, _>>()?;
        let connections = Batch::new("connections", connections)?;
        let ttl = parse_ttl(ttl_seconds)?;
        Ok(Instance::get()
            .await
            .cache
            .set_many(connections, ttl)
            .await?)
    }

    async fn delete(id: String) -> Result<bool, wit::Error> {
        let id = Id::parse("id", &id)?;
        Ok(Instance::get().await.cache.delete(id).await?)
    }

    async fn delete_many(ids: Vec<String>) -> Result<u32, wit::Error> {
        let ids = parse_ids(&ids)?;
        Ok(Instance::get().await.cache.delete_many(&ids).await?)
    }

    async fn ping() -> Result<wit::Duration, wit::Error> {
        let round_trip = Instance::get().await.cache.ping().await?;
        Ok(nanoseconds(round_trip))
    }
}

fn parse_ids(ids: &[String]) -> Result<Batch<Id>, Invalid> {
    let ids = ids
        .iter()
        .map(|id| Id::parse("ids", id))
        .collect::<Result<_, _>>()?;
    Batch::new("ids", ids)
}

fn parse_ttl(seconds: Option<u32>) -> Result<Option<Ttl>, wit::Error> {
    let parse = |seconds| {
        Ttl::from_seconds(seconds).ok_or_else(|| {
            wit::Error::InvalidArgument(format!("ttl_seconds must be 1 to {MAX_TTL_SECONDS}"))
        })
    };
    seconds.map(parse).transpose()
}

impl From<Invalid> for wit::Error {
    fn from(invalid: Invalid) -> Self {
        Self::InvalidArgument(invalid.to_string())
    }
}

impl From<Failure> for wit::Error {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(failure.to_string())
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

impl From<Timestamp> for wit::Timestamp {
    fn from(timestamp: Timestamp) -> Self {
        let (seconds, nanoseconds) = timestamp.parts();
        Self {
            seconds,
            nanoseconds,
        }
    }
}

fn timestamp(field: &'static str, timestamp: wit::Timestamp) -> Result<Timestamp, Invalid> {
    Timestamp::from_parts(timestamp.seconds, timestamp.nanoseconds).ok_or(Invalid {
        field,
        rule: "in the years 1 to 9999, with less than 1,000,000,000 nanoseconds",
    })
}

fn optional_timestamp(
    field: &'static str,
    value: Option<wit::Timestamp>,
) -> Result<Option<Timestamp>, Invalid> {
    value.map(|value| timestamp(field, value)).transpose()
}

impl TryFrom<wit::ProviderConnection> for ProviderConnection {
    type Error = Invalid;

    fn try_from(connection: wit::ProviderConnection) -> Result<Self, Invalid> {
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
    type Error = Invalid;

    fn try_from(credentials: wit::ProviderCredentials) -> Result<Self, Invalid> {
        if credentials.encrypted_data.len() > MAX_ENCRYPTED_DATA {
            return Err(Invalid {
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
            ttl_seconds: ttl_seconds(&entry),
            connection: entry.connection.into(),
        }
    }
}

fn ttl_seconds(entry: &Entry) -> Option<u64> {
    entry.remaining.map(|remaining| remaining.as_secs())
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
            operations: Operation::ALL.iter().map(operation).collect(),
            corrupt_entries: counts.happened(Event::CorruptEntry),
            timeouts: counts.happened(Event::Timeout),
            breaker_openings: counts.happened(Event::BreakerOpening),
            coalesced_lookups: counts.happened(Event::CoalescedLookup),
            reconnections: counts.happened(Event::Reconnection),
            origin_requests: counts.happened(Event::OriginRequest),
            origin_failures: counts.happened(Event::OriginFailure),
        }
    }
}

impl From<Absence> for wit::LookupResult {
    fn from(absence: Absence) -> Self {
        match absence {
            Absence::Miss => Self::Miss,
            Absence::Corrupt(corrupt) => Self::Corrupt(corrupt.to_string()),
            Absence::Unavailable(failure) => Self::Unavailable(failure.to_string()),
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
