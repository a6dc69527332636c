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
use crate::http::problem::Problem;
use crate::http::route::{self, Found, Operation};
use crate::http::service;
use crate::instance::Instance;
use crate::next;
use crate::task;
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
        let Some(id) = connection(&request) else {
            return next::handle(request).await;
        };
        match request.get_method() {
            Method::Get | Method::Head => service::handle(request).await,
            Method::Options | Method::Trace => next::handle(request).await,
            _ => write(id, request).await,
        }
    }
}

/// The connection that the request is about, if it is about one.
fn connection(request: &Request) -> Option<Id> {
    let target = request.get_path_with_query()?;
    let (path, _query) = target.split_once('?').unwrap_or((&target, ""));
    match route::find("GET", path) {
        Found::Route { route, id } if route.operation == Operation::Get => parse_id(id).ok(),
        _ => None,
    }
}

/// Has the next component write, and then removes what is cached: who is told of the write reads
/// no more of what was before (as RFC 9111, section 4.4, asks of caches).
async fn write(id: Id, request: Request) -> Result<Response, ErrorCode> {
    let spawned = task::spawned();
    let headers = service::Headers::of(&request);
    let response = next::handle(request).await;
    let has_refused = |response: &Response| {
        let status = response.get_status_code();
        (400..500).contains(&status) && !matches!(status, 404 | 410)
    };
    if response.as_ref().is_ok_and(has_refused) {
        return response;
    }
    let removed = async { Instance::get().await.cache.delete(id).await };
    match trace::within(Some(headers), removed).await {
        Ok(_) => response,
        Err(failure) => {
            let detail =
                format!("the write was passed on, but what was before may be cached: {failure}");
            service::send(Answer::from(Problem::unavailable(detail)), spawned).await
        }
    }
}
