//! The service: requests in, answers out.

use std::any::Any;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use spin_sdk::wasip3::http::types::{ErrorCode, Request as WasiRequest, Response};

use super::access;
use super::action::Action;
use super::answer::Answer;
use super::handlers::Handlers;
use super::problem::Problem;
use super::request::{Head as _, Request};
use super::server_timing;
use super::tokens::Tokens;
use crate::config::ConfigError;
use crate::instance::Instance;
use crate::log::checked;
use crate::rt::trace;

pub use super::handlers::FailedLookup;

/// The cache as an HTTP service.
pub struct Service {
    handlers: Handlers,
    tokens: Result<Tokens, ConfigError>,
}

impl Service {
    /// Configures the service by the variables of the host.
    pub fn configured(
        instance: Rc<Instance>,
        failed_lookup: FailedLookup,
    ) -> LocalBoxFuture<'static, Self> {
        Box::pin(async move {
            Self {
                handlers: Handlers {
                    instance,
                    failed_lookup,
                },
                tokens: checked(Tokens::read().await),
            }
        })
    }

    /// Answers a request.
    pub fn answer<'a>(&'a self, request: &'a Request) -> LocalBoxFuture<'a, Answer> {
        let answer = Box::pin(async move { finish(request, self.respond(request).await) });
        match self.handlers.instance.server_timing {
            true => Box::pin(server_timing::timed(answer)),
            false => answer,
        }
    }

    async fn respond(&self, request: &Request) -> Result<Answer, Problem> {
        let action = Action::parse(&self.tokens, request);
        let action = action.inspect_err(|problem| access::log_refused_token(problem, request))?;
        self.handlers.run(action, &self.tokens, request).await
    }
}

/// Answers a request of the host by the service, which may have to be made first.
pub async fn handle(
    request: WasiRequest,
    service: impl Future<Output = Rc<Service>>,
) -> Result<Response, ErrorCode> {
    let request = Request::new(request);
    let answered = async { service.await.answer(&request).await };
    let answer = trace::within(Some(request.caller()), pin!(answered)).await;
    send(answer, Box::new(request)).await
}

/// Turns the result of a request into its answer.
pub fn finish(request: &Request, result: Result<Answer, Problem>) -> Answer {
    let answer = result.unwrap_or_else(Answer::from);
    if request.method() == "HEAD" {
        answer.without_body()
    } else {
        answer
    }
}

/// Hands an answer to the host, in one packet. Keeps the request, or what is left of it, until the content
/// has been read.
pub async fn send(answer: Answer, request: Box<dyn Any>) -> Result<Response, ErrorCode> {
    let headers = answer.headers.into_iter();
    let headers = headers.map(|(name, value)| (name.to_owned(), value.into_owned().into_bytes()));
    single_packet_response::respond(answer.status, headers.collect(), answer.body, request).await
}
