//! What is compared: the rows of the table, and how each is asked.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::entries::{COUNT, Kind, key, summary};
use crate::process::Server;
use crate::program::{self, Program, REUSE_RAISED};
use crate::redis_benchmark;
use crate::results::Measurement;
use crate::setup::Setup;
use crate::support::client::{Call, Client};
use crate::support::redis::{Redis, free_port};
use crate::support::service::{READ_TOKEN, path};
use crate::wrk::{Load, get};

/// The component as it is.
pub const CACHE: &str = "this component";
/// The component, in instances that live long.
pub const CACHE_REUSED: &str = "this component, reuse raised";
/// The component as the SDK's examples do it.
pub const SDK_STYLE: &str = "SDK-style: chunked, connection per request";
/// What no component can be faster than that reads the same headers and sends the same.
pub const HELLO: &str = "hello-world (hello floor)";
/// What no component can be faster than in instances that live long.
pub const HELLO_REUSED: &str = "hello-world, reuse raised";
/// The same after a GET: what no component that asks Redis can be faster than.
pub const HELLO_GET: &str = "hello-world after a GET (GET floor)";
/// The service in Python.
pub const PYTHON: &str = "FastAPI, uvicorn, redis-py";
/// What nothing that asks Redis can be faster than.
pub const REDIS: &str = "redis-benchmark GET (the limit)";

/// The rows, in their order in the table.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    Row::component(CACHE, program::CACHE, &[]),
    Row::component(CACHE_REUSED, program::CACHE, &[REUSE_RAISED]).floor(HELLO_REUSED),
    Row::component("SDK: chunked, shared connection", "sdk", &[]),
    Row::component(SDK_STYLE, "sdk-connection-per-request", &[]),
    Row::component(HELLO, "hello", &[]).answers(Answers::Constant),
    Row::component(HELLO_REUSED, "hello", &[REUSE_RAISED]).answers(Answers::Constant).floor(HELLO_REUSED),
    Row::component(HELLO_GET, "hello-get", &[]).answers(Answers::Constant),
    Row::new("nginx, Lua", Some(Program::Nginx)).answers(Answers::Entry),
    Row::new("webdis", Some(Program::Webdis)).answers(Answers::Key),
    Row::new(PYTHON, Some(Program::Python)),
    Row::new(REDIS, None),
];

/// A row of the table.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The name of the row that is its floor.
    pub floor: &'static str,
    answers: Answers,
    /// Redis itself has none.
    program: Option<Program>,
}

/// What a server is asked for, and what it answers on a hit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// The path of the connection: its summary.
    Summary,
    /// The path of the connection: its entry.
    Entry,
    /// The key: its value.
    Key,
    /// Anything: always the same summary. It never misses.
    Constant,
}

impl Row {
    /// A row that looks up every id, answers with summaries, and has the common floor.
    const fn new(name: &'static str, program: Option<Program>) -> Self {
        Self {
            name,
            floor: HELLO,
            answers: Answers::Summary,
            program,
        }
    }

    const fn component(
        name: &'static str,
        component: &'static str,
        options: &'static [&'static [&'static str]],
    ) -> Self {
        Self::new(name, Some(Program::Component(component, options)))
    }

    const fn floor(self, floor: &'static str) -> Self {
        Self { floor, ..self }
    }

    const fn answers(self, answers: Answers) -> Self {
        Self { answers, ..self }
    }

    fn path(&self, id: &str) -> String {
        match self.answers {
            Answers::Key => format!("/GET/{}.txt", key(id)),
            _ => path(id),
        }
    }
}

/// A row whose server runs.
pub struct Peer {
    /// The row.
    pub row: &'static Row,
    /// The server; none for Redis itself.
    pub server: Option<Server>,
    /// How many of its answers were wrong.
    pub wrong: f64,
    hits: Load,
    misses: Load,
}

impl Peer {
    /// Starts the server of a row, and checks what it answers; none if it is not there.
    pub async fn start(row: &'static Row, setup: &Setup, redis: &Redis) -> Result<Option<Self>> {
        let port = free_port();
        let server = match row.program {
            None => None,
            Some(program) => match program.command(setup, redis, port)? {
                None => return Ok(None),
                Some(command) => Some(Server::start(row.name, command, port, &setup.directory)?),
            },
        };
        let load = |kind: Kind, status| {
            let requests = kind.ids().map(|id| get(&row.path(&id)));
            let load = Load::new(setup, &format!("{port}-{kind:?}"), requests, status)?;
            // webdis hands the replies that callers did not wait for to those who come next.
            Ok::<_, anyhow::Error>(match row.answers {
                Answers::Key => load.tolerating(100),
                _ => load,
            })
        };
        let peer = Self {
            row,
            server,
            wrong: 0.0,
            hits: load(Kind::Hit, 200)?,
            misses: load(Kind::Miss, 404)?,
        };
        peer.check()
            .await
            .with_context(|| format!("{} answers wrongly", row.name))?;
        Ok(Some(peer))
    }

    /// Whether there is something to measure.
    pub fn has(&self, lookup: Kind) -> bool {
        lookup == Kind::Hit || self.row.answers != Answers::Constant
    }

    /// Lets so many callers look up ids of this kind for as long as a cell takes.
    pub fn measure(
        &mut self,
        setup: &Setup,
        redis: &Redis,
        lookup: Kind,
        callers: usize,
    ) -> Result<Measurement> {
        let load = if lookup == Kind::Hit {
            &self.hits
        } else {
            &self.misses
        };
        match &mut self.server {
            None => Ok(Measurement {
                sample: redis_benchmark::run(setup, redis, lookup, callers)?,
                cpu: None,
            }),
            Some(server) => {
                let warm = load.warm_up(setup, server.port, callers);
                let found = warm.and_then(|()| load.measure(setup, server, callers));
                server.ensure_alive()?;
                let found = found
                    .with_context(|| format!("{}, {lookup:?}, {callers} callers", self.row.name))?;
                self.wrong += found.sample.wrong;
                Ok(found)
            }
        }
    }

    /// Whether a few answers are what they must be; the load generator looks at the status only.
    async fn check(&self) -> Result<()> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        let mut client = Client::connect(SocketAddr::from(([127, 0, 0, 1], server.port))).await;
        for id in Kind::Hit.ids().step_by(COUNT / 5) {
            let answer = client.send(call(&self.row.path(&id))).await;
            ensure!(answer.status == 200, "{answer:?}");
            let body: Value = serde_json::from_slice(&answer.body)?;
            let expected = match self.row.answers {
                Answers::Summary => summary(&id),
                Answers::Constant => summary(&Kind::Hit.id(0)),
                Answers::Entry | Answers::Key => Kind::Hit.entry(&id),
            };
            ensure!(body == expected, "{body} is not {expected}");
        }
        if self.has(Kind::Miss) {
            let answer = client.send(call(&self.row.path(&Kind::Miss.id(0)))).await;
            ensure!(answer.status == 404, "{answer:?}");
        }
        Ok(())
    }
}

fn call(path: &str) -> Call {
    Call::new("GET", path).bearer(READ_TOKEN)
}
