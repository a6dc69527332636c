//! Requests as the host hands them in: `wasi:http/handler@0.3.0`, through the types of `wasip3`.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use spin_sdk::wasip3::http::types::{Fields, Method, Request as WasiRequest};
use spin_sdk::wasip3::wit_future;
use spin_sdk::wit_bindgen::rt::async_support::StreamReader;

use super::problem::{Kind, Problem};
use crate::rt::deadline::Timer;
use crate::rt::stream;
use crate::rt::trace::{self, Caller};

/// The largest body that is read: 64 KiB.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// The limit for a body to arrive. Nothing else ends a request whose caller sends a byte now and then,
/// or stops sending.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The head of a request: everything before its body.
pub trait Head {
    /// Returns the method as it was sent.
    fn method(&self) -> &str;

    /// Returns the path, and the query without its question mark.
    fn path_and_query(&self) -> (&str, &str);

    /// Returns the value of a header. A repeated header counts as one list (RFC 9110, section 5.3).
    fn header(&self, name: &str) -> Option<Vec<u8>>;
}

/// A request. It asks the host for its parts when they are needed.
pub struct Request {
    method: Method,
    path_and_query: String,
    headers: Rc<Headers>,
    body: Cell<Option<Body>>,
}

/// A body that has not been read, or not to its end. It is kept until the content of the answer has been
/// read ([`single_packet_response::respond`]).
enum Body {
    Unread(WasiRequest),
    Abandoned(#[expect(dead_code, reason = "it is only kept")] StreamReader<u8>),
}

impl Request {
    /// Takes a request of the host.
    pub fn new(request: WasiRequest) -> Self {
        Self {
            method: request.get_method(),
            path_and_query: request.get_path_with_query().unwrap_or_default(),
            headers: Headers::of(&request),
            body: Cell::new(Some(Body::Unread(request))),
        }
    }

    /// Returns the caller, for the log.
    pub fn caller(&self) -> Rc<dyn Caller> {
        Rc::<Headers>::clone(&self.headers)
    }

    /// Reads the body. A second call returns nothing.
    pub(super) async fn body(&self, timer: &Rc<Timer>) -> Result<Vec<u8>, Problem> {
        let Some(Body::Unread(request)) = self.body.take() else {
            return Ok(Vec::new());
        };
        let (_, result) = wit_future::new(|| Ok(()));
        let (mut bytes, trailers) = WasiRequest::consume_body(request, result);
        let whole = async {
            let body = stream::read(&mut bytes, MAX_BODY).await;
            let body = body.ok_or_else(Problem::too_large)?;
            // The trailers themselves do not matter, but their error tells that the body was cut off.
            match trailers.await {
                Ok(_) => Ok(body),
                Err(_) => Err(Problem::new(
                    Kind::InvalidRequest,
                    "the body must not end early",
                )),
            }
        };
        let in_time = timer.deadline(BODY_TIMEOUT).race(pin!(whole)).await;
        let body = in_time.unwrap_or_else(|| {
            let detail = "the body must arrive within 10 seconds";
            Err(Problem::new(Kind::RequestTimeout, detail))
        });
        if body.is_err() {
            self.body.set(Some(Body::Abandoned(bytes)));
        }
        body
    }
}

impl Head for Request {
    fn method(&self) -> &str {
        match &self.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Other(method) => method,
            _ => "",
        }
    }

    fn path_and_query(&self) -> (&str, &str) {
        self.path_and_query
            .split_once('?')
            .unwrap_or((&self.path_and_query, ""))
    }

    fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.headers.get(name)
    }
}

/// The headers of a request. A background task may keep them after the request has been answered,
/// without keeping the body.
pub struct Headers(Fields);

impl Headers {
    /// Reads the headers of a request.
    pub fn of(request: &WasiRequest) -> Rc<Self> {
        Rc::new(Self(request.get_headers()))
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let values = self.0.get(name);
        (!values.is_empty()).then(|| values.join(&b", "[..]))
    }
}

impl Caller for Headers {
    fn traceparent(&self) -> Option<Vec<u8>> {
        self.get(trace::PARENT)
    }
}
