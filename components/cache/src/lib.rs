//! The export `provider:connection-cache/cache`: parses the arguments, asks the library, and converts
//! the result.

// The generated exports are those of a WebAssembly component.
#![cfg(target_family = "wasm")]

mod convert;

use std::cell::OnceCell;
use std::rc::Rc;

use provider_connection_cache::cache::{
    Absence, Batch, Cursor, EncodedBatch, Entry, Forward, Lookup, Outcome, Readiness,
};
use provider_connection_cache::config::{MAX_TTL_SECONDS, Ttl};
use provider_connection_cache::connection::{Id, InvalidField, ProviderConnection};
use provider_connection_cache::instance::Instance;
use provider_connection_cache::origin::Upstream;
use provider_connection_cache::rt::backpressure::Backpressure;
use provider_connection_cache::rt::deadline::nanoseconds;
use provider_connection_cache::rt::once::once;
use provider_connection_cache::stats::Hours;

#[allow(
    missing_docs,
    unsafe_code,
    reason = "generated: the WIT package documents it"
)]
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit",
        world: "provider-connection-cache",
        runtime_path: "spin_sdk::wit_bindgen::rt",
    });
    export!(CacheExport);
    use super::CacheExport;
}

use bindings::exports::provider::connection_cache::cache::Guest;
use bindings::provider::connection_cache::types as wit;

/// While more bytes than these are being written, no other call begins: the arguments of a few such
/// batches at a time would be all the memory of an instance.
const LARGE_BATCH: usize = 1 << 20;

thread_local! {
    static INSTANCE: OnceCell<Rc<Instance>> = const { OnceCell::new() };
}

/// Returns this instance, which the first call configures.
pub async fn instance() -> Rc<Instance> {
    once(&INSTANCE, Instance::configured(&Upstream::HTTP)).await
}

struct CacheExport;

impl Guest for CacheExport {
    async fn get(id: String) -> Result<Option<wit::ProviderConnection>, wit::Error> {
        let id = Id::parse("id", &id)?;
        let found = instance().await.cache.get(id).await;
        Ok(found.hit().map(Into::into))
    }

    async fn get_many(
        ids: Vec<String>,
    ) -> Result<Vec<Option<wit::ProviderConnection>>, wit::Error> {
        let ids = parse_ids(&ids)?;
        let found = instance().await.cache.get_many(&ids).await;
        Ok(found
            .into_iter()
            .map(|found| found.hit().map(Into::into))
            .collect())
    }

    async fn get_summary(id: String) -> Result<Option<wit::ProviderConnectionSummary>, wit::Error> {
        let id = Id::parse("id", &id)?;
        let found = instance().await.cache.summary(id).await;
        Ok(found.hit().map(|found| found.summary.into()))
    }

    async fn exists(id: String) -> Result<bool, wit::Error> {
        let id = Id::parse("id", &id)?;
        Ok(instance().await.cache.exists(id).await)
    }

    async fn lookup(id: String) -> Result<wit::LookupResult, wit::Error> {
        let id = Id::parse("id", &id)?;
        let found = instance().await.cache.lookup(id).await;
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
        let found = instance().await.cache.lookup(id).await;
        let hit = |entry: Entry, source| {
            let entry = entry.into();
            wit::SourcedLookupResult::Hit(wit::SourcedEntry { entry, source })
        };
        let forwarded = |outcome| match outcome {
            Outcome::Stored(entry) | Outcome::Passed(entry) => hit(entry, wit::Source::Origin),
            Outcome::Stale(entry, _) => hit(entry, wit::Source::Stale),
            Outcome::NotFound => wit::SourcedLookupResult::NotFound(wit::Source::Origin),
            Outcome::Failed(error) => {
                wit::SourcedLookupResult::OriginFailed(format!("the origin: {error}"))
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
            Lookup::Absent(Absence::Unavailable(error)) => {
                wit::SourcedLookupResult::Unavailable(error.to_string())
            }
        })
    }

