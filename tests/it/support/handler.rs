//! The export `wasi:http/handler` of a component, called without a server before it.

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes};
use provider_connection_cache_host::wasmtime::Store;
use provider_connection_cache_host::wasmtime::component::{Accessor, Linker};
use provider_connection_cache_host::wasmtime_wasi_http::p3::bindings::Service;
use provider_connection_cache_host::wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use provider_connection_cache_host::wasmtime_wasi_http::p3::{Request, Response};
use provider_connection_cache_host::{App, AppOptions, HostState};

use super::{in_repository, spin_component};

/// An instance of a component that answers HTTP.
pub struct HttpInstance {
    pub store: Store<HostState>,
    pub service: Service,
}

impl HttpInstance {
    /// Starts the HTTP service.
    pub async fn new(options: AppOptions) -> Self {
        let _there = spin_component();
        let app = App::load(&in_repository("spin.toml"), options).expect("it loads");
        Self::linked(&app, app.linker()).await
    }

    /// Starts the component of an application, whose imports are those of the linker.
    pub async fn linked(app: &App, linker: &Linker<HostState>) -> Self {
        let mut store = app.new_store();
        let service = Service::instantiate_async(&mut store, app.component(), linker).await;
        let service = service.expect("the component starts");
        Self { store, service }
    }
}

/// Returns the answer with its content.
pub async fn handle(
    accessor: &Accessor<HostState>,
    service: &Service,
    request: hyper::Request<Full<Bytes>>,
) -> hyper::Response<Bytes> {
    let (head, content) = request.into_parts();
    let content = content.map_err(|never| match never {});
    let request = hyper::Request::from_parts(head, content);
    let answer = answer(accessor, service, request).await;
    read(accessor, answer).await
}

/// Returns the answer, of which nothing has been read. A trap fails the test.
pub async fn answer(
    accessor: &Accessor<HostState>,
    service: &Service,
    request: hyper::Request<impl Body<Data = Bytes, Error = ErrorCode> + Send + 'static>,
) -> Response {
    let (request, _received) = Request::from_http(request);
    let answer = service.handle(accessor, request).await.expect("no trap");
    answer.expect("an answer")
}

/// Reads an answer.
pub async fn read(accessor: &Accessor<HostState>, answer: Response) -> hyper::Response<Bytes> {
    let answer = accessor.with(|access| answer.into_http(access, async { Ok(()) }));
    let (head, content) = answer.expect("an answer").into_parts();
    let content = content.collect().await.expect("content").to_bytes();
    hyper::Response::from_parts(head, content)
}
