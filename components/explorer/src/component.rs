//! The exports: requests in, calls to the cache, answers out.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;

use provider_connection_cache::config::Address;
use provider_connection_cache::connection::{
    Alias, CredentialType, Id, Slug, Status, Summary, Timestamp, json,
};
use provider_connection_cache::http::access::log_refused_token;
use provider_connection_cache::http::answer::Answer;
use provider_connection_cache::http::preconditions::Preconditions;
use provider_connection_cache::http::problem::{Kind, Problem};
use provider_connection_cache::http::readiness_json::ReadinessBody;
use provider_connection_cache::http::request::Request;
use provider_connection_cache::http::service::{self, finish};
use provider_connection_cache::http::stats_json;
use provider_connection_cache::log;
use provider_connection_cache::rt::once::once;
use provider_connection_cache::rt::trace;
use provider_connection_cache::stats::{Counts, Hour, HourStats};
use serde::Serialize;
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request as WasiRequest, Response};

use crate::api::ApiCall;
use crate::gate::{Gate, VARIABLE};
use crate::{Target, protected};

#[allow(
    missing_docs,
    unsafe_code,
    reason = "generated: the WIT package documents it"
)]
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit",
        inline: "package provider:connection-explorer;
                 world explorer { import provider:connection-cache/cache@0.1.0; }",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

#[allow(unsafe_code, reason = "generated")]
mod handler {
    use spin_sdk::wasip3;

    wasip3::http::service::export!(Explorer);
    use super::Explorer;
}

use bindings::provider::connection_cache::cache;
use bindings::provider::connection_cache::types as wit;

thread_local! {
    static GATE: OnceCell<Rc<Gate>> = const { OnceCell::new() };
}

/// The most ids that `inspect-many` takes. A page rarely has as many.
const MAX_BATCH: usize = 1_000;

/// Returns the gate of this instance, which the first call configures.
async fn gate() -> Rc<Gate> {
    once(&GATE, async {
        log::panics();
        let tokens = Gate::parse(&variable(VARIABLE).await);
        Gate::new(log::checked(tokens))
    })
    .await
}

async fn variable(name: &str) -> String {
    spin_sdk::variables::get(name).await.unwrap_or_default()
}

struct Explorer;

impl Guest for Explorer {
    async fn handle(request: WasiRequest) -> Result<Response, ErrorCode> {
        let request = Request::new(request);
        let result = trace::within(Some(request.caller()), pin!(respond(&request))).await;
        service::send(protected(finish(&request, result)), Box::new(request)).await
    }
}

async fn respond(request: &Request) -> Result<Answer, Problem> {
    let target = Target::parse(&*gate().await, request);
    let target = target.inspect_err(|problem| log_refused_token(problem, request))?;
    match target {
        Target::File(file) => Ok(file.answer(&Preconditions::of_read(request))),
        Target::Redirect => Ok(redirect()),
        Target::Api(ApiCall::Inspect(id)) => inspect(id).await,
        Target::Api(ApiCall::Delete(id)) => delete(id).await,
        Target::Api(ApiCall::List { cursor }) => list(cursor).await,
        Target::Api(ApiCall::Stats(hours)) => {
            let hours = cache::stats(hours.count()).await?;
            let hours: Vec<_> = hours.into_iter().map(hour).collect();
            Ok(shown(stats_json::body(&hours)))
        }
        Target::Api(ApiCall::Redis) => Ok(shown(json::encode(&redis().await))),
    }
}

fn redirect() -> Answer {
    Answer::new(308)
        .header("location", "/explorer/")
        .header("content-length", "0")
}

/// Answers with content of the cache, which no browser or proxy may keep.
fn shown(body: Vec<u8>) -> Answer {
    Answer::new(200)
        .body("application/json", body)
        .never_stored()
}

async fn inspect(id: Id) -> Result<Answer, Problem> {
    let inspection = cache::inspect(id.to_string()).await?;
    let inspected = Inspected::new(id, inspection)?;
    Ok(shown(json::encode(&inspected)))
}

#[derive(Serialize)]
struct Inspected {
    id: Id,
    found: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    entry: Option<InspectedEntry>,
}

impl Inspected {
    fn new(id: Id, inspection: wit::Inspection) -> Result<Self, Problem> {
        let (found, reason, entry) = match inspection {
            wit::Inspection::Hit(entry) => {
                let entry = InspectedEntry {
                    ttl_seconds: entry.ttl_seconds,
                    summary: summary(entry.summary)?,
                };
                ("hit", None, Some(entry))
            }
            wit::Inspection::Miss => ("miss", None, None),
            wit::Inspection::NotFound => ("not-found", None, None),
            wit::Inspection::Corrupt(reason) => ("corrupt", Some(reason), None),
            wit::Inspection::Unavailable(reason) => ("unavailable", Some(reason), None),
        };
        Ok(Self {
            id,
            found,
            reason,
            entry,
        })
    }
}

#[derive(Serialize)]
struct InspectedEntry {
    ttl_seconds: Option<u64>,
    summary: Summary,
}

async fn delete(id: Id) -> Result<Answer, Problem> {
    match cache::delete(id.to_string()).await? {
        true => Ok(Answer::new(204)),
        false => Err(Problem::new(Kind::NotCached, "it was not there to drop")),
    }
}

