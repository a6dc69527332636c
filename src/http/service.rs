//! The way in and out: `wasi:http/handler@0.3.0`, through the types of `wasip3` as they are.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Method, Request as WasiRequest, Response};
use spin_sdk::wasip3::wit_future;

use super::answer::Answer;
use super::command::{Head, MAX_BODY};
use super::problem::{Kind, Problem};
use crate::deadline::Timer;
use crate::instance::Instance;
use crate::stream;
use crate::trace::{self, Caller};

/// How long the body of a request may take to arrive. Nothing else ends a request whose
/// caller sends a byte now and then, or no more at all.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request.
pub async fn handle(request: WasiRequest) -> Result<Response, ErrorCode> {
    let request = Request::new(request);
    let answered = async { super::answer(&*Instance::get().await, &request).await };
    let answer = trace::within(Some(request.caller()), answered).await;
    send(answer).await
}

/// A request, whose parts are asked of the host when they are needed.
pub struct Request {
    method: Method,
    path_and_query: String,
    headers: Rc<Headers>,
    request: Cell<Option<WasiRequest>>,
}

impl Request {
    /// The request as the host hands it in.
    pub fn new(request: WasiRequest) -> Self {
        Self {
            method: request.get_method(),
            path_and_query: request.get_path_with_query().unwrap_or_default(),
            headers: Headers::of(&request),
            request: Cell::new(Some(request)),
        }
    }

    /// For whom what it asks for is done.
    pub fn caller(&self) -> Rc<dyn Caller> {
        Rc::<Headers>::clone(&self.headers)
    }

    /// The body, which can be read once.
    pub async fn body(&self, timer: &Rc<Timer>) -> Result<Vec<u8>, Problem> {
        let Some(request) = self.request.take() else {
            return Ok(Vec::new());
        };
        let (_, result) = wit_future::new(|| Ok(()));
        let (bytes, trailers) = WasiRequest::consume_body(request, result);
        let whole = async {
            let body = stream::read(bytes, MAX_BODY).await;
            let body = body.ok_or_else(Problem::too_large)?;
            // There are no trailers of interest, but word of whether that was all of it.
            match trailers.await {
                Ok(_) => Ok(body),
                Err(_) => Err(Problem::new(
                    Kind::InvalidRequest,
                    "the body must not end early",
                )),
            }
        };
        let in_time = timer.deadline(BODY_TIMEOUT).race(whole).await;
        in_time.unwrap_or_else(|| {
            let detail = "the body must arrive within 10 seconds";
            Err(Problem::new(Kind::RequestTimeout, detail))
        })
    }
}

/// The headers of a request. What goes on for it when it has been answered, and keeps these, keeps
/// its body from nobody.
pub struct Headers(Fields);

impl Headers {
    /// Those of this request.
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
        self.get("traceparent")
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

/// Hands an answer to the host, in one packet.
pub async fn send(answer: Answer) -> Result<Response, ErrorCode> {
    let headers = answer.headers.into_iter();
    let headers = headers.map(|(name, value)| (name.to_owned(), value.into_owned().into_bytes()));
    single_packet_response::respond(answer.status, headers.collect(), answer.body).await
}
