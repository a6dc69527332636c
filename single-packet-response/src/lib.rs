//! Answers a request of `wasi:http/handler@0.3.0` so that head and body leave in one packet.
//!
//! # The problem
//!
//! Spin 4.1 does not set `TCP_NODELAY` on the connections that it accepts. An answer whose body leaves after
//! its head waits for the client to acknowledge the head (Nagle's algorithm), and the client delays
//! that, on Linux by 40 ms. Head and body leave in one write only if the body is there when hyper asks for it
//! the first time. In wasmtime 47 the host hands the response to hyper, and reads the body's stream a
//! moment later: if hyper gets ahead, every such answer takes 40 ms.
//!
//! # What [`respond`] does about it
//!
//! 1. It says `content-length`, and writes the body at once.
//! 2. It keeps the writer of the trailers until the body has been read. A writer that is dropped earlier is
//!    an event before the body's, and then hyper always gets ahead.
//! 3. It yields twice before it returns, so that the host's task begins anew, with nothing else to do. A task
//!    that goes on from another one's wake-up may have to leave hyper's to a second thread.
//! 4. It writes the body at an event of its own, which the host delivers right after it has handed over the
//!    response, and before anything else of the instance. A write that is there already is read only
//!    after whatever else has become ready, such as replies of Redis to other requests.
//!
//! It also keeps the request until the body has been read. If hyper gets ahead, and the request's own body is gone
//! unread, hyper 1.10, which Spin links, ends the connection without the answer's.
//!
//! Measured on Spin, one answer in 10,000 or fewer still waits, whatever the number of callers. What is left is
//! the host's: `docs/upstream.md` in this repository.

use std::any::Any;

use futures_channel::oneshot;
use futures_util::FutureExt as _;
use spin_sdk::wasip3::http::types::{ErrorCode, FieldName, FieldValue, Fields, Response};
use spin_sdk::wasip3::{spawn, wit_future, wit_stream};
use spin_sdk::wit_bindgen::rt::async_support::yield_async;

/// Returns a response with this status code, these headers and this content, if any. Adds
/// `content-length` unless the headers have it. Drops `request` when the content has been read. It is the
/// request, what is left of it, or `()` if it was handed on.
///
/// Fails if the status code is unknown, or a header malformed or forbidden by the host.
pub async fn respond(
    status: u16,
    mut headers: Vec<(FieldName, FieldValue)>,
    content: Option<Vec<u8>>,
    request: impl Any,
) -> Result<Response, ErrorCode> {
    let has_length = |headers: &[(FieldName, FieldValue)]| {
        let mut names = headers.iter().map(|(name, _)| name);
        names.any(|name| name.eq_ignore_ascii_case("content-length"))
    };
    if let Some(content) = content.as_ref().filter(|_| !has_length(&headers)) {
        let length = content.len().to_string().into_bytes();
        headers.push(("content-length".to_owned(), length));
    }
    let headers = Fields::from_list(&headers).map_err(|_| internal("a header is malformed"))?;

    let (trailers, trailers_reader) = wit_future::new(|| Ok(None));
    let (response, _transmitted) = match content {
        None => Response::new(headers, None, trailers_reader),
        Some(content) => {
            let (written, is_written) = oneshot::channel::<()>();
            // In a task of its own, which is idle by the time that the other one begins: an executor of
            // wit-bindgen whose tasks are all busy yields to the host once more.
            spawn(async move {
                let _ = is_written.await;
                drop((trailers, request));
            });
            yield_async().await;
            yield_async().await;
            let (mut writer, reader) = wit_stream::new();
            spawn(async move {
                next_event().await;
                // What is left unread is of no interest: the client is gone.
                let _unread = writer.write_all(content).await;
                drop(writer);
                drop(written);
            });
            Response::new(headers, Some(reader), trailers_reader)
        }
    };
    // A new response has 200.
    if status != 200 {
        let set = response.set_status_code(status);
        set.map_err(|()| internal("the status code is unknown"))?;
    }
    Ok(response)
}

/// Goes on when the host next delivers an event to this request, which it does as soon as it has seen
/// what the request returned: a stream whose reader waits, and whose writer is gone, is such an event.
async fn next_event() {
    let (writer, mut reader) = wit_stream::new::<u8>();
    let mut end = Box::pin(async move { reader.next().await });
    if end.as_mut().now_or_never().is_none() {
        drop(writer);
        end.await;
    }
}

fn internal(what: &str) -> ErrorCode {
    ErrorCode::InternalError(Some(what.to_owned()))
}
