//! The component: requests in, the cache asked, answers out.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use provider_connection_cache::cache::{Hour, HourStats};
use provider_connection_cache::connection::{Alias, CredentialType, Id, Slug, Status, Summary};
use provider_connection_cache::http::answer::Answer;
use provider_connection_cache::http::command::Head;
use provider_connection_cache::http::problem::{Kind, Problem};
use provider_connection_cache::http::service::{self, Request};
use provider_connection_cache::http::{finish, log_refused_token, stats};
use provider_connection_cache::stats::Counts;
use provider_connection_cache::timestamp::Timestamp;
use provider_connection_cache::{json, log, trace};
use serde::Serialize;
use spin_sdk::wasip3;

use crate::access::{self, Access, VARIABLE};
use crate::{Command, api, protected};

#[allow(
    missing_docs,
    unsafe_code,
    reason = "generated: the WIT package documents it"
)]
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "../wit",
        inline: "package provider:connection-explorer;
                 world explorer { import provider:connection-cache/cache@0.1.0; }",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

#[allow(unsafe_code, reason = "generated")]
mod handler {
    use super::wasip3;

    wasip3::http::service::export!(Explorer);
    use super::Explorer;
}

use bindings::provider::connection_cache::cache;
use bindings::provider::connection_cache::types as wit;

thread_local! {
    static ACCESS: OnceCell<Rc<Access>> = const { OnceCell::new() };
}

struct Explorer;

impl wasip3::exports::http::handler::Guest for Explorer {
    async fn handle(
        request: wasip3::http::types::Request,
    ) -> Result<wasip3::http::types::Response, wasip3::http::types::ErrorCode> {
        let request = Request::new(request);
        let result = trace::within(Some(request.caller()), respond(&request)).await;
        service::send(protected(finish(&request, result))).await
    }
}

async fn respond(request: &Request) -> Result<Answer, Problem> {
    let command = Command::parse(&*access().await, request);
    let command = command.inspect_err(|problem| log_refused_token(problem, request))?;
    match command {
        Command::File(file) => Ok(file.answer(request.header("if-none-match").as_deref())),
        Command::Redirect => Ok(redirect()),
        Command::Api(api::Command::Inspect(id)) => inspect(id).await,
        Command::Api(api::Command::Delete(id)) => delete(id).await,
        Command::Api(api::Command::ListIds { cursor }) => list_ids(cursor).await,
        Command::Api(api::Command::Stats(hours)) => {
            let hours = cache::stats(hours.count()).await?;
            let hours: Vec<_> = hours.into_iter().map(hour).collect();
            Ok(shown(stats::body(&hours)))
        }
    }
}

fn redirect() -> Answer {
    Answer::new(308)
        .header("location", "/explorer/")
        .header("content-length", "0")
}

/// Who may use it, as this instance was told when it began.
async fn access() -> Rc<Access> {
    if let Some(access) = ACCESS.with(|cell| cell.get().cloned()) {
        return access;
    }
    log::panics();
    let variable = spin_sdk::variables::get(VARIABLE).await.unwrap_or_default();
    let access = Rc::new(Access::parse(&variable));
    if let Access::Misconfigured = *access {
        let reason = access::misconfigured();
        log::event(
            log::Event::BadConfiguration,
            &[("variable", &VARIABLE), ("reason", &reason)],
        );
    }
    ACCESS.with(|cell| Rc::clone(cell.get_or_init(|| access)))
}

/// An answer with something of the cache, which nobody keeps.
fn shown(body: Vec<u8>) -> Answer {
    Answer::new(200)
        .body("application/json", body)
        .never_stored()
}

async fn inspect(id: Id) -> Result<Answer, Problem> {
    let mut found = Found {
        id,
        found: "miss",
        reason: None,
        entry: None,
    };
    match cache::inspect(id.to_string()).await? {
        wit::Inspection::Hit(entry) => {
            found.found = "hit";
            found.entry = Some(Entry {
                ttl_seconds: entry.ttl_seconds,
                summary: summary(entry.summary)?,
            });
        }
        wit::Inspection::Miss => {}
        wit::Inspection::NotFound => found.found = "not-found",
        wit::Inspection::Corrupt(reason) => {
            (found.found, found.reason) = ("corrupt", Some(reason));
        }
        wit::Inspection::Unavailable(reason) => {
            (found.found, found.reason) = ("unavailable", Some(reason));
        }
    }
    Ok(shown(json::encode(&found)))
}

#[derive(Serialize)]
struct Found {
    id: Id,
    found: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    entry: Option<Entry>,
}

#[derive(Serialize)]
struct Entry {
    ttl_seconds: Option<u64>,
    summary: Summary,
}

async fn delete(id: Id) -> Result<Answer, Problem> {
    match cache::delete(id.to_string()).await? {
        true => Ok(Answer::new(204)),
        false => Err(Problem::new(Kind::NotCached, "it was not there to drop")),
    }
}

async fn list_ids(cursor: Option<String>) -> Result<Answer, Problem> {
    #[derive(Serialize)]
    struct Page {
        ids: Vec<String>,
        next: Option<String>,
    }
    let wit::IdPage { ids, next } = cache::list_ids(cursor).await?;
    Ok(shown(json::encode(&Page { ids, next })))
}

impl From<wit::Error> for Problem {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::InvalidArgument(detail) => Self::new(Kind::InvalidRequest, detail),
            wit::Error::Unavailable(detail) => Self::unavailable(detail),
        }
    }
}

/// What was counted in an hour, by the names under which it is kept.
fn hour(hour: wit::HourStats) -> HourStats {
    let mut fields = BTreeMap::from(
        [
            ("corrupt-entries", hour.corrupt_entries),
            ("timeouts", hour.timeouts),
            ("breaker-openings", hour.breaker_openings),
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
