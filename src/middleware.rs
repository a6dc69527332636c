//! HTTP middleware: the cache in front of another component.
//!
//! `GET /v1/provider-connections/{id}` is answered as the HTTP service answers it, and the next
//! component is the origin. What else is asked for is the next component's affair; only a write to
//! a connection is watched, for what was cached of it is not true any more.

use spin_sdk::wasip3;
use spin_sdk::wasip3::http::types::{ErrorCode, Method, Request, Response};

use crate::connection::Id;
use crate::http::answer::Answer;
use crate::http::command::parse_id;
use crate::http::problem::{Kind, Problem};
use crate::http::route::{self, Found, Operation};
use crate::http::service;
use crate::instance::Instance;
use crate::next;
use crate::trace;

#[allow(unsafe_code, reason = "generated")]
mod handler {
    use super::wasip3;

    wasip3::http::service::export!(Middleware);
    use super::Middleware;
}

struct Middleware;

impl wasip3::exports::http::handler::Guest for Middleware {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, _query) = target.split_once('?').unwrap_or((&target, ""));
        match request.get_method() {
            Method::Get | Method::Head => match looked_up(path) {
                true => service::handle(request).await,
                false => next::handle(request).await,
            },
            Method::Options | Method::Trace => next::handle(request).await,
            _ => match written(path) {
                Some(id) => write(id, request).await,
                None => next::handle(request).await,
            },
        }
    }
}

/// Whether the path is that of a connection.
fn looked_up(path: &str) -> bool {
    match route::find("GET", path) {
        Found::Route { route, id } => route.operation == Operation::Get && parse_id(id).is_ok(),
        _ => false,
    }
}

/// The connection whose path this is, or of which it is a part, such as `/{id}/disconnect`.
fn written(path: &str) -> Option<Id> {
    let local = path.strip_prefix(route::BASE)?.strip_prefix('/')?;
    parse_id(local.split('/').next()?).ok()
}

/// Has the next component write, and then removes what is cached: who is told of the write reads
/// no more of what was before (as RFC 9111, section 4.4, asks of caches).
///
/// While Redis is away nothing is passed on: what was before would go on being answered, and a
/// write that is done cannot be taken back.
async fn write(id: Id, request: Request) -> Result<Response, ErrorCode> {
    let headers = service::Headers::of(&request);
    let written = async {
        let cache = &Instance::get().await.cache;
        if let Err(failure) = cache.ping().await {
            return Err(failure.into());
        }
        let response = next::handle(request).await;
        let is_refused = |response: &Response| {
            let status = response.get_status_code();
            (400..500).contains(&status) && !matches!(status, 404 | 410)
        };
        if response.as_ref().is_ok_and(is_refused) {
            return Ok(response);
        }
        match cache.delete(id).await {
            Ok(_) => Ok(response),
            Err(failure) => {
                let detail = format!("do not repeat the write, but delete the entry: {failure}");
                Err(Problem::new(Kind::NotInvalidated, detail))
            }
        }
    };
    match trace::within(Some(headers), written).await {
        Ok(response) => response,
        Err(problem) => service::send(Answer::from(problem)).await,
    }
}
