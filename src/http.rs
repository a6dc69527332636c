//! The HTTP service: what comes in is let in and parsed by [`command`], over the table
//! [`route::ROUTES`], carried out by [`operation`], and goes out as an [`Answer`].

pub mod access;
pub mod answer;
pub mod body;
pub mod cache_status;
pub mod command;
pub mod metrics;
pub mod operation;
pub mod problem;
pub mod query;
pub mod route;
pub mod service;
pub mod stats;

use self::answer::Answer;
use self::command::{Command, Head as _};
use self::problem::{Kind, Problem};
use self::service::Request;
use crate::instance::Instance;
use crate::log;

/// The answer of this instance to any request.
pub async fn answer(instance: &Instance, request: &Request) -> Answer {
    finish(request, respond(instance, request).await)
}

/// What goes out when a request came to this.
pub fn finish(request: &Request, result: Result<Answer, Problem>) -> Answer {
    let answer = result.unwrap_or_else(Answer::from);
    if request.method() == "HEAD" {
        answer.without_body()
    } else {
        answer
    }
}

async fn respond(instance: &Instance, request: &Request) -> Result<Answer, Problem> {
    let command = Command::parse(&instance.tokens, request);
    let command = command.inspect_err(|problem| log_refused_token(problem, request))?;
    operation::run(command, instance, request).await
}

/// Who shows no token may not know better; who shows a wrong one has lost the right one, or tries.
pub fn log_refused_token(problem: &Problem, request: &Request) {
    let is_refused = matches!(problem.kind(), Kind::Unauthorized | Kind::Forbidden);
    if is_refused && request.header("authorization").is_some() {
        log::event(log::Event::TokenRefused, &[("reason", &problem.detail())]);
    }
}
