//! The origin: the HTTP service in front of the database, which is asked for what is not cached.
//! For middleware it is the next component of the chain.

mod cache_control;
mod failure;
mod url;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

#[cfg(not(feature = "middleware"))]
use spin_sdk::wasip3::http::client::send;
use spin_sdk::wasip3::http::types::{Fields, Request, Response, Scheme};
use spin_sdk::wasip3::wit_future;

pub use self::cache_control::Freshness;
pub use self::failure::Failure;
pub use self::url::Url;

use crate::config::Secret;
use crate::connection::{Id, ProviderConnection};
use crate::deadline::Timer;
use crate::entry;
use crate::log;
#[cfg(feature = "middleware")]
use crate::next::handle as send;
use crate::stats::{Event, Stats};
use crate::stream;

/// The largest answer that is taken: 64 KiB, as much as a `PUT` may store.
const MAX_BODY: usize = 64 * 1024;

/// The origin, and what it takes to ask it.
pub struct Origin {
    /// Where a connection is found.
    pub url: Url,
    /// What is shown to it.
    pub token: Option<Secret>,
    /// How long it may take to answer, connecting and the whole body included.
    pub timeout: Duration,
    /// Ends what takes too long.
    pub timer: Rc<Timer>,
    /// Counts how often it is asked, and fails.
    pub stats: Rc<Stats>,
    /// How it failed last; none if it did not.
    pub failure: Cell<Option<Failure>>,
}

/// What the origin says.
pub struct Answer {
    /// The connection; none if there is none.
    pub connection: Option<ProviderConnection>,
    /// How long that may be kept.
    pub freshness: Freshness,
}

impl Origin {
    /// Asks for a connection.
    pub async fn ask(&self, id: Id) -> Result<Answer, Failure> {
        self.stats.happen(Event::OriginRequest);
        let deadline = self.timer.deadline(self.timeout);
        let answer = deadline.race(self.exchange(id)).await;
        let answer = answer.unwrap_or(Err(Failure::Timeout));
        let failure = answer.as_ref().err().copied();
        if let Some(failure) = failure {
            self.stats.happen(Event::OriginFailure);
            // One line for as long as it fails in the same way, not one for each request.
            if self.failure.get() != Some(failure) {
                log::event(log::Event::OriginFailed, &[("reason", &failure)]);
            }
        }
        self.failure.set(failure);
        answer
    }

    async fn exchange(&self, id: Id) -> Result<Answer, Failure> {
        let response = send(self.request(id)?).await;
        let response = response.map_err(|error| Failure::from_send(&error))?;
        let freshness = Freshness::of(&response.get_headers());
        let connection = match response.get_status_code() {
            200 => Some(connection(id, &body(response).await?)?),
            404 => None,
            status => return Err(Failure::Status(status)),
        };
        Ok(Answer {
            connection,
            freshness,
        })
    }

    fn request(&self, id: Id) -> Result<Request, Failure> {
        let mut headers = vec![("accept".to_owned(), b"application/json".to_vec())];
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {}", token.expose());
            headers.push(("authorization".to_owned(), bearer.into_bytes()));
        }
        let refused = |()| Failure::NotAllowed;
        let headers = Fields::from_list(&headers).map_err(|_| Failure::NotAllowed)?;
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (request, _sent) = Request::new(headers, None, trailers, None);
        let scheme = match self.url.is_https() {
            true => Scheme::Https,
            false => Scheme::Http,
        };
        request.set_scheme(Some(&scheme)).map_err(refused)?;
        let authority = Some(self.url.authority());
        request.set_authority(authority).map_err(refused)?;
        let target = self.url.target(id);
        request
            .set_path_with_query(Some(&target))
            .map_err(refused)?;
        Ok(request)
    }
}

fn connection(id: Id, body: &[u8]) -> Result<ProviderConnection, Failure> {
    entry::decode_stored(id, body).map_err(|corrupt| {
        log::event(
            log::Event::CorruptAnswer,
            &[("id", &id), ("reason", &corrupt)],
        );
        Failure::Unreadable
    })
}

/// The body of a response, if all of it came and it is not too large.
async fn body(response: Response) -> Result<Vec<u8>, Failure> {
    let (_, result) = wit_future::new(|| Ok(()));
    let (bytes, trailers) = Response::consume_body(response, result);
    let body = stream::read(bytes, MAX_BODY).await;
    let body = body.ok_or(Failure::TooLarge)?;
    // There are no trailers of interest, but word of whether that was all of it.
    trailers.await.map_err(|_| Failure::CutOff)?;
    Ok(body)
}
