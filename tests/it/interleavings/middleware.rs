//! The middleware, and the application behind it, which writes and answers when the test says so. The
//! host takes its place: as a component of the same instance it would answer by itself.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use provider_connection_cache_host::wasmtime;
use provider_connection_cache_host::wasmtime::component::{Accessor, Resource};
use provider_connection_cache_host::wasmtime_wasi_http::p3::bindings::Service;
use provider_connection_cache_host::wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use provider_connection_cache_host::wasmtime_wasi_http::p3::{
    Request, Response, WasiHttpView as _,
};
use provider_connection_cache_host::{App, HostState};

use super::instance::{Call, Said};
use super::origin::{Origin, Requests};
use crate::model::{Outcome, Seen};
use crate::support::connection::id;
use crate::support::handler::{HttpInstance, handle};
use crate::support::service::{READ_TOKEN, WRITE_TOKEN, path};

/// Starts the middleware before an application.
pub async fn before(application: &Origin, app: &Arc<App>) -> HttpInstance {
    let mut linker = app.linker().clone();
    let mut next = linker.instance("wasi:http/handler@0.3.0").expect("a name");
    let (reads, writes) = (application.reads.clone(), application.writes.clone());
    next.func_wrap_concurrent("handle", move |accessor, (request,)| {
        let (reads, writes) = (reads.clone(), writes.clone());
        Box::pin(async move { Ok((ask(accessor, &reads, &writes, request).await?,)) })
    })
    .expect("a new function");
    HttpInstance::linked(app, &linker).await
}

/// Asks the application behind the middleware.
async fn ask(
    accessor: &Accessor<HostState>,
    reads: &Requests,
    writes: &Requests,
    request: Resource<Request>,
) -> wasmtime::Result<Result<Resource<Response>, ErrorCode>> {
    let (request, _options) = accessor.with(|mut access| {
        let request = access.data_mut().http().table.delete(request)?;
        let request = request.into_http(access, async { Ok(()) });
        request.map_err(|_| wasmtime::Error::msg("no request"))
    })?;
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let application = match head.method {
        hyper::Method::GET => reads,
        _ => writes,
    };
    let body = String::from_utf8_lossy(&body).into_owned();
    let answer = application.ask(body).await?;
    let mut response = hyper::Response::builder().status(answer.status);
    let headers = answer.headers.lines();
    for (name, value) in headers.filter_map(|line| line.split_once(": ")) {
        response = response.header(name, value);
    }
    let response = response.body(Full::new(Bytes::from(answer.body)))?;
    let (response, _sent) = Response::from_http(response);
    accessor.with(|mut access| Ok(Ok(access.data_mut().http().table.push(response)?)))
}

impl Call {
    /// Makes the call by HTTP.
    pub async fn request(self, accessor: &Accessor<HostState>, service: &Service) -> Said {
        let (method, token, body) = match self {
            Self::Lookup => ("GET", READ_TOKEN, ""),
            Self::Put(value) => ("PUT", WRITE_TOKEN, value),
            other => unreachable!("{other:?} is none of HTTP"),
        };
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("http://localhost{}", path(&id(1))))
            .header("authorization", format!("Bearer {token}"))
            .body(Full::new(Bytes::from(body)));
        let request = request.expect("a request");
        let answer = handle(accessor, service, request).await;
        match (self, answer.status().as_u16()) {
            (Self::Lookup, 200) => {
                let found: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
                Said::Saw(Seen::Value(found["alias"].as_str().unwrap().to_owned()))
            }
            (Self::Lookup, 404) => Said::Saw(Seen::NotFound),
            (Self::Lookup, _) => Said::Nothing,
            (_, 204) => Said::Wrote(Outcome::Acknowledged),
            _ => Said::Wrote(Outcome::Unknown),
        }
    }
}
