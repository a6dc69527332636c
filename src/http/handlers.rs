//! The handlers: each carries out the action of the same name.

use std::rc::Rc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::action::{Action, View};
use super::answer::Answer;
use super::body;
use super::cache_status;
use super::metrics::{self, TextFormat};
use super::preconditions::{self, Preconditions};
use super::problem::{Kind, Problem};
use super::readiness_json::ReadinessBody;
use super::request::Request;
use super::stats_json;
use super::tokens::Tokens;
use crate::cache::{Absence, Batch, Cache, Forward, Lookup, Outcome, Readiness, Removal};
use crate::config::{ConfigError, Ttl};
use crate::connection::{Id, ProviderConnection, Revision, Summary, entry, json};
use crate::instance::Instance;
use crate::redis::Error;
use crate::stats::Hours;

const JSON: &str = "application/json";

/// How to answer a lookup that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedLookup {
    /// As not cached (404): the caller can ask the database.
    NotCached,
    /// With the error (502 or 503): nothing else than this service leads to the database.
    Error,
}

/// Carries out actions.
pub(super) struct Handlers {
    pub(super) instance: Rc<Instance>,
    pub(super) failed_lookup: FailedLookup,
}

impl Handlers {
    /// Carries out an action. Its body, if it has one, has not been read yet.
    pub(super) async fn run(
        &self,
        action: Action,
        tokens: &Result<Tokens, ConfigError>,
        request: &Request,
    ) -> Result<Answer, Problem> {
        let cache = &self.instance.cache;
        let body = || request.body(&self.instance.timer);
        match action {
            Action::Get {
                id,
                view,
                user_id,
                preconditions,
            } => {
                let (answer, etag) = match view {
                    View::Summary => self.get(id, user_id).await?,
                    View::Full => self.get_full(id, user_id).await?,
                };
                Ok(preconditions.apply(answer, etag))
            }
            Action::Put {
                id,
                ttl,
                preconditions,
            } => {
                let connection = body::connection(id, &body().await?)?;
                put(cache, &connection, ttl, &preconditions).await
            }
            Action::Delete { id, preconditions } => delete(cache, id, &preconditions).await,
            Action::Lookup => {
                let ids = body::ids(&body().await?)?;
                Ok(lookup(cache, &ids).await)
            }
            Action::Live => Ok(live()),
            Action::Ready => ready(cache, tokens).await,
            Action::Openapi => Ok(openapi()),
            Action::Metrics { format } => metrics(cache, format).await,
            Action::Stats { hours } => stats(cache, hours).await,
            Action::Options { allow } => Ok(Answer::new(204).header("allow", allow)),
        }
    }

    /// Returns the summary, and its entity tag. A part of a summary depends on the clock, and so does
    /// the tag.
    async fn get(&self, id: Id, user_id: Option<Id>) -> Result<(Answer, String), Problem> {
        let cache = &self.instance.cache;
        // Whether it is the caller's must be true now.
        let found = match user_id {
            None => cache.summary(id).await,
            Some(_) => cache.summary_from_redis(id).await,
        };
        let found = found.filter(cache.reads_through(), |found| {
            is_owner(user_id, found.summary.user_id)
        });
        let cache_status = cache_status::of_summary(&found);
        let (found, cache_status) = self.found(found, cache_status)?;
        let body = json::encode(&found.summary);
        let etag = preconditions::tag_of_content(&body);
        let answer = Answer::new(200).body(JSON, body);
        Ok((answer.header(cache_status::NAME, cache_status), etag))
    }

    /// Returns the connection, and its entity tag.
    async fn get_full(&self, id: Id, user_id: Option<Id>) -> Result<(Answer, String), Problem> {
        let cache = &self.instance.cache;
        let found = cache.get(id).await;
        let found = found.filter(cache.reads_through(), |connection| {
            is_owner(user_id, connection.fields().user_id)
        });
        let cache_status = cache_status::of(&found);
        let (connection, cache_status) = self.found(found, cache_status)?;
        let body = entry::encode(&connection);
        let etag = preconditions::tag_of_revision(Revision::of_encoded(&body));
        let answer = Answer::new(200).body(JSON, body).never_stored();
        Ok((answer.header(cache_status::NAME, cache_status), etag))
    }

