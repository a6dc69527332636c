//! The HTTP server: hyper, as Spin has it.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use tokio::net::TcpListener;
use wasmtime_wasi_http::{
    handler::{ErrorCode, ProxyHandler},
    p3::bindings::{ServicePre, http::types},
};

use crate::{
    app::App,
    component::AppComponent,
    counted::Counted,
    request::{add_headers, complete_uri, strip_headers},
    route::{RouteMatch, WELL_KNOWN_PREFIX},
    state::HostState,
    workers::{InstanceReuse, Workers},
};

/// Of an answer.
type Body = UnsyncBoxBody<Bytes, wasmtime::Error>;

/// Serves `app` on `listener` until the future is dropped or accepting a connection fails.
///
/// Fails at once if a component does not export `wasi:http/handler@0.3`, or imports something
/// that the host does not offer.
pub async fn serve(app: Arc<App>, listener: TcpListener, reuse: InstanceReuse) -> Result<()> {
    serve_with(app, listener, Arc::new(move || reuse)).await
}

/// As [`serve`], but asks for the reuse of each new instance, so that it can differ.
// Not generic: each crate that calls it would compile all of the server anew.
pub async fn serve_with(
    app: Arc<App>,
    listener: TcpListener,
    reuse: Arc<dyn Fn() -> InstanceReuse + Send + Sync>,
) -> Result<()> {
    let handler = |component: &Arc<AppComponent>| {
        let workers = Workers {
            component: Arc::clone(component),
            service: service(&app, component)
                .with_context(|| format!("component {:?}", component.id()))?,
            reuse: Arc::clone(&reuse),
        };
        Ok((component.id().to_owned(), ProxyHandler::new(workers)))
    };
    let handlers = app.components().iter().map(handler);
    let server = Arc::new(Server {
        handlers: handlers.collect::<Result<_>>()?,
        app,
    });
    loop {
        let (stream, client) = listener.accept().await?;
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let log = server.app.log().clone();
            let stream = Counted::new(stream, server.app.writes_counter());
            let service = service_fn(move |request| Arc::clone(&server).answer(request, client));
            let served = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            // What a client did wrong, such as going away early, is no news.
            if let Err(error) = served
                && error
                    .downcast_ref::<hyper::Error>()
                    .is_some_and(hyper::Error::is_user)
            {
                log.line(&format!("Error serving HTTP connection: {error:?}"));
            }
        });
    }
}

fn service(app: &App, component: &AppComponent) -> Result<ServicePre<HostState>> {
    let instance = app
        .linker()
        .instantiate_pre(component.compiled())
        .map_err(anyhow::Error::from)
        .context("it imports what this host does not offer")?;
    ServicePre::new(instance)
        .map_err(anyhow::Error::from)
        .context("it must export wasi:http/handler@0.3 to be served")
}

struct Server {
    app: Arc<App>,
    /// By the id of the component.
    handlers: BTreeMap<String, ProxyHandler<Workers>>,
}

impl Server {
    /// An error closes the connection without an answer.
    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Response<Body>> {
        strip_headers(&mut request);
        let path = request.uri().path();
        if let Some(well_known) = path.strip_prefix(WELL_KNOWN_PREFIX) {
            return Ok(match well_known {
                "health" => Response::new(body(Full::from("OK"))),
                _ => status(StatusCode::NOT_FOUND),
            });
        }
        let Some(matched) = self.app.routes().find(path) else {
            return Ok(status(StatusCode::NOT_FOUND));
        };
        complete_uri(&mut request)?;
        let response = self.answer_from_component(request, &matched, client).await;
        Ok(response.unwrap_or_else(|error| {
            let log = self.app.log();
            log.line(&format!("Error processing request: {error:?}"));
            status(StatusCode::INTERNAL_SERVER_ERROR)
        }))
    }

    async fn answer_from_component(
        &self,
        mut request: Request<Incoming>,
        matched: &RouteMatch<'_>,
        client: SocketAddr,
    ) -> Result<Response<Body>> {
        add_headers(&mut request, matched.route, &matched.path_info, client)?;
        let request = request.map(|body| body.map_err(unreadable).boxed_unsync());
        let handler = self.handlers.get(matched.component);
        let handler =
            handler.with_context(|| format!("unknown component {:?}", matched.component))?;
        Ok(handler.handle((), request).await?)
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body(Empty::new()));
    *response.status_mut() = status;
    response
}

fn body<B>(body: B) -> Body
where
    B: http_body_util::BodyExt<Data = Bytes, Error = Infallible> + Send + 'static,
{
    body.map_err(|never| match never {}).boxed_unsync()
}

/// What a component is told of a request whose body broke off.
fn unreadable(_: hyper::Error) -> ErrorCode {
    types::ErrorCode::HttpProtocolError.into()
}
