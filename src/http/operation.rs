//! What the routes do. Each function is one [`Operation`].

use std::collections::BTreeSet;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::access::Grant;
use super::answer::Answer;
use super::problem::{Kind, Problem};
use super::query::Query;
use super::route::{Access, Operation};
use super::service::Request;
use crate::cache::{Batch, Cache, Lookup, Summarized};
use crate::config::{MAX_TTL_SECONDS, Ttl};
use crate::connection::{Id, Invalid, Summary};
use crate::entry::{self, Corrupt};
use crate::json::{self, Node};
use crate::redis::Failure;

const JSON: &str = "application/json";

/// What an operation needs of a request that was let in.
pub struct Call<'a> {
    /// The cache.
    pub cache: &'a Cache,
    /// What the caller may.
    pub grant: Grant,
    /// The `{id}` of the path.
    pub id: &'a str,
    /// The query parameters.
    pub query: Query<'a>,
    /// The rest of the request.
    pub request: &'a Request,
}

/// Carries out an operation.
pub async fn run(operation: Operation, call: Call<'_>) -> Result<Answer, Problem> {
    match operation {
        Operation::Get => get(call).await,
        Operation::Put => put(call).await,
        Operation::Delete => delete(call).await,
        Operation::Lookup => lookup(call).await,
        Operation::Live => Ok(status("live")),
        Operation::Ready => ready(call).await,
        Operation::Openapi => Ok(openapi()),
    }
}

async fn get(call: Call<'_>) -> Result<Answer, Problem> {
    let id = Id::parse("id", call.id)?;
    let full = match call.query.get("view") {
        None | Some("summary") => false,
        Some("full") => true,
        Some(_) => {
            return Err(Invalid {
                field: "view",
                rule: "summary or full",
            }
            .into());
        }
    };
    if full {
        call.grant.require(Access::Write)?;
    }
    let user_id = call
        .query
        .get("user_id")
        .map(|id| Id::parse("user_id", id))
        .transpose()?;
    let is_owner = |owner: Id| user_id.is_none_or(|user_id| user_id == owner);
    let (answer, cache_status) = if full {
        let found = call.cache.get(id).await;
        let found = found.filter(|connection| is_owner(connection.fields().user_id));
        let cache_status = CacheStatus::of(&found);
        let answer = found.hit().map(|connection| {
            Answer::new(200)
                .body(JSON, entry::encode(&connection))
                .never_stored()
        });
        (answer, cache_status)
    } else {
        let found = call.cache.summary(id).await;
        let found = found.filter(|found| is_owner(found.summary.user_id));
        let cache_status = CacheStatus::of_summary(&found);
        let body = |found: Summarized| Answer::new(200).body(JSON, json::encode(&found.summary));
        (found.hit().map(body), cache_status)
    };
    let Some(answer) = answer else {
        let problem = Problem::new(Kind::NotCached, "ask the database");
        return Err(problem.with_header(CACHE_STATUS, cache_status.as_str().to_owned()));
    };
    let if_none_match = call.request.header("if-none-match");
    Ok(answer
        .header(CACHE_STATUS, cache_status.as_str())
        .conditional(if_none_match.as_deref()))
}

async fn put(call: Call<'_>) -> Result<Answer, Problem> {
    let id = Id::parse("id", call.id)?;
    let ttl = call.query.get("ttl").map(parse_ttl).transpose()?;
    let body = json_body(call.request).await?;
    let connection = entry::decode(&body).map_err(|corrupt| match corrupt {
        Corrupt::Field(invalid) => invalid.into(),
        _ => Problem::new(Kind::InvalidRequest, "the body must be one JSON object"),
    })?;
    if connection.fields().id != id {
        return Err(Problem::new(
            Kind::IdDiffers,
            "id must be the id of the path",
        ));
    }
    call.cache.set(&connection, ttl).await?;
    Ok(Answer::new(204))
}

fn parse_ttl(text: &str) -> Result<Ttl, Problem> {
    text.parse()
        .ok()
        .and_then(Ttl::from_seconds)
        .ok_or_else(|| {
            let detail = format!("ttl must be 1 to {MAX_TTL_SECONDS} seconds");
            Problem::new(Kind::InvalidRequest, detail)
        })
}

async fn delete(call: Call<'_>) -> Result<Answer, Problem> {
    let id = Id::parse("id", call.id)?;
    if call.cache.delete(id).await? {
        Ok(Answer::new(204))
    } else {
        Err(Problem::new(Kind::NotCached, "it was not there to delete"))
    }
}

async fn lookup(call: Call<'_>) -> Result<Answer, Problem> {
    let body = json_body(call.request).await?;
    let ids = Batch::new("ids", parse_ids(&body)?)?;
    let found = call.cache.summaries(&ids).await;
    let worst = found.iter().map(CacheStatus::of_summary).max();
    let summaries = found
        .into_iter()
        .map(|found| found.hit().map(|found| found.summary));
    let connections = ById(ids.iter().copied().zip(summaries).collect());
    let body = json::encode(&LookupBody { connections });
    Ok(Answer::new(200)
        .body(JSON, body)
        .header(CACHE_STATUS, worst.unwrap_or(CacheStatus::Hit).as_str()))
}

/// The ids of a lookup, each once: the answer has one member for each.
fn parse_ids(body: &[u8]) -> Result<Vec<Id>, Problem> {
    let invalid = Invalid {
        field: "ids",
        rule: "an array of 1 to 1,000 UUIDs",
    };
    let Some(Node::Object(object)) = json::decode(body) else {
        return Err(Problem::new(
            Kind::InvalidRequest,
            "the body must be one JSON object",
        ));
    };
    let Node::Array(nodes) = object.get("ids") else {
        return Err(invalid.into());
    };
    if nodes.is_empty() || nodes.len() > Batch::<Id>::MAX {
        return Err(invalid.into());
    }
    let mut seen = BTreeSet::new();
    let mut ids = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Node::Text(text) = node else {
            return Err(invalid.into());
        };
        let id = Id::parse("each of ids", text)?;
        if seen.insert(id) {
            ids.push(id);
        }
    }
    Ok(ids)
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

async fn ready(call: Call<'_>) -> Result<Answer, Problem> {
    call.cache.ping().await?;
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

/// The body of a request that must be JSON.
async fn json_body(request: &Request) -> Result<Vec<u8>, Problem> {
    let content_type = request.header("content-type").unwrap_or_default();
    let media_type = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    if !media_type
        .trim_ascii()
        .eq_ignore_ascii_case(JSON.as_bytes())
    {
        let detail = "send the body as content-type: application/json";
        return Err(Problem::new(Kind::UnsupportedMediaType, detail));
    }
    request.body().await
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
