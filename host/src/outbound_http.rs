//! Requests that a component sends: `wasi:http/client@0.3.0`, with Spin's rules.
//!
//! As in Spin: what `allowed_outbound_hosts` does not name is denied, connections are kept in one
//! pool for all applications of the process, without TCP_NODELAY, redirects are not followed,
//! and the options' time for the first byte includes connecting.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{Request, Response, Uri, header::HOST};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_http::p3::{RequestOptions, WasiHttpHooks, bindings::http::types::ErrorCode};

use crate::{allowed_hosts::AllowedHosts, waiting::Waiting};

type Body = UnsyncBoxBody<Bytes, ErrorCode>;
type Pool = Client<HttpsConnector<HttpConnector>, Body>;
type Sent = (Response<Body>, Transmission);
type Transmission = Box<dyn Future<Output = Result<(), ErrorCode>> + Send>;

/// Spin's, for what the options do not say.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The outbound HTTP of one instance.
pub(crate) struct OutboundHttp {
    allowed_hosts: Arc<AllowedHosts>,
    waiting: Waiting,
}

impl OutboundHttp {
    pub(crate) fn new(allowed_hosts: Arc<AllowedHosts>, waiting: Waiting) -> Self {
        Self {
            allowed_hosts,
            waiting,
        }
    }

    /// Whether the request may go out. One without an authority is for the application itself,
    /// which this host does not serve.
    fn allows(&self, uri: &Uri) -> bool {
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        has_host && self.allowed_hosts.allows(&uri.to_string(), "https")
    }
}

impl WasiHttpHooks for OutboundHttp {
    fn send_request(
        &mut self,
        request: Request<Body>,
        options: Option<RequestOptions>,
        _: Transmission,
    ) -> Box<dyn Future<Output = Result<Sent, TrappableError<ErrorCode>>> + Send> {
        let allowed = self.allows(request.uri());
        let waits = self.waiting.begin();
        Box::new(async move {
            let _waits = waits;
            if !allowed {
                return Err(ErrorCode::HttpRequestDenied.into());
            }
            Ok(send(request, options).await?)
        })
    }
}

async fn send(
    mut request: Request<Body>,
    options: Option<RequestOptions>,
) -> Result<Sent, ErrorCode> {
    // The client writes its own, from the address.
    request.headers_mut().remove(HOST);
    let first_byte = options.and_then(|options| options.first_byte_timeout);
    let sent = timeout(first_byte.unwrap_or(TIMEOUT), pool()?.request(request)).await;
    let response = sent.map_err(|_| ErrorCode::ConnectionReadTimeout)?;
    let response = response.map_err(|error| cause(&error))?;
    let done: Transmission = Box::new(async { Ok(()) });
    Ok((
        response.map(|body| body.map_err(interrupted).boxed_unsync()),
        done,
    ))
}

fn pool() -> Result<&'static Pool, ErrorCode> {
    static POOL: OnceLock<Option<Pool>> = OnceLock::new();
    let new = || {
        let https = HttpsConnectorBuilder::new().with_native_roots().ok()?;
        let connector = https.https_or_http().enable_all_versions().build();
        Some(Client::builder(TokioExecutor::new()).build(connector))
    };
    let pool = POOL.get_or_init(new).as_ref();
    pool.ok_or(ErrorCode::ConfigurationError)
}

/// What a component is told of a request that failed.
fn cause(error: &legacy::Error) -> ErrorCode {
    if error.is_connect() {
        ErrorCode::ConnectionRefused
    } else {
        ErrorCode::HttpProtocolError
    }
}

/// What a component is told of an answer whose body broke off.
fn interrupted(_: hyper::Error) -> ErrorCode {
    ErrorCode::HttpProtocolError
}