    /// Returns the connection, or the problem that there is none.
    fn found<T>(&self, found: Lookup<T>, cache_status: String) -> Result<(T, String), Problem> {
        let problem = self.problem(&found);
        match found.hit() {
            Some(found) => Ok((found, cache_status)),
            None => Err(problem.with_header(cache_status::NAME, cache_status)),
        }
    }

    fn problem<T>(&self, found: &Lookup<T>) -> Problem {
        let not_cached = |detail| Problem::new(Kind::NotCached, detail);
        match (found, self.failed_lookup) {
            (
                Lookup::NotFound
                | Lookup::Forwarded(Forward {
                    outcome: Outcome::NotFound,
                    ..
                }),
                _,
            ) => not_cached("the origin does not have it either"),
            (
                Lookup::Forwarded(Forward {
                    outcome: Outcome::Failed(error),
                    ..
                }),
                FailedLookup::Error,
            ) => Problem::new(Kind::OriginFailed, format!("the next component: {error}")),
            (Lookup::Absent(Absence::Unavailable(error)), FailedLookup::Error) => {
                error.clone().into()
            }
            _ => not_cached("ask the database"),
        }
    }
}

/// Returns true if the connection belongs to the user of the query, or if there is none.
fn is_owner(user_id: Option<Id>, owner: Id) -> bool {
    user_id.is_none_or(|user_id| user_id == owner)
}

async fn put(
    cache: &Cache,
    connection: &ProviderConnection,
    ttl: Option<Ttl>,
    preconditions: &Preconditions,
) -> Result<Answer, Problem> {
    let is_set = if preconditions.are_none() {
        cache.set(connection, ttl).await.map(|()| true)
    } else {
        let condition = preconditions.condition();
        cache.set_if(connection, ttl, &condition).await
    };
    match is_set? {
        true => Ok(Answer::new(204)),
        false => Err(preconditions::precondition_failed()),
    }
}

async fn delete(cache: &Cache, id: Id, preconditions: &Preconditions) -> Result<Answer, Problem> {
    let removal = if preconditions.are_none() {
        cache.delete(id).await.map(|existed| match existed {
            true => Removal::Removed,
            false => Removal::Absent,
        })
    } else {
        cache.delete_if(id, &preconditions.condition()).await
    };
    match removal? {
        Removal::Removed => Ok(Answer::new(204)),
        Removal::Absent => Err(Problem::new(Kind::NotCached, "it was not there to delete")),
        Removal::PreconditionFailed => Err(preconditions::precondition_failed()),
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

/// A JSON object with a member for each id, in their order.
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

/// A host that answers lookups is ready. That writes fail is no reason to send lookups elsewhere.
async fn ready(cache: &Cache, tokens: &Result<Tokens, ConfigError>) -> Result<Answer, Problem> {
    if let Err(error) = tokens {
        return Err(Error::Misconfigured(*error).into());
    }
    let Readiness { lookups, writes } = cache.readiness().await;
    lookups?;
    let body = ReadinessBody::new(Ok(()), writes.map_err(|error| error.to_string()));
    Ok(Answer::new(200).body(JSON, json::encode(&body)))
}

async fn metrics(cache: &Cache, format: TextFormat) -> Result<Answer, Problem> {
    let counted = cache.total_stats().await?;
    let answer = Answer::new(200).header("vary", "accept");
    Ok(answer.body(format.media_type(), metrics::body(&counted, format)))
}

async fn stats(cache: &Cache, hours: Hours) -> Result<Answer, Problem> {
    let hours = cache.stats(hours).await?;
    Ok(Answer::new(200).body(JSON, stats_json::body(&hours)))
}

fn live() -> Answer {
    Answer::new(200).body(JSON, br#"{"status":"live"}"#.to_vec())
}

fn openapi() -> Answer {
    Answer::new(200).body(
        JSON,
        include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json")).to_vec(),
    )
}
