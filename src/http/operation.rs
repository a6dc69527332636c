//! What the commands do: each is a function of the same name.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::answer::Answer;
use super::body;
use super::command::{Command, View};
use super::problem::{Kind, Problem};
use super::service::Request;
use crate::cache::{Batch, Cache, Lookup, Summarized};
use crate::config::Ttl;
use crate::connection::{Id, ProviderConnection, Summary};
use crate::entry;
use crate::instance::Instance;
use crate::json;
use crate::redis::Failure;

const JSON: &str = "application/json";

/// Carries out a command, whose body, if it has one, is still to be read.
pub async fn run(
    command: Command,
    instance: &Instance,
    request: &Request,
) -> Result<Answer, Problem> {
    let cache = &instance.cache;
    let body = || request.body(&instance.timer);
    match command {
        Command::Get {
            id,
            view,
            user_id,
            if_none_match,
        } => {
            let answer = match view {
                View::Summary => get(cache, id, user_id).await?,
                View::Full => get_full(cache, id, user_id).await?,
            };
            Ok(answer.conditional(if_none_match.as_deref()))
        }
        Command::Put { id, ttl } => {
            let connection = body::connection(id, &body().await?)?;
            put(cache, &connection, ttl).await
        }
        Command::Delete { id } => delete(cache, id).await,
        Command::Lookup => {
            let ids = body::ids(&body().await?)?;
            Ok(lookup(cache, &ids).await)
        }
        Command::Live => Ok(status("live")),
        Command::Ready => ready(instance).await,
        Command::Openapi => Ok(openapi()),
    }
}

async fn get(cache: &Cache, id: Id, user_id: Option<Id>) -> Result<Answer, Problem> {
    let found = cache.summary(id).await;
    let found = found.filter(|found| is_owner(user_id, found.summary.user_id));
    let cache_status = CacheStatus::of_summary(&found);
    let summary = found.hit().ok_or_else(|| not_cached(cache_status))?.summary;
    Ok(Answer::new(200)
        .body(JSON, json::encode(&summary))
        .header(CACHE_STATUS, cache_status.as_str()))
}

async fn get_full(cache: &Cache, id: Id, user_id: Option<Id>) -> Result<Answer, Problem> {
    let found = cache.get(id).await;
    let found = found.filter(|connection| is_owner(user_id, connection.fields().user_id));
    let cache_status = CacheStatus::of(&found);
    let connection = found.hit().ok_or_else(|| not_cached(cache_status))?;
    Ok(Answer::new(200)
        .body(JSON, entry::encode(&connection))
        .never_stored()
        .header(CACHE_STATUS, cache_status.as_str()))
}

/// Whether the connection's user is the one it must be of, if one is given.
fn is_owner(user_id: Option<Id>, owner: Id) -> bool {
    user_id.is_none_or(|user_id| user_id == owner)
}

fn not_cached(cache_status: CacheStatus) -> Problem {
    let problem = Problem::new(Kind::NotCached, "ask the database");
    problem.with_header(CACHE_STATUS, cache_status.as_str().to_owned())
}

async fn put(
    cache: &Cache,
    connection: &ProviderConnection,
    ttl: Option<Ttl>,
) -> Result<Answer, Problem> {
    cache.set(connection, ttl).await?;
    Ok(Answer::new(204))
}

async fn delete(cache: &Cache, id: Id) -> Result<Answer, Problem> {
    if cache.delete(id).await? {
        Ok(Answer::new(204))
    } else {
        Err(Problem::new(Kind::NotCached, "it was not there to delete"))
    }
}

async fn lookup(cache: &Cache, ids: &Batch<Id>) -> Answer {
    let found = cache.summaries(ids).await;
    let worst = found.iter().map(CacheStatus::of_summary).max();
    let summaries = found
        .into_iter()
        .map(|found| found.hit().map(|found| found.summary));
    let connections = ById(ids.iter().copied().zip(summaries).collect());
    Answer::new(200)
        .body(JSON, json::encode(&LookupBody { connections }))
        .header(CACHE_STATUS, worst.unwrap_or(CacheStatus::Hit).as_str())
}

#[derive(serde::Serialize)]
struct LookupBody {
    connections: ById,
}

/// An object with a member per id, in the order of the ids.
struct ById(Vec<(Id, Option<Summary>)>);

impl Serialize for ById {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (id, summary) in &self.0 {
            map.serialize_entry(id, summary)?;
        }
        map.end()
    }
}

async fn ready(instance: &Instance) -> Result<Answer, Problem> {
    if let Err(error) = &instance.tokens {
        return Err(Failure::Misconfigured(*error).into());
    }
    instance.cache.ping().await?;
    Ok(status("ready"))
}

fn status(status: &str) -> Answer {
    Answer::new(200).body(JSON, format!(r#"{{"status":"{status}"}}"#).into_bytes())
}

fn openapi() -> Answer {
    Answer::new(200).body(
        JSON,
        include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json")).to_vec(),
    )
}

const CACHE_STATUS: &str = "cache-status";

/// What a lookup found, from best to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CacheStatus {
    NearHit,
    Hit,
    Miss,
    Corrupt,
    Unavailable,
    Timeout,
}

impl CacheStatus {
    fn of<T>(found: &Lookup<T>) -> Self {
        match found {
            Lookup::Hit(_) => Self::Hit,
            Lookup::Miss => Self::Miss,
            Lookup::Corrupt(_) => Self::Corrupt,
            Lookup::Unavailable(Failure::Timeout) => Self::Timeout,
            Lookup::Unavailable(_) => Self::Unavailable,
        }
    }

    fn of_summary(found: &Lookup<Summarized>) -> Self {
        match found {
            Lookup::Hit(found) if found.near => Self::NearHit,
            found => Self::of(found),
        }
    }

    /// The same in the words of RFC 9211.
    fn as_str(self) -> &'static str {
        match self {
            Self::NearHit => "provider-connection-cache; hit; detail=near",
            Self::Hit => "provider-connection-cache; hit",
            Self::Miss => "provider-connection-cache; fwd=miss",
            Self::Corrupt => "provider-connection-cache; fwd=miss; detail=corrupt",
            Self::Unavailable => "provider-connection-cache; fwd=miss; detail=unavailable",
            Self::Timeout => "provider-connection-cache; fwd=miss; detail=timeout",
        }
    }
}
