//! The HTTP service: routes, token, and the faults.

use std::{
    convert::Infallible,
    future::{pending, ready},
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Error, Result, anyhow};
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    header::{
        ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue,
        LOCATION, WWW_AUTHENTICATE,
    },
};
use rusqlite::ErrorCode;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use tokio::{task::yield_now, time::sleep};
use uuid::Uuid;

use crate::{database::Database, fault::Fault, received::Received};

const CONNECTIONS: &str = "/connections/";
const MAX_ENTRY: usize = 64 * 1024;

type Body = UnsyncBoxBody<Bytes, Error>;

/// What can be changed while it runs.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) fault: Fault,
    pub(crate) cache_control: Option<HeaderValue>,
    /// More headers of every answer to a lookup. A `Date` takes the place of the usual one.
    pub(crate) headers: HeaderMap,
}

pub(crate) struct Service {
    database: Database,
    address: SocketAddr,
    token: Option<String>,
    settings: Mutex<Settings>,
    received: Mutex<Received>,
}

impl Service {
    pub(crate) fn new(database: Database, address: SocketAddr, token: Option<String>) -> Self {
        Self {
            database,
            address,
            token,
            settings: Mutex::default(),
            received: Mutex::default(),
        }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, id: &str) -> String {
        format!("http://{}{CONNECTIONS}{id}", self.address)
    }

    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        Ok(self.route(request).await.unwrap_or_else(|error| {
            eprintln!("Error: {error:#}");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "see the log")
        }))
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Body>> {
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let id = path.strip_prefix(CONNECTIONS);
        if let (&Method::GET, Some(id)) = (&method, id) {
            let target = request.uri().path_and_query();
            self.received().record(
                id,
                target.map_or(&path, |target| target.as_str()),
                request.headers(),
            );
        }
        if path == "/health" {
            return Ok(json_response(&json!({"status": "ok"})));
        }
        if !self.lets_in(&request) {
            let refusal = problem(StatusCode::UNAUTHORIZED, "a bearer token is needed");
            return Ok(with(refusal, WWW_AUTHENTICATE, "Bearer"));
        }
        let Some(id) = id else {
            return Ok(match path.as_str() {
                "/requests" => json_response(&json!({"requests": self.received().total()})),
                _ => problem(StatusCode::NOT_FOUND, "there is nothing here"),
            });
        };
        if !is_canonical(id) {
            return Ok(problem(
                StatusCode::BAD_REQUEST,
                "the id is no canonical UUID",
            ));
        }
        match method {
            Method::GET => {
                let mut response = self.look_up(id).await?;
                let more = self.settings().headers.clone();
                for (name, value) in &more {
                    response.headers_mut().append(name, value.clone());
                }
                Ok(response)
            }
            Method::PUT => self.change(id, request.into_body()).await,
            Method::DELETE => Ok(done(self.database.remove(id)?)),
            _ => {
                let refusal = problem(StatusCode::METHOD_NOT_ALLOWED, "not this method");
                Ok(with(refusal, ALLOW, "GET, PUT, DELETE"))
            }
        }
    }

    fn lets_in(&self, request: &Request<Incoming>) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let header = request.headers().get(AUTHORIZATION);
        header
            .and_then(|header| header.as_bytes().split_at_checked("Bearer ".len()))
            .is_some_and(|(scheme, given)| {
                scheme.eq_ignore_ascii_case(b"Bearer ") && given.ct_eq(token.as_bytes()).into()
            })
    }

    async fn look_up(&self, id: &str) -> Result<Response<Body>> {
        let (fault, cache_control) = {
            let settings = self.settings();
            (settings.fault, settings.cache_control.clone())
        };
        match fault {
            Fault::Hang => pending().await,
            Fault::Status(status) => {
                return Ok(problem(
                    StatusCode::from_u16(status)?,
                    "it was told to fail",
                ));
            }
            _ => {}
        }
        let found = match fault {
            Fault::OtherId | Fault::Redirect => self.database.other(id)?,
            _ => self.database.get(id)?,
        };
        // Only now: what it says is as old as it is late.
        if let Fault::Slow(time) = fault {
            sleep(time).await;
        }
        let Some(connection) = found else {
            return Ok(kept(not_found(), cache_control));
        };
        let entry = serde_json::to_string(&connection)?;
        let response = match fault {
            Fault::Garbage => json_body(full("<html>Back soon</html>".to_owned())),
            Fault::Large => json_body(large(entry)),
            Fault::Cut => cut(entry),
            Fault::Redirect => {
                let mut response = empty(StatusCode::FOUND);
                let url = self.url(&connection.id).try_into()?;
                response.headers_mut().insert(LOCATION, url);
                return Ok(response);
            }
            _ => json_body(full(entry)),
        };
        Ok(kept(response, cache_control))
    }

    async fn change(&self, id: &str, body: Incoming) -> Result<Response<Body>> {
        let Ok(body) = Limited::new(body, MAX_ENTRY).collect().await else {
            return Ok(problem(
                StatusCode::BAD_REQUEST,
                "the body is cut off, or too large",
            ));
        };
        let changed = serde_json::from_slice(&body.to_bytes())
            .map_err(Error::from)
            .and_then(|changes| self.database.update(id, &changes));
        match changed {
            Ok(changed) => Ok(done(changed)),
            Err(error) if is_refusal(&error) => {
                Ok(problem(StatusCode::BAD_REQUEST, &error.to_string()))
            }
            Err(error) => Err(error),
        }
    }
}

