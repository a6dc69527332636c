//! The origin that is read through to: a process of its own, as all servers are.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::Server;
use crate::program::{self, CACHE};
use crate::setup::Setup;
use crate::support::client::{Call, Client};
use crate::support::redis::{Redis, free_port};
use crate::support::secrets::ORIGIN_TOKEN;

/// The origin. It ends when this is dropped.
pub struct Origin {
    /// Its process.
    pub server: Server,
}

impl Origin {
    /// An origin with so many connections, each lookup of which fails like this.
    pub fn start(setup: &Setup, connections: usize, fault: &str) -> Result<Self> {
        let port = free_port();
        let mut command = Command::new(&setup.origin);
        command
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--connections", &connections.to_string()])
            .args(["--fault", fault])
            .args(["--token-env", "ORIGIN_TOKEN"])
            .env("ORIGIN_TOKEN", ORIGIN_TOKEN);
        let server = Server::start("the origin", command, port, &setup.directory)?;
        Ok(Self { server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        local(&self.server)
    }

    /// How many lookups it was sent so far.
    pub async fn requests(&self) -> Result<u64> {
        let mut client = Client::connect(self.address()).await;
        let answer = client.send(call("/requests")).await;
        let answer: Value = serde_json::from_slice(&answer.body)?;
        answer["requests"].as_u64().context("a number is missing")
    }

    /// A host of the cache that reads through to it over this Redis.
    pub fn cache(&self, setup: &Setup, redis: &Redis) -> Result<Server> {
        self.host(setup, redis, "with an origin", CACHE)
    }

    /// A host of this component, which is told where the origin is.
    pub fn host(
        &self,
        setup: &Setup,
        redis: &Redis,
        name: &str,
        component: &str,
    ) -> Result<Server> {
        let address = format!("http://{}", self.address());
        // As with Redis: on a busy machine a time-out would be taken for a wrong answer.
        let variables = [
            format!("origin_url={address}{}", path("{id}")),
            format!("origin_address={address}"),
            format!("origin_token={ORIGIN_TOKEN}"),
            "origin_timeout_ms=30000".to_owned(),
        ];
        host(setup, redis, name, component, &variables)
    }
}

/// A host of the cache that asks nobody but this Redis.
pub fn cache_without(setup: &Setup, redis: &Redis) -> Result<Server> {
    cache(setup, redis, "without an origin", &[])
}

/// A host of the cache with these variables.
pub fn cache(setup: &Setup, redis: &Redis, name: &str, variables: &[String]) -> Result<Server> {
    host(setup, redis, name, CACHE, variables)
}

fn host(
    setup: &Setup,
    redis: &Redis,
    name: &str,
    component: &str,
    variables: &[String],
) -> Result<Server> {
    let port = free_port();
    let mut command = program::component(setup, &redis.address(), port, component, &[])?;
    command.args(["--variable", "redis_timeout_ms=30000"]);
    for variable in variables {
        command.args(["--variable", variable]);
    }
    Server::start(name, command, port, &setup.directory)
}

/// Where a server listens.
pub fn local(server: &Server) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port))
}

/// The path of a connection in the origin.
pub fn path(id: &str) -> String {
    format!("/connections/{id}")
}

/// A `GET` that the origin lets in.
pub fn call(path: &str) -> Call {
    Call::new("GET", path).bearer(ORIGIN_TOKEN)
}

/// Fails unless the answer is this connection.
pub async fn check(address: SocketAddr, call: Call, id: &str) -> Result<()> {
    let answer = Client::connect(address).await.send(call).await;
    ensure!(answer.status == 200, "{answer:?}");
    let body: Value = serde_json::from_slice(&answer.body)?;
    ensure!(body["id"] == id, "{body} is not {id}");
    Ok(())
}
