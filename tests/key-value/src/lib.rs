//! Does what `/BASE/OPERATION/LABEL/KEY/VALUE` says with the store `LABEL`, and answers what the host
//! answered.

// The generated exports are those of a WebAssembly component.
#![cfg(target_family = "wasm")]

use std::fmt::Debug;

use spin_sdk::key_value::{Error, Store};
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

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
        let answer = answer(&path).await;
        let answer = answer.unwrap_or_else(|error| format!("{error:?}"));
        single_packet_response::respond(200, Vec::new(), Some(answer.into_bytes()), request).await
    }
}

async fn answer(path: &str) -> Result<String, Error> {
    let mut parts = path.split('/').skip(2);
    let mut part = || parts.next().unwrap_or_default();
    let (operation, label, key, value) = (part(), part(), part(), part());
    let store = Store::open(label).await?;
    match operation {
        "open" => Ok("opened".to_owned()),
        "get" => text(store.get(key).await?.map(String::from_utf8)),
        "set" => text(store.set(key, value).await?),
        "delete" => text(store.delete(key).await?),
        "exists" => text(store.exists(key).await?),
        "keys" => text(store.get_keys().await.collect().await?),
        // Takes one key and leaves the others.
        "first-key" => text(store.get_keys().await.next().await),
        "opened-twice" => {
            let again = Store::open(label).await?;
            again.set(key, value).await?;
            drop(again);
            text(store.get(key).await?.map(String::from_utf8))
        }
        _ => Err(Error::Other(format!("no such operation: {operation}"))),
    }
}

fn text(answer: impl Debug) -> Result<String, Error> {
    Ok(format!("{answer:?}"))
}
