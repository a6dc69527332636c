//! What the commands do: each is a function of the same name.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::answer::Answer;
use super::body;
use super::cache_status;
use super::command::{Command, View};
use super::metrics;
use super::problem::{Kind, Problem};
use super::service::Request;
use super::stats;
use crate::cache::{Batch, Cache, Forward, Hours, Lookup, Outcome};
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
        Command::Metrics => metrics(cache).await,
        Command::Stats { hours } => stats(cache, hours).await,
    }
}

async fn get(cache: &Cache, id: Id, user_id: Option<Id>) -> Result<Answer, Problem> {
    let found = cache.summary(id).await;
    let found = found.filter(cache.reads_through(), |found| {
        is_owner(user_id, found.summary.user_id)
    });
    let cache_status = cache_status::of_summary(&found);
    let (summary, cache_status) = there(found, cache_status)?;
    let summary = summary.summary;
    Ok(Answer::new(200)
        .body(JSON, json::encode(&summary))
        .header(cache_status::NAME, cache_status))
}

async fn get_full(cache: &Cache, id: Id, user_id: Option<Id>) -> Result<Answer, Problem> {
    let found = cache.get(id).await;
    let found = found.filter(cache.reads_through(), |connection| {
        is_owner(user_id, connection.fields().user_id)
    });
    let cache_status = cache_status::of(&found);
    let (connection, cache_status) = there(found, cache_status)?;
    Ok(Answer::new(200)
        .body(JSON, entry::encode(&connection))
        .never_stored()
        .header(cache_status::NAME, cache_status))
}

/// Whether the connection's user is the one it must be of, if one is given.
fn is_owner(user_id: Option<Id>, owner: Id) -> bool {
    user_id.is_none_or(|user_id| user_id == owner)
}

/// What was found, or the problem that it was not.
fn there<T>(found: Lookup<T>, cache_status: String) -> Result<(T, String), Problem> {
    let not_cached = |detail| Problem::new(Kind::NotCached, detail);
    let problem = match &found {
        Lookup::NotFound
        | Lookup::Forwarded(Forward {
            outcome: Outcome::NotFound,
            ..
        }) => not_cached("the origin does not have it either"),
        // Whose caller cannot ask the database, for this stands before it.
        #[cfg(feature = "middleware")]
        Lookup::Forwarded(Forward {
            outcome: Outcome::Failed(failure),
            ..
        }) => Problem::new(Kind::OriginFailed, format!("the next component: {failure}")),
        #[cfg(feature = "middleware")]
        Lookup::Absent(crate::cache::Absence::Unavailable(failure)) => failure.clone().into(),
        _ => not_cached("ask the database"),
    };
    match found.hit() {
        Some(found) => Ok((found, cache_status)),
        None => Err(problem.with_header(cache_status::NAME, cache_status)),
    }
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
    let cache_status = cache_status::of_batch(&found);
    let summaries = found
        .into_iter()
        .map(|found| found.hit().map(|found| found.summary));
    let connections = ById(ids.iter().copied().zip(summaries).collect());
    Answer::new(200)
        .body(JSON, json::encode(&LookupBody { connections }))
        .header(cache_status::NAME, cache_status)
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

async fn metrics(cache: &Cache) -> Result<Answer, Problem> {
    let counted = cache.stats_in_all().await?;
    Ok(Answer::new(200).body(metrics::CONTENT_TYPE, metrics::body(&counted)))
}

async fn stats(cache: &Cache, hours: Hours) -> Result<Answer, Problem> {
    let hours = cache.stats(hours).await?;
    Ok(Answer::new(200).body(JSON, stats::body(&hours)))
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
