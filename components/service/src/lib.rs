//! The HTTP service. It also exports the cache, which comes with the crate of that component.

// The generated exports are those of a WebAssembly component.
#![cfg(target_family = "wasm")]

use std::cell::OnceCell;
use std::rc::Rc;

use provider_connection_cache::http::service::{self, FailedLookup, Service};
use provider_connection_cache::rt::once::once;
use provider_connection_cache_component::instance;
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

#[allow(unsafe_code, reason = "generated")]
mod handler {
    use spin_sdk::wasip3;

    wasip3::http::service::export!(HttpExport);
    use super::HttpExport;
}

thread_local! {
    static SERVICE: OnceCell<Rc<Service>> = const { OnceCell::new() };
}

async fn service() -> Rc<Service> {
    let configured = async { Service::configured(instance().await, FailedLookup::NotCached).await };
    once(&SERVICE, configured).await
}

struct HttpExport;

impl Guest for HttpExport {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        service::handle(request, service()).await
    }
}
