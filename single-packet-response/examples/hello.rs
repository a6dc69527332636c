//! A whole component for Spin: README.md says how to run it.

use single_packet_response::respond;
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::service::export;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

struct Hello;

#[allow(unsafe_code, reason = "generated")]
mod handler {
    use super::{Hello, export};

    export!(Hello);
}

impl Guest for Hello {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
        let body = br#"{"hello":"world"}"#.to_vec();
        respond(200, headers, Some(body), request).await
    }
}