async fn list(cursor: Option<String>) -> Result<Answer, Problem> {
    #[derive(Serialize)]
    struct ListBody {
        connections: Vec<Inspected>,
        next: Option<String>,
    }
    let wit::IdPage { ids, next } = cache::list_ids(cursor).await?;
    let mut connections = Vec::with_capacity(ids.len());
    for ids in ids.chunks(MAX_BATCH) {
        let inspections = cache::inspect_many(ids.to_vec()).await?;
        for (id, inspection) in ids.iter().zip(inspections) {
            connections.push(Inspected::new(Id::parse("id", id)?, inspection)?);
        }
    }
    Ok(shown(json::encode(&ListBody { connections, next })))
}

/// The Redis of the cache inside, which reads the same variables. What has another form than an address
/// is not shown: there may be a password in it.
async fn redis() -> RedisBody {
    let wit::Readiness { lookups, writes } = cache::ready().await;
    let address = Address::parse(&variable("redis_address").await);
    let text = |error| match error {
        wit::Error::InvalidArgument(text) | wit::Error::Unavailable(text) => text,
    };
    RedisBody {
        address: address.map(|address| address.as_str().to_owned()),
        key_prefix: variable("key_prefix").await,
        readiness: ReadinessBody::new(lookups.map_err(text), writes.map_err(text)),
    }
}

#[derive(Serialize)]
struct RedisBody {
    address: Option<String>,
    key_prefix: String,
    #[serde(flatten)]
    readiness: ReadinessBody,
}

impl From<wit::Error> for Problem {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::InvalidArgument(detail) => Self::new(Kind::InvalidRequest, detail),
            wit::Error::Unavailable(detail) => Self::unavailable(detail),
        }
    }
}

/// Converts the counts of an hour, by the names of their fields in Redis.
fn hour(hour: wit::HourStats) -> HourStats {
    let mut fields = BTreeMap::from(
        [
            ("corrupt-entries", hour.corrupt_entries),
            ("timeouts", hour.timeouts),
            ("breaker-openings", hour.breaker_openings),
            ("edge-hits", hour.edge_hits),
            ("coalesced-lookups", hour.coalesced_lookups),
            ("reconnections", hour.reconnections),
            ("origin-requests", hour.origin_requests),
            ("origin-failures", hour.origin_failures),
        ]
        .map(|(name, count)| (name.to_owned(), count)),
    );
    for of in hour.operations {
        let name = of.operation;
        let mut keep = |field: &str, count| fields.insert(format!("{name}:{field}"), count);
        keep("hits", of.hits);
        keep("misses", of.misses);
        keep("errors", of.errors);
        keep("us", of.time / 1_000);
        for bucket in of.latency {
            match bucket.up_to {
                Some(bound) => keep(&format!("le:{}", bound / 1_000), bucket.calls),
                None => keep("le:inf", bucket.calls),
            };
        }
    }
    HourStats {
        hour: Hour::of(timestamp(hour.hour)),
        counts: Counts::from_fields(|name| fields.get(name).copied()),
    }
}

fn timestamp(timestamp: wit::Timestamp) -> Timestamp {
    Timestamp::from_parts(timestamp.seconds, timestamp.nanoseconds).unwrap_or(Timestamp::MIN)
}

fn summary(summary: wit::ProviderConnectionSummary) -> Result<Summary, Problem> {
    Ok(Summary {
        id: Id::parse("id", &summary.id)?,
        user_id: Id::parse("user_id", &summary.user_id)?,
        provider_id: Id::parse("provider_id", &summary.provider_id)?,
        provider_slug: Slug::new(summary.provider_slug)?,
        alias: summary.alias.map(Alias::new).transpose()?.flatten(),
        status: match summary.status {
            wit::ConnectionStatus::Pending => Status::Pending,
            wit::ConnectionStatus::Active => Status::Active,
            wit::ConnectionStatus::Expired => Status::Expired,
            wit::ConnectionStatus::Revoked => Status::Revoked,
            wit::ConnectionStatus::Failed => Status::Failed,
            wit::ConnectionStatus::Disconnected => Status::Disconnected,
        },
        is_connected: summary.is_connected,
        needs_reauthentication: summary.needs_reauthentication,
        credentials_expired: summary.credentials_expired,
        credentials_expiring_soon: summary.credentials_expiring_soon,
        can_sync: summary.can_sync,
        credential_type: summary.credential_type.map(|kind| match kind {
            wit::CredentialType::Oauth2 => CredentialType::Oauth2,
            wit::CredentialType::ApiKey => CredentialType::ApiKey,
            wit::CredentialType::LinkToken => CredentialType::LinkToken,
            wit::CredentialType::Certificate => CredentialType::Certificate,
            wit::CredentialType::FileImport => CredentialType::FileImport,
            wit::CredentialType::Custom => CredentialType::Custom,
        }),
        credentials_expire_at: summary.credentials_expire_at.map(timestamp),
        connected_at: summary.connected_at.map(timestamp),
        last_sync_at: summary.last_sync_at.map(timestamp),
        created_at: timestamp(summary.created_at),
        updated_at: timestamp(summary.updated_at),
    })
}
