//! The calls of the page.

use provider_connection_cache::connection::Id;
use provider_connection_cache::http::action::{parse_hours, parse_id};
use provider_connection_cache::http::problem::{Kind, Problem};
use provider_connection_cache::http::query::Query;
use provider_connection_cache::stats::Hours;

/// A call of the page.
#[derive(Debug, PartialEq, Eq)]
pub enum ApiCall {
    /// Show the entry of a connection.
    Inspect(Id),
    /// Drop the entry of a connection.
    Delete(Id),
    /// List cached connections.
    List {
        /// Where the last page ended.
        cursor: Option<String>,
    },
    /// Show counts.
    Stats(Hours),
    /// Show which Redis it is, and whether it is well.
    Redis,
}

impl ApiCall {
    /// Parses a request to a path under the route.
    pub fn parse(method: &str, path: &str, query: &str) -> Result<Self, Problem> {
        let Some(path) = path.strip_prefix("/api/") else {
            return Err(nothing());
        };
        let is_get = matches!(method, "GET" | "HEAD");
        match path {
            "connections" if is_get => {
                let query = Query::parse(query, &["cursor"])?;
                let cursor = query.get("cursor").map(str::to_owned);
                Ok(Self::List { cursor })
            }
            "stats" if is_get => {
                let query = Query::parse(query, &["hours"])?;
                let hours = query.get("hours").map(parse_hours).transpose()?;
                Ok(Self::Stats(hours.unwrap_or(Hours::DAY)))
            }
            "redis" if is_get => {
                Query::parse(query, &[])?;
                Ok(Self::Redis)
            }
            "connections" | "stats" | "redis" => Err(Problem::not_allowed("GET, HEAD".to_owned())),
            path => {
                let id = path.strip_prefix("connections/").ok_or_else(nothing)?;
                if id.contains('/') {
                    return Err(nothing());
                }
                Query::parse(query, &[])?;
                match method {
                    "DELETE" => Ok(Self::Delete(parse_id(id)?)),
                    _ if is_get => Ok(Self::Inspect(parse_id(id)?)),
                    _ => Err(Problem::not_allowed("GET, HEAD, DELETE".to_owned())),
                }
            }
        }
    }
}

fn nothing() -> Problem {
    Problem::new(Kind::NoSuchPage, "the explorer is at /explorer/")
}
