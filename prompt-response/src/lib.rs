//! Answers a request of `wasi:http/handler@0.3.0` so that head and body leave together.
//!
//! Spin does not set `TCP_NODELAY` on the connections that it accepts: what leaves in a second
//! packet waits 40 ms for the client's delayed acknowledgement. The head and what the body's first
//! write holds leave in one packet if the length is known, and if that write is there when the
//! response is. So [`send`] begins the write, yields once to let the host see it, and only then
//! returns the response; the write ends after that. An answer without content has no stream at all.
//!
//! ```no_run
//! use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
//!
//! async fn handle(_request: Request) -> Result<Response, ErrorCode> {
//!     let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
//!     prompt_response::send(200, headers, Some(b"{}".to_vec())).await
//! }
//! ```

use std::future::Future;
use std::pin::Pin;

use futures_util::FutureExt;
use spin_sdk::wasip3::http::types::{ErrorCode, FieldName, FieldValue, Fields, Response};
use spin_sdk::wasip3::{spawn, wit_future, wit_stream};
use spin_sdk::wit_bindgen::StreamReader;
use spin_sdk::wit_bindgen::rt::async_support::yield_async;

/// The response with this status code, these headers, and this content, if any, whose
/// `content-length` is added.
///
/// Fails if a header or the status code is not one of HTTP.
pub async fn send(
    status: u16,
    mut headers: Vec<(FieldName, FieldValue)>,
    content: Option<Vec<u8>>,
) -> Result<Response, ErrorCode> {
    if let Some(content) = &content {
        let length = content.len().to_string().into_bytes();
        headers.push(("content-length".to_owned(), length));
    }
    let headers = Fields::from_list(&headers);
    let headers = headers.map_err(|_| wrong("a header is malformed"))?;
    send_yielding(1, status, headers, content).await
}

/// As [`send`], with headers that have the `content-length` already, and with this many yields. A
/// request that has started a task of its own, such as one that opens a connection, needs two:
/// beside a new task the first may come back without having left the component
/// (`FuturesUnordered` polls the task first).
pub async fn send_yielding(
    times: u8,
    status: u16,
    headers: Fields,
    content: Option<Vec<u8>>,
) -> Result<Response, ErrorCode> {
    let content = content.map(write);
    for _ in 0..times {
        yield_async().await;
    }
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, content, trailers);
    let set = response.set_status_code(status);
    set.map_err(|()| wrong("the status is unknown"))?;
    Ok(response)
}

fn wrong(what: &str) -> ErrorCode {
    ErrorCode::InternalError(Some(what.to_owned()))
}

/// Begins to write, in a task of its own if the host does not take it all at once.
fn write(content: Vec<u8>) -> StreamReader<u8> {
    let (mut writer, reader) = wit_stream::new();
    let mut write: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
        // What is left unread is of no interest: the client is gone.
        let _unread = writer.write_all(content).await;
    });
    if write.as_mut().now_or_never().is_none() {
        spawn(write);
    }
    reader
}
