//! The origin: the HTTP service in front of the database. The cache asks it for connections that are
//! not cached. To the middleware, the next component is the origin.

mod cache_control;
mod error;
mod http_date;
mod retry_after;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme, Trailers};
use spin_sdk::wasip3::wit_future;
use spin_sdk::wit_bindgen::rt::async_support::FutureReader;

pub(crate) use self::cache_control::{CacheControl, Freshness};
pub use self::error::Error;
pub(crate) use self::error::Health;

use crate::config::OriginConfig;
use crate::connection::{Id, ProviderConnection, entry};
use crate::log;
use crate::rt::clock;
use crate::rt::deadline::Timer;
use crate::rt::future_write::Write;
use crate::rt::stream;
use crate::rt::timings::{self, Part};
use crate::rt::trace;
use crate::stats::{Counter, Stats};

/// The largest answer that is read: 64 KiB, as much as `PUT` may store.
const MAX_BODY: usize = 64 * 1024;

/// The value of `User-Agent`. Common firewalls refuse a request without one.
const USER_AGENT: &str = concat!("provider-connection-cache/", env!("CARGO_PKG_VERSION"));

/// A response that will come.
pub type Responding = LocalBoxFuture<'static, Result<Response, ErrorCode>>;

/// How the cache reaches the origin. Each component chooses one.
pub struct Upstream {
    /// Sends a request. A component imports what this function calls.
    pub send: fn(Request) -> Responding,
    /// The value of `origin_url` if the variable is not set.
    pub default_url: Option<&'static str>,
    /// Whether all hosts ask the same origin. If each has its own, the failures of one say nothing of
    /// the others, and no host leaves its own alone.
    pub is_shared: bool,
}

impl Upstream {
    /// Sends requests out of the host, and only if `origin_url` is set.
    pub const HTTP: Self = Self {
        send: |request| Box::pin(client::send(request)),
        default_url: None,
        is_shared: true,
    };
}

/// The origin, and how to ask it.
pub(crate) struct Origin {
    config: OriginConfig,
    send: fn(Request) -> Responding,
    is_shared: bool,
    timer: Rc<Timer>,
    stats: Rc<Stats>,
    /// The last error. None if the last request succeeded.
    error: Cell<Option<Error>>,
}

/// An answer of the origin.
pub(crate) struct Fetched {
    /// None if there is no such connection.
    pub(crate) connection: Option<ProviderConnection>,
    pub(crate) cache_control: CacheControl,
}

/// A request without a usable answer.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// How long the origin wants to be left alone, if it says so.
    pub(crate) retry_after: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
        }
    }
}

impl Origin {
    pub(crate) fn new(
        config: OriginConfig,
        upstream: &Upstream,
        timer: Rc<Timer>,
        stats: Rc<Stats>,
    ) -> Self {
        Self {
            config,
            send: upstream.send,
            is_shared: upstream.is_shared,
            timer,
            stats,
            error: Cell::new(None),
        }
    }

    /// Returns true if all hosts ask the same origin.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Asks for a connection.
    pub(crate) async fn fetch(&self, id: Id) -> Result<Fetched, Failure> {
        let _part = timings::begin(Part::Origin);
        self.stats.increment(Counter::OriginRequests);
        let deadline = self.timer.deadline(self.config.timeout);
        let fetched = deadline.race(pin!(self.exchange(id))).await;
        let fetched = fetched.unwrap_or_else(|| Err(Error::Timeout.into()));
        let error = fetched.as_ref().err().map(|failure| failure.error);
        if let Some(error) = error {
            self.stats.increment(Counter::OriginFailures);
            // One line for as long as it fails in the same way, not one for each request.
            if self.error.get() != Some(error) {
                let event = match error.is_refusal() {
                    true => log::Event::OriginRefused,
                    false => log::Event::OriginFailed,
                };
                log::event(event, &[("reason", &error)]);
            }
        }
        self.error.set(error);
        fetched
    }

