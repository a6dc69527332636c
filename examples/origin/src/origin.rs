//! An origin that runs, and what can be done to it meanwhile.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::{database::Database, fault::Fault, service::Service};

/// How to start an [`Origin`].
pub struct Options {
    /// Where to listen. By default a free port of 127.0.0.1.
    pub listen: SocketAddr,
    /// The file of the database. By default it is in memory.
    pub database: Option<PathBuf>,
    /// How many connections an empty database is filled with.
    pub connections: u32,
    /// The bearer token to ask for, if any.
    pub token: Option<String>,
    /// The `Cache-Control` of what it says of a connection, if any.
    pub cache_control: Option<String>,
    /// How lookups go wrong.
    pub fault: Fault,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            database: None,
            connections: 10_000,
            token: None,
            cache_control: None,
            fault: Fault::None,
        }
    }
}

/// A running origin. Dropping it stops it, with all its connections.
pub struct Origin {
    service: Arc<Service>,
    server: JoinHandle<()>,
}

impl Origin {
    /// Fills the database if need be, and serves it in a task of the current runtime.
    pub async fn start(options: Options) -> Result<Self> {
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("unable to listen on {}", options.listen))?;
        let service = Arc::new(Service::new(
            Database::open(options.database.as_deref(), options.connections)?,
            listener.local_addr()?,
            options.token,
        ));
        // Before anything is answered.
        service.settings().fault = options.fault;
        service.settings().cache_control = header_value(options.cache_control.as_deref())?;
        let server = tokio::spawn(serve(listener, Arc::clone(&service)));
        Ok(Self { service, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// The address of connections, with `{id}` where the id goes.
    pub fn url(&self) -> String {
        self.service.url("{id}")
    }

    /// How many connections the database has.
    pub fn connections(&self) -> Result<u64> {
        self.service.database().count()
    }

    /// Lets all lookups from now on go wrong like this.
    pub fn inject(&self, fault: Fault) {
        self.service.settings().fault = fault;
    }

    /// Sets the `Cache-Control` of what it says of connections from now on.
    pub fn set_cache_control(&self, value: Option<&str>) -> Result<()> {
        self.service.settings().cache_control = header_value(value)?;
        Ok(())
    }

    /// Sets more headers of all answers to lookups from now on, failed or not.
    pub fn set_headers(&self, headers: &[(&'static str, &str)]) -> Result<()> {
        let mut lines = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).context("no value for a header")?;
            // Two of a name are two lines.
            lines.append(HeaderName::from_static(name), value);
        }
        self.service.settings().headers = lines;
        Ok(())
    }

    /// A header of the last lookup.
    pub fn seen_header(&self, name: &str) -> Option<String> {
        let received = self.service.received();
        let value = received.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// How many lookups arrived, with those that were refused or are never answered.
    pub fn requests(&self) -> u64 {
        self.service.received().total()
    }

    /// As [`Origin::requests`], for one connection.
    pub fn requests_for(&self, id: &str) -> u64 {
        self.service.received().of(id)
    }

    /// Path and query of the last 1,000 lookups, oldest first.
    pub fn seen_targets(&self) -> Vec<String> {
        self.service.received().targets()
    }

    /// Adds or replaces a connection: the JSON of a whole entry.
    pub fn insert(&self, entry: &Value) -> Result<()> {
        let connection = serde_json::from_value(entry.clone())?;
        self.service.database().put(&connection)
    }

    /// Changes the given fields of a connection, as in `json!({"status": "revoked"})`, and with
    /// them `updated_at`. False if there is no such connection.
    pub fn update(&self, id: &str, changes: &Value) -> Result<bool> {
        self.service.database().update(id, changes)
    }

    /// Removes a connection. False if there was no such connection.
    pub fn remove(&self, id: &str) -> Result<bool> {
        self.service.database().remove(id)
    }
}

fn header_value(value: Option<&str>) -> Result<Option<HeaderValue>> {
    let value = value.map(HeaderValue::from_str).transpose();
    value.context("no value for Cache-Control")
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, service: Arc<Service>) {
    // Ends with this task.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Such as for want of file descriptors: it may pass, but not at once.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let service = Arc::clone(&service);
        connections.spawn(async move {
            // Only faster: without it the answer is the same.
            let _ = stream.set_nodelay(true);
            let answer = service_fn(|request| service.answer(request));
            // What a client did wrong, such as going away early, is no news.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}
