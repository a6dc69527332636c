//! HTTP middleware: the cache in front of another component.
//!
//! It answers `GET /v1/provider-connections/{id}` as the HTTP service does, with the next component as
//! the origin. All other requests go to the next component. After a write to a connection, it removes
//! the entry, which is outdated.

// The generated exports are those of a WebAssembly component.
#![cfg(target_family = "wasm")]

mod next;

use std::cell::OnceCell;
use std::pin::pin;
use std::rc::Rc;

use percent_encoding::percent_decode_str;
use provider_connection_cache::connection::Id;
use provider_connection_cache::http::action::parse_id;
use provider_connection_cache::http::problem::{Kind, Problem};
use provider_connection_cache::http::request::Headers;
use provider_connection_cache::http::route;
use provider_connection_cache::http::service::{self, FailedLookup, Service};
use provider_connection_cache::instance::Instance;
use provider_connection_cache::origin::Upstream;
use provider_connection_cache::rt::once::once;
use provider_connection_cache::rt::trace;
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Method, Request, Response};

#[allow(unsafe_code, reason = "generated")]
mod handler {
    use spin_sdk::wasip3;

    wasip3::http::service::export!(Middleware);
    use super::Middleware;
}

/// The next component as the origin. It alone sees the host of the URL.
const NEXT: Upstream = Upstream {
    send: |request| Box::pin(next::handle(request)),
    default_url: Some("http://localhost/v1/provider-connections/{id}"),
    is_shared: false,
};

thread_local! {
    static INSTANCE: OnceCell<Rc<Instance>> = const { OnceCell::new() };
    static SERVICE: OnceCell<Rc<Service>> = const { OnceCell::new() };
}

async fn instance() -> Rc<Instance> {
    once(&INSTANCE, Instance::configured(&NEXT)).await
}

async fn service() -> Rc<Service> {
    let configured = async { Service::configured(instance().await, FailedLookup::Error).await };
    once(&SERVICE, configured).await
}

struct Middleware;

impl Guest for Middleware {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, _query) = target.split_once('?').unwrap_or((&target, ""));
        match request.get_method() {
            Method::Get | Method::Head => match is_lookup(path) {
                true => service::handle(request, service()).await,
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

/// Returns true if `GET` of this path looks up a connection.
fn is_lookup(path: &str) -> bool {
    route::single_connection(path).is_some_and(|id| parse_id(id).is_ok())
}

/// Returns the connection that a write to this path concerns. The path may go on after the id, as in
/// `/{id}/disconnect`. It is read as the next component may read it: decoded, without dot segments (RFC 3986,
/// section 6.2.2), without empty ones, and with backslashes for slashes (URL Standard, section 4.4).
fn written(path: &str) -> Option<Id> {
    let path = percent_decode_str(path).decode_utf8_lossy();
    let mut segments = Vec::new();
    for segment in path.split(['/', '\\']) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut segments = segments.into_iter().filter(|segment| !segment.is_empty());
    let base = route::BASE.split('/').filter(|segment| !segment.is_empty());
    for wanted in base {
        segments.next().filter(|segment| *segment == wanted)?;
    }
    Id::parse("id", segments.next()?).ok()
}

/// Lets the next component write, and then removes the entry. A caller who learns of the write never
/// reads the old connection after that (RFC 9111, section 4.4).
///
/// While Redis fails, no write is passed on. The old entry would go on answering, and a finished write
/// cannot be undone.
async fn write(id: Id, request: Request) -> Result<Response, ErrorCode> {
    let headers = Headers::of(&request);
    let written = async {
        let cache = &instance().await.cache;
        if let Err(error) = cache.check_removal().await {
            return service::send(Problem::from(error).into(), Box::new(request)).await;
        }
        let response = next::handle(request).await;
        let is_refused = |response: &Response| {
            let status = response.get_status_code();
            (400..500).contains(&status) && !matches!(status, 404 | 410)
        };
        if response.as_ref().is_ok_and(is_refused) {
            return response;
        }
        match cache.delete(id).await {
            Ok(_) => response,
            Err(error) => {
                let detail = format!("do not repeat the write, but delete the entry: {error}");
                let problem = Problem::new(Kind::NotInvalidated, detail);
                service::send(problem.into(), Box::new(())).await
            }
        }
    };
    trace::within(Some(headers), pin!(written)).await
}
