//! Every kind of answer that is sent: who sends it, and what it is asked with.

use std::path::PathBuf;

use serde_json::json;

use super::connection::{entry, id};
use super::raw::{bearer, request};
use super::redis::{Redis, free_port};
use super::secrets::{EXPLORER_TOKEN, ORIGIN_TOKEN};
use super::service::{BASE, READ_TOKEN, WRITE_TOKEN, path};
use super::{
    Variables, application, in_repository, middleware_component, python_consumer, rust_consumer,
    spin_component, variables,
};

/// How many ids each kind is asked for in turn.
const IDS: usize = 100;

/// Connections that are cached, that are not, and that are written.
const CACHED: usize = 0;
const MISSING: usize = 5_000;
const WRITTEN: usize = 6_000;
/// The connection whose entry has 64 KiB.
const LARGE: usize = 7_000;

/// A kind of answer.
pub struct Kind {
    pub name: &'static str,
    pub sender: Sender,
    pub status: u16,
    /// Requests that are all answered so, one after the other.
    pub requests: Vec<String>,
}

/// An application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// `spin.toml`.
    Service,
    /// `spin.toml` without tokens, and without a Redis.
    Closed,
    Middleware,
    RustConsumer,
    PythonConsumer,
}

impl Sender {
    pub const ALL: [Self; 5] = [
        Self::Service,
        Self::Closed,
        Self::Middleware,
        Self::RustConsumer,
        Self::PythonConsumer,
    ];

    /// Its manifest, whose components are built.
    pub fn manifest(self) -> PathBuf {
        match self {
            Self::Service | Self::Closed => {
                let _there = spin_component();
                in_repository("spin.toml")
            }
            Self::Middleware => {
                let _there = (application(), middleware_component());
                in_repository("examples/middleware/spin.toml")
            }
            Self::RustConsumer => {
                let _there = rust_consumer();
                in_repository("examples/rust-consumer/spin.toml")
            }
            Self::PythonConsumer => {
                let _there = python_consumer();
                in_repository("examples/python-consumer/spin.toml")
            }
        }
    }

    /// Its variables, over this Redis.
    pub fn variables(self, redis: &Redis) -> Variables {
        let tokens = [("read_token", READ_TOKEN), ("write_token", WRITE_TOKEN)];
        match self {
            Self::Service => {
                let explorer = [("explorer_token", EXPLORER_TOKEN)];
                variables(redis, &[&tokens[..], &explorer].concat())
            }
            Self::Closed => {
                let nowhere = format!("redis://127.0.0.1:{}", free_port());
                variables(redis, &[("redis_address", &nowhere)])
            }
            Self::Middleware => {
                let origin = [
                    ("origin_token", ORIGIN_TOKEN),
                    ("origin_timeout_ms", "30000"),
                ];
                variables(redis, &[&tokens[..], &origin].concat())
            }
            Self::RustConsumer | Self::PythonConsumer => variables(redis, &[]),
        }
    }
}

/// Stores what the kinds ask for.
pub fn store(redis: &Redis) {
    let key = |number| format!("provider:conn:{}", id(number));
    for number in CACHED..CACHED + IDS {
        redis.set(&key(number), entry(&id(number)).to_string());
    }
    let mut large = entry(&id(LARGE));
    let length = large.to_string().len();
    let text = large["credentials"]["encrypted_data"]
        .as_str()
        .expect("text");
    let text = format!("{text}{}", "x".repeat((64 << 10) - length));
    large["credentials"]["encrypted_data"] = json!(text);
    redis.set(&key(LARGE), large.to_string());
}

