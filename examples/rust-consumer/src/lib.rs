//! `GET /sync/{id}` says whether a provider connection can be synced now: 200 if it can, 409 if it
//! cannot, 404 if there is none.
//!
//! That is cache-aside: the cache is asked first; on a miss the database, whose answer is stored in
//! the cache for whoever asks next. The cache is a component inside this one, which alone sees Redis.

mod database;

use serde::Serialize;
use spin_sdk::wasip3::http::types::{ErrorCode, Method, Request, Response};

mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit",
        inline: "package example:rust-consumer;
                 world rust-consumer { import provider:connection-cache/cache@0.1.0; }",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use bindings::provider::connection_cache::cache;
use bindings::provider::connection_cache::types::ConnectionStatus;

struct Consumer;

spin_sdk::wasip3::http::service::export!(Consumer with_types_in spin_sdk::wasip3);

impl spin_sdk::wasip3::exports::http::handler::Guest for Consumer {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let (status, media_type, body) = match respond(&request).await {
            Ok(state) => {
                let status = if state.can_sync { 200 } else { 409 };
                (status, "application/json", serde_json::to_vec(&state))
            }
            Err(problem) => {
                let body = serde_json::to_vec(&problem);
                (problem.status, "application/problem+json", body)
            }
        };
        let body = body.map_err(|_| ErrorCode::InternalError(None))?;
        let mut headers = vec![("content-type".to_owned(), media_type.into())];
        if status == 405 {
            headers.push(("allow".to_owned(), b"GET".to_vec()));
        }
        single_packet_response::respond(status, headers, Some(body), request).await
    }
}

/// What is answered of a connection.
#[derive(Serialize)]
struct State {
    id: String,
    status: &'static str,
    can_sync: bool,
    source: &'static str,
}

/// What is answered if there is none (RFC 9457).
#[derive(Serialize)]
struct Problem {
    title: &'static str,
    status: u16,
    detail: String,
}

impl Problem {
    fn new(status: u16, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            title,
            status,
            detail,
        }
    }

    fn not_found(detail: &str) -> Self {
        Self::new(404, "Not Found", detail)
    }
}

async fn respond(request: &Request) -> Result<State, Problem> {
    let target = request.get_path_with_query().unwrap_or_default();
    let (path, _query) = target.split_once('?').unwrap_or((&target, ""));
    let Some(id) = path.strip_prefix("/sync/") else {
        return Err(Problem::not_found("no such resource"));
    };
    match request.get_method() {
        Method::Get => state(id).await,
        _ => Err(Problem::new(
            405,
            "Method Not Allowed",
            "only GET is allowed",
        )),
    }
}

async fn state(id: &str) -> Result<State, Problem> {
    // The summary: this consumer has no use for credentials, so it never gets them.
    let summary = match cache::get_summary(id.to_owned()).await {
        Ok(summary) => summary,
        Err(cache::Error::InvalidArgument(rule)) => {
            return Err(Problem::new(400, "Bad Request", rule));
        }
        Err(cache::Error::Unavailable(_)) => None,
    };
    if let Some(summary) = summary {
        return Ok(State {
            id: summary.id,
            status: name(summary.status),
            can_sync: summary.can_sync,
            source: "cache",
        });
    }
    let connection = database::find(id);
    let connection = connection.ok_or_else(|| Problem::not_found("no such connection"))?;
    let state = State {
        id: connection.id.clone(),
        status: name(connection.status),
        can_sync: database::can_sync(&connection),
        source: "database",
    };
    // Stored or not, the caller has the answer: the next one asks the database again.
    if let Err(cache::Error::Unavailable(reason) | cache::Error::InvalidArgument(reason)) =
        cache::set(connection, None).await
    {
        eprintln!("{} is not cached: {reason}", state.id);
    }
    Ok(state)
}

fn name(status: ConnectionStatus) -> &'static str {
    match status {
        ConnectionStatus::Pending => "pending",
        ConnectionStatus::Active => "active",
        ConnectionStatus::Expired => "expired",
        ConnectionStatus::Revoked => "revoked",
        ConnectionStatus::Failed => "failed",
        ConnectionStatus::Disconnected => "disconnected",
    }
}
