//! The floor: an answer that waits for nothing, sent the way the cache sends its own.

use provider_connection_cache::http::{answer::Answer, service};
use provider_connection_cache::task;
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

/// A summary of an entry of the benchmark.
const SUMMARY: &str = include_str!("summary.json");

struct Hello;

spin_sdk::wasip3::http::service::export!(Hello with_types_in spin_sdk::wasip3);

impl Guest for Hello {
    async fn handle(_: Request) -> Result<Response, ErrorCode> {
        let body = SUMMARY.trim_end().as_bytes().to_vec();
        let answer = Answer::new(200).body("application/json", body);
        service::send(answer, task::spawned()).await
    }
}
