//! The HTTP service: what comes in is let in and parsed by [`command`], over the table
//! [`route::ROUTES`], carried out by [`operation`], and goes out as an [`Answer`].

pub mod access;
pub mod answer;
pub mod body;
pub mod cache_status;
pub mod command;
pub mod operation;
pub mod problem;
pub mod query;
pub mod route;
pub mod service;

use self::answer::Answer;
use self::command::{Command, Head as _};
use self::problem::Problem;
use self::service::Request;
use crate::instance::Instance;

/// The answer of this instance to any request.
pub async fn answer(instance: &Instance, request: Request) -> Answer {
    let answer = match respond(instance, &request).await {
        Ok(answer) => answer,
        Err(problem) => problem.into(),
    };
    if request.method() == "HEAD" {
        answer.without_body()
    } else {
        answer
    }
}

async fn respond(instance: &Instance, request: &Request) -> Result<Answer, Problem> {
    let command = Command::parse(&instance.tokens, request)?;
    operation::run(command, instance, request).await
}
