//! Asks the cache for the connection `ID` of `/ID/TURNS`, and gives the call up after so many turns of the
//! host.

// The generated exports are those of a WebAssembly component.
#![cfg(target_family = "wasm")]

use std::pin::pin;

use futures_util::future::{Either, select};
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use spin_sdk::wit_bindgen::rt::async_support::yield_async;

use bindings::provider::connection_cache::cache;

#[allow(unsafe_code, missing_docs, clippy::all, reason = "generated")]
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit",
        inline: "package tests:cancellation;
                 world cancellation { import provider:connection-cache/cache@0.1.0; }",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

#[allow(unsafe_code, reason = "generated")]
mod handler {
    use spin_sdk::wasip3;

    wasip3::http::service::export!(Probe);
    use super::Probe;
}

struct Probe;

impl Guest for Probe {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let (id, turns) = path[1..].split_once('/').unwrap_or_default();
        let turns = turns.parse().unwrap_or(0);
        let answer = ask(id, turns).await.into();
        single_packet_response::respond(200, Vec::new(), Some(answer), request).await
    }
}

async fn ask(id: &str, turns: u32) -> &'static str {
    let call = cache::get_summary(id.to_owned());
    let patience = async {
        for _ in 0..turns {
            yield_async().await;
        }
    };
    match select(pin!(call), pin!(patience)).await {
        Either::Left((Ok(Some(_)), _)) => "found",
        Either::Left((Ok(None), _)) => "missed",
        Either::Left((Err(_), _)) => "failed",
        Either::Right(_) => "given up",
    }
}
