//! The export `wasi:http/handler` of a component, called without a server before it.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use provider_connection_cache_host::HostState;
use provider_connection_cache_host::wasmtime::component::Accessor;
use provider_connection_cache_host::wasmtime_wasi_http::p3::Request;
use provider_connection_cache_host::wasmtime_wasi_http::p3::bindings::Service;

/// Returns the answer. A trap fails the test.
pub async fn handle(
    accessor: &Accessor<HostState>,
    service: &Service,
    request: hyper::Request<Full<Bytes>>,
) -> hyper::Response<Bytes> {
    let (request, _received) = Request::from_http(request);
    let answer = service.handle(accessor, request).await.expect("no trap");
    let answer = answer.expect("an answer");
    let answer = accessor.with(|access| answer.into_http(access, async { Ok(()) }));
    let (head, body) = answer.expect("an answer").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    hyper::Response::from_parts(head, body)
}