/// Every kind but `408`, which takes ten seconds.
pub fn kinds() -> Vec<Kind> {
    let to = |sender, name, status, requests| Kind {
        name,
        sender,
        status,
        requests,
    };
    let service = |name, status, requests| to(Sender::Service, name, status, requests);
    let one = |name, status, request| service(name, status, vec![request]);
    let cached = || (CACHED..CACHED + IDS).map(|number| path(&id(number)));
    let missing = || (MISSING..MISSING + IDS).map(|number| path(&id(number)));
    let get = |path: &str| with(READ_TOKEN, "GET", path);
    let put = |token: &str, number: usize| {
        let body = entry(&id(number)).to_string();
        with_json(token, "PUT", &path(&id(number)), &body)
    };
    let written = || WRITTEN..WRITTEN + IDS;
    let first = path(&id(CACHED));
    let batch: Vec<_> = (CACHED..CACHED + IDS).map(id).collect();
    let batch = json!({ "ids": batch }).to_string();
    let explorer = |path: &str| with(EXPLORER_TOKEN, "GET", &format!("/explorer/{path}"));
    vec![
        service("hit", 200, cached().map(|path| get(&path)).collect()),
        service("miss", 404, missing().map(|path| get(&path)).collect()),
        service(
            "hit, view=full",
            200,
            cached()
                .map(|path| with(WRITE_TOKEN, "GET", &format!("{path}?view=full")))
                .collect(),
        ),
        one(
            "hit of 64 KiB, view=full",
            200,
            with(
                WRITE_TOKEN,
                "GET",
                &format!("{}?view=full", path(&id(LARGE))),
            ),
        ),
        service(
            "HEAD",
            200,
            cached()
                .map(|path| with(READ_TOKEN, "HEAD", &path))
                .collect(),
        ),
        service(
            "hit, 304",
            304,
            cached()
                .map(|path| {
                    request(
                        "GET",
                        &path,
                        &format!("{}if-none-match: *\r\n", bearer(READ_TOKEN)),
                    )
                })
                .collect(),
        ),
        one(
            "batch of 100",
            200,
            with_json(READ_TOKEN, "POST", &format!("{BASE}/lookup"), &batch),
        ),
        service(
            "PUT",
            204,
            written().map(|number| put(WRITE_TOKEN, number)).collect(),
        ),
        // Of what is not there: callers at the same time would remove it for each other.
        service(
            "DELETE",
            404,
            missing()
                .map(|path| with(WRITE_TOKEN, "DELETE", &path))
                .collect(),
        ),
        one("400", 400, get(&format!("{BASE}/x"))),
        one("401", 401, request("GET", &first, "")),
        one("403", 403, put(READ_TOKEN, WRITTEN)),
        one("400, no such route", 400, get("/x")),
        one("OPTIONS", 204, with(READ_TOKEN, "OPTIONS", &first)),
        one("405", 405, get(&format!("{BASE}/lookup"))),
        one(
            "409",
            409,
            with_json(WRITE_TOKEN, "PUT", &first, &entry(&id(WRITTEN)).to_string()),
        ),
        one(
            "412",
            412,
            request(
                "DELETE",
                &first,
                &format!("{}if-match: \"x\"\r\n", bearer(WRITE_TOKEN)),
            ),
        ),
        one(
            "413",
            413,
            with_json(WRITE_TOKEN, "PUT", &first, &"x".repeat((64 << 10) + 1)),
        ),
        one(
            "415",
            415,
            request(
                "PUT",
                &first,
                &format!("{}content-length: 2\r\n", bearer(WRITE_TOKEN)),
            ) + "{}",
        ),
        to(
            Sender::Closed,
            "403, not configured",
            403,
            vec![get(&first)],
        ),
        to(Sender::Closed, "503", 503, vec![get("/health/ready")]),
        one("health", 200, get("/health/ready")),
        one("metrics", 200, get("/metrics")),
        one(
            "metrics, OpenMetrics",
            200,
            request(
                "GET",
                "/metrics",
                &format!(
                    "{}accept: application/openmetrics-text\r\n",
                    bearer(READ_TOKEN)
                ),
            ),
        ),
        one("stats", 200, get("/stats")),
        one("OpenAPI", 200, get("/openapi.json")),
        one("explorer, page", 200, explorer("")),
        one("explorer, script", 200, explorer("app.js")),
        one(
            "explorer, API",
            200,
            explorer(&format!("api/connections/{}", id(CACHED))),
        ),
        to(
            Sender::Middleware,
            "middleware, answered",
            200,
            vec![get(&path("0192f3a4-5b6c-7d8e-9f03-000000000001"))],
        ),
        to(
            Sender::Middleware,
            "middleware, passed on",
            200,
            vec![get("/")],
        ),
        to(
            Sender::RustConsumer,
            "consumer in Rust",
            200,
            vec![get(SYNC)],
        ),
        to(
            Sender::PythonConsumer,
            "consumer in Python",
            200,
            vec![get(SYNC)],
        ),
    ]
}

/// A connection that the examples have.
const SYNC: &str = "/sync/0192f3a4-5b6c-7d8e-9f02-000000000001";

fn with(token: &str, method: &str, target: &str) -> String {
    request(method, target, &bearer(token))
}

fn with_json(token: &str, method: &str, target: &str, json: &str) -> String {
    let length = json.len();
    let headers = format!(
        "{}content-type: application/json\r\ncontent-length: {length}\r\n",
        bearer(token)
    );
    request(method, target, &headers) + json
}