    async fn inspect(id: String) -> Result<wit::Inspection, wit::Error> {
        let id = Id::parse("id", &id)?;
        Ok(instance().await.cache.inspect(id).await.into())
    }

    async fn inspect_many(ids: Vec<String>) -> Result<Vec<wit::Inspection>, wit::Error> {
        let ids = parse_ids(&ids)?;
        let found = instance().await.cache.inspect_many(&ids).await?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    async fn ready() -> wit::Readiness {
        let Readiness { lookups, writes } = instance().await.cache.inspect_readiness().await;
        wit::Readiness {
            lookups: lookups.map_err(Into::into),
            writes: writes.map_err(Into::into),
        }
    }

    async fn list_ids(cursor: Option<String>) -> Result<wit::IdPage, wit::Error> {
        let parse = |cursor: String| {
            let rule = "cursor must be what the page before said";
            Cursor::parse(&cursor).ok_or(wit::Error::InvalidArgument(rule.to_owned()))
        };
        let cursor = cursor.map(parse).transpose()?.unwrap_or_default();
        let page = instance().await.cache.list_ids(cursor).await?;
        Ok(wit::IdPage {
            ids: page.ids.iter().map(ToString::to_string).collect(),
            next: page.next.map(|next| next.to_string()),
        })
    }

    async fn stats(hours: u32) -> Result<Vec<wit::HourStats>, wit::Error> {
        let hours = Hours::new(hours).ok_or(InvalidField {
            field: "hours",
            rule: "1 to 48",
        })?;
        let hours = instance().await.cache.stats(hours).await?;
        Ok(hours.into_iter().map(Into::into).collect())
    }

    async fn set(
        connection: wit::ProviderConnection,
        ttl_seconds: Option<u32>,
    ) -> Result<(), wit::Error> {
        let connection = connection.try_into()?;
        let ttl = parse_ttl(ttl_seconds)?;
        Ok(instance().await.cache.set(&connection, ttl).await?)
    }

    async fn set_if(
        connection: wit::ProviderConnection,
        ttl_seconds: Option<u32>,
        precondition: wit::Precondition,
    ) -> Result<bool, wit::Error> {
        let connection = connection.try_into()?;
        let ttl = parse_ttl(ttl_seconds)?;
        let condition = convert::condition(precondition);
        let cache = &instance().await.cache;
        Ok(cache.set_if(&connection, ttl, &condition).await?)
    }

    async fn set_many(
        connections: Vec<wit::ProviderConnection>,
        ttl_seconds: Option<u32>,
    ) -> Result<(), wit::Error> {
        let connections = connections
            .into_iter()
            .map(ProviderConnection::try_from)
            .collect::<Result<_, _>>()?;
        let connections = EncodedBatch::new(connections)?;
        let ttl = parse_ttl(ttl_seconds)?;
        let _alone = (connections.bytes() > LARGE_BATCH).then(Backpressure::new);
        Ok(instance().await.cache.set_many(connections, ttl).await?)
    }

    async fn delete(id: String) -> Result<bool, wit::Error> {
        let id = Id::parse("id", &id)?;
        Ok(instance().await.cache.delete(id).await?)
    }

    async fn delete_if(
        id: String,
        precondition: wit::Precondition,
    ) -> Result<wit::Removal, wit::Error> {
        let id = Id::parse("id", &id)?;
        let condition = convert::condition(precondition);
        let removal = instance().await.cache.delete_if(id, &condition).await?;
        Ok(removal.into())
    }

    async fn delete_many(ids: Vec<String>) -> Result<u32, wit::Error> {
        let ids = parse_ids(&ids)?;
        Ok(instance().await.cache.delete_many(&ids).await?)
    }

    async fn ping() -> Result<wit::Duration, wit::Error> {
        let round_trip = instance().await.cache.ping().await?;
        Ok(nanoseconds(round_trip))
    }
}

fn parse_ids(ids: &[String]) -> Result<Batch<Id>, InvalidField> {
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