    async fn exchange(&self, id: Id) -> Result<Fetched, Failure> {
        let (writer, trailers) = wit_future::new(|| Ok(None));
        let sent = (self.send)(self.request(id, trailers)?);
        let response = Write::new(writer, Ok(None)).beside(sent).await;
        let response = response.map_err(|error| Error::from_send(&error))?;
        let status = response.get_status_code();
        let head = Head::read(&response.get_headers());
        let connection = match status {
            200 if head.is_encoded => return Err(Error::Encoded.into()),
            200 => Some(connection(id, &body(response).await?)?),
            404 | 410 => None,
            _ => {
                return Err(Failure {
                    error: Error::Status(status),
                    retry_after: head.retry_after.filter(|_| matches!(status, 429 | 503)),
                });
            }
        };
        Ok(Fetched {
            connection,
            cache_control: head.cache_control,
        })
    }

    fn request(
        &self,
        id: Id,
        trailers: FutureReader<Result<Option<Trailers>, ErrorCode>>,
    ) -> Result<Request, Error> {
        let mut headers = vec![
            ("accept".to_owned(), b"application/json".to_vec()),
            ("accept-encoding".to_owned(), b"identity".to_vec()),
            ("user-agent".to_owned(), USER_AGENT.into()),
        ];
        if let Some(token) = &self.config.token {
            let bearer = format!("Bearer {}", token.expose());
            headers.push(("authorization".to_owned(), bearer.into_bytes()));
        }
        // The caller's other headers are the caller's own affair.
        if let Some(parent) = trace::parent_to_pass_on() {
            headers.push((trace::PARENT.to_owned(), parent.into_bytes()));
        }
        let refused = |()| Error::NotAllowed;
        let headers = Fields::from_list(&headers).map_err(|_| Error::NotAllowed)?;
        let (request, _sent) = Request::new(headers, None, trailers, None);
        let url = &self.config.url;
        let scheme = match url.is_https() {
            true => Scheme::Https,
            false => Scheme::Http,
        };
        request.set_scheme(Some(&scheme)).map_err(refused)?;
        let authority = Some(url.authority());
        request.set_authority(authority).map_err(refused)?;
        let target = url.target(id);
        request
            .set_path_with_query(Some(&target))
            .map_err(refused)?;
        Ok(request)
    }
}

/// What the headers of a response say.
struct Head {
    cache_control: CacheControl,
    retry_after: Option<Duration>,
    is_encoded: bool,
}

impl Head {
    fn read(headers: &Fields) -> Self {
        let (now, _) = clock::now().parts();
        let now = u64::try_from(now).unwrap_or(0);
        // The clock of the origin may be wrong, but then its dates are wrong by as much.
        let date = headers.get("date");
        let date = date.first().and_then(|date| http_date::parse(date));
        let retry_after = headers.get("retry-after");
        let retry_after = retry_after.first();
        Self {
            cache_control: CacheControl::read(|name| headers.get(name), now),
            retry_after: retry_after
                .and_then(|value| retry_after::parse(value, date.unwrap_or(now))),
            is_encoded: headers
                .get("content-encoding")
                .iter()
                .any(|line| encodes(line)),
        }
    }
}

/// Returns true if a value of `Content-Encoding` names a coding (RFC 9110, section 8.4). `identity` is
/// none.
pub(crate) fn encodes(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|coding| {
        let coding = coding.trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    })
}

fn connection(id: Id, body: &[u8]) -> Result<ProviderConnection, Error> {
    entry::decode_stored(id, body).map_err(|corrupt| {
        log::event(
            log::Event::CorruptAnswer,
            &[("id", &id), ("reason", &corrupt)],
        );
        Error::Unreadable
    })
}

/// Reads the whole body of a response.
async fn body(response: Response) -> Result<Vec<u8>, Error> {
    let (writer, result) = wit_future::new(|| Ok(()));
    let (mut bytes, trailers) = Response::consume_body(response, result);
    let whole = async {
        let body = stream::read(&mut bytes, MAX_BODY).await;
        let body = body.ok_or(Error::TooLarge)?;
        // The trailers themselves do not matter, but their error tells that the body was cut off.
        trailers.await.map_err(|_| Error::CutOff)?;
        Ok(body)
    };
    Write::new(writer, Ok(())).beside(whole).await
}