fn is_canonical(id: &str) -> bool {
    Uuid::try_parse(id).is_ok_and(|uuid| uuid.to_string() == id)
}

/// Whether it is the change that is wrong, not the database.
fn is_refusal(error: &Error) -> bool {
    error.downcast_ref().is_none_or(|error: &rusqlite::Error| {
        error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
    })
}

fn done(found: bool) -> Response<Body> {
    if found {
        empty(StatusCode::NO_CONTENT)
    } else {
        not_found()
    }
}

fn kept(mut response: Response<Body>, cache_control: Option<HeaderValue>) -> Response<Body> {
    if let Some(value) = cache_control {
        response.headers_mut().insert(CACHE_CONTROL, value);
    }
    response
}

fn not_found() -> Response<Body> {
    problem(StatusCode::NOT_FOUND, "there is no such connection")
}

fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let title = status.canonical_reason();
    let mut response =
        json_response(&json!({"title": title, "status": status.as_u16(), "detail": detail}));
    *response.status_mut() = status;
    with(response, CONTENT_TYPE, "application/problem+json")
}

fn json_response(value: &Value) -> Response<Body> {
    json_body(full(value.to_string()))
}

fn json_body(body: Body) -> Response<Body> {
    with(Response::new(body), CONTENT_TYPE, "application/json")
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(String::new()));
    *response.status_mut() = status;
    response
}

fn with(mut response: Response<Body>, name: HeaderName, value: &'static str) -> Response<Body> {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
    response
}

fn full(text: String) -> Body {
    Full::from(text)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// In chunks, without a length that would warn of it. What is too much is spaces: the entry would
/// be read by whoever reads its beginning alone.
fn large(mut entry: String) -> Body {
    entry.push_str(&" ".repeat(MAX_ENTRY));
    let frame = ready(Ok(Frame::data(Bytes::from(entry))));
    StreamBody::new(stream::once(frame)).boxed_unsync()
}

fn cut(entry: String) -> Response<Body> {
    let length = entry.len();
    let half = Bytes::from(entry).slice(..length / 2);
    let close = async {
        // Hyper sends what it has only while it waits for more.
        yield_now().await;
        Err(anyhow!("it was told to fail"))
    };
    let frames = stream::once(ready(Ok(Frame::data(half)))).chain(stream::once(close));
    let mut response = json_body(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}
