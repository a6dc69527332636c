//! The way in and out: `wasi:http/handler@0.3.0`, through the types of `wasip3` as they are.

use std::future::Future;
use std::pin::Pin;

use futures_util::FutureExt;
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Method, Request as WasiRequest, Response};
use spin_sdk::wasip3::{spawn, wit_future, wit_stream};
use spin_sdk::wit_bindgen::rt::async_support::{StreamReader, StreamResult, yield_async};

use super::answer::Answer;
use super::problem::{Kind, Problem};
use crate::task;

/// The largest body that is taken: 64 KiB.
pub const MAX_BODY: usize = 64 * 1024;

/// A request, whose parts are asked of the host when they are needed.
pub struct Request {
    method: Method,
    path_and_query: String,
    headers: Fields,
    request: std::cell::Cell<Option<WasiRequest>>,
}

impl Request {
    /// The request as the host hands it in.
    pub fn new(request: WasiRequest) -> Self {
        Self {
            method: request.get_method(),
            path_and_query: request.get_path_with_query().unwrap_or_default(),
            headers: request.get_headers(),
            request: std::cell::Cell::new(Some(request)),
        }
    }

    /// The method, as it is written.
    pub fn method(&self) -> &str {
        match &self.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Other(method) => method,
            _ => "",
        }
    }

    /// The path, and the query without its question mark.
    pub fn path_and_query(&self) -> (&str, &str) {
        self.path_and_query
            .split_once('?')
            .unwrap_or((&self.path_and_query, ""))
    }

    /// The value of a header. Of one that is given more than once, all, as one list
    /// (RFC 9110, section 5.3).
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        let values = self.headers.get(name);
        (!values.is_empty()).then(|| values.join(&b", "[..]))
    }

    /// The body, which can be read once.
    pub async fn body(&self) -> Result<Vec<u8>, Problem> {
        let too_large = || Problem::new(Kind::TooLarge, "the body must be at most 64 KiB");
        let declared = self.header("content-length").unwrap_or_default();
        let declared = std::str::from_utf8(&declared)
            .ok()
            .and_then(|text| text.parse().ok());
        if declared.is_some_and(|length: u64| length > MAX_BODY as u64) {
            return Err(too_large());
        }
        let Some(request) = self.request.take() else {
            return Ok(Vec::new());
        };
        let (_, result) = wit_future::new(|| Ok(()));
        let (stream, _trailers) = WasiRequest::consume_body(request, result);
        read(stream).await.ok_or_else(too_large)
    }
}

/// Reads a stream to its end, unless it is longer than a body may be.
async fn read(mut stream: StreamReader<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let (result, chunk) = stream.read(Vec::with_capacity(16 * 1024)).await;
        body.extend(chunk);
        if body.len() > MAX_BODY {
            return None;
        }
        if let StreamResult::Dropped | StreamResult::Cancelled = result {
            return Some(body);
        }
    }
}

/// Hands an answer to the host.
///
/// Spin sends what the body's first write holds together with the headers only if that
/// write is there when the response is; what comes later leaves in a second packet, which
/// waits 40 ms for the client's delayed acknowledgement. So the write is begun here, and
/// ends after the response is returned. Without content there is no stream at all.
///
/// `spawned` is what [`task::spawned`] said when the request came.
pub async fn send(answer: Answer, spawned: u64) -> Result<Response, ErrorCode> {
    let headers: Vec<_> = answer
        .headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into_owned().into_bytes()))
        .collect();
    let headers = Fields::from_list(&headers)
        .map_err(|_| ErrorCode::InternalError(Some("a header is malformed".to_owned())))?;
    let contents = answer.body.map(|body| {
        let (mut writer, reader) = wit_stream::new();
        let mut write: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
            // What is left unread is of no interest: the client is gone.
            let _unread = writer.write_all(body).await;
        });
        if write.as_mut().now_or_never().is_none() {
            spawn(write);
        }
        reader
    });
    yield_async().await;
    if task::spawned() != spawned {
        // Beside a task that this request started, such as one that opens a connection, the
        // first yield may come back without having left the guest (`FuturesUnordered`).
        yield_async().await;
    }
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(headers, contents, trailers);
    response
        .set_status_code(answer.status)
        .map_err(|()| ErrorCode::InternalError(Some("the status is unknown".to_owned())))?;
    Ok(response)
}
