//! The HTTP service: what comes in is matched against [`route::ROUTES`], let in by
//! [`access`], carried out by [`operation`], and goes out as an [`Answer`].

pub mod access;
pub mod answer;
pub mod operation;
pub mod problem;
pub mod query;
pub mod route;
pub mod service;

use self::access::Grant;
use self::answer::Answer;
use self::operation::Call;
use self::problem::{Kind, Problem};
use self::query::Query;
use self::route::{Access, Found};
use self::service::Request;
use crate::instance::Instance;

/// The answer of this instance to any request.
pub async fn answer(instance: &Instance, request: Request) -> Answer {
    let head = request.method() == "HEAD";
    let answer = match respond(instance, request).await {
        Ok(answer) => answer,
        Err(problem) => problem.into(),
    };
    if head { answer.without_body() } else { answer }
}

async fn respond(instance: &Instance, request: Request) -> Result<Answer, Problem> {
    let (path, query) = request.path_and_query();
    let found = route::find(request.method(), path);
    // What needs no token needs none to be found either; all else is shown to nobody
    // who has no token, not even whether it exists.
    let access = found.access();
    let grant = match access {
        Access::Anyone => Grant::Nothing,
        Access::Read | Access::Write => access::grant(&instance.tokens, &request)?,
    };
    match found {
        Found::Route { route, id } => {
            grant.require(access)?;
            let query = Query::parse(query, route.query)?;
            let call = Call {
                cache: &instance.cache,
                grant,
                id: &id,
                query,
                request: &request,
            };
            operation::run(route.operation, call).await
        }
        Found::OtherMethod { allow, .. } => {
            let problem = Problem::new(Kind::MethodNotAllowed, format!("use {allow}"));
            Err(problem.with_header("allow", allow))
        }
        Found::Nothing => Err(Problem::new(Kind::NoSuchRoute, "see /openapi.json")),
    }
}
