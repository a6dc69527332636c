//! The floors: a request of which the same headers are read as the cache reads, and an answer with the same
//! headers, sent the way the cache sends its own; the same after a GET whose reply nobody reads, on a
//! connection that all requests share; the same once an origin has been asked besides, whose answer is
//! SET as it is; and the first after a `get` of the key-value store of the host instead.

#[cfg(feature = "read-through")]
mod origin;
#[cfg(feature = "get")]
mod redis;
#[cfg(any(feature = "get", feature = "store"))]
mod shared;
#[cfg(feature = "store")]
mod store;

use std::hint::black_box;

use provider_connection_cache::http::{answer::Answer, service};
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

/// A summary of an entry of the benchmark.
const SUMMARY: &str = include_str!("summary.json");

struct Hello;

spin_sdk::wasip3::http::service::export!(Hello with_types_in spin_sdk::wasip3);

impl Guest for Hello {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let headers = request.get_headers();
        for name in ["authorization", "if-none-match"] {
            black_box(headers.get(name));
        }
        wait(&request).await?;
        let body = SUMMARY.trim_end().as_bytes().to_vec();
        let answer = Answer::new(200)
            .body("application/json", body)
            .header("cache-status", "provider-connection-cache; hit")
            .header("etag", "\"0123456789abcdef\"");
        service::send(answer, Box::new(request)).await
    }
}

#[cfg(not(any(feature = "get", feature = "store")))]
async fn wait(_: &Request) -> Result<(), ErrorCode> {
    Ok(())
}

#[cfg(feature = "get")]
async fn wait(request: &Request) -> Result<(), ErrorCode> {
    let path = request.get_path_with_query().unwrap_or_default();
    let id = path.rsplit('/').next().unwrap_or_default();
    let key = format!("provider:conn:{id}");
    let redis = redis::connection().await?;
    let found = redis.get(&key).await.map_err(redis::failed)?;
    black_box(found);
    #[cfg(feature = "read-through")]
    redis
        .set(key, origin::fetch(id).await?)
        .await
        .map_err(redis::failed)?;
    Ok(())
}

#[cfg(feature = "store")]
async fn wait(request: &Request) -> Result<(), ErrorCode> {
    let path = request.get_path_with_query().unwrap_or_default();
    let id = path.rsplit('/').next().unwrap_or_default();
    store::visit(&format!("hello:{id}")).await
}
