//! The HTTP service: the application of `spin.toml`, served by the embedded host, or by Spin where
//! SPIN names one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::panicking;
use std::time::Duration;

use provider_connection_cache_host::{
    App, AppOptions, Grants, InstanceReuse, LogSink, StateDir, serve,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::client::{Answer, Call, Client};
use super::connection::entry;
use super::redis::{Redis, unique_prefix};
use super::spin::{self, Spin};
use super::{Storage, Variables, in_repository, options, secrets, spin_component, variables};

pub use super::secrets::{READ_TOKEN, WRITE_TOKEN};

/// What every path is under.
pub const BASE: &str = provider_connection_cache::http::route::BASE;

/// Instances that outlast any test, however slow the machine is.
pub const LASTING: InstanceReuse = InstanceReuse {
    max_instance_reuse_count: usize::MAX,
    max_instance_concurrent_reuse_count: 16,
    idle_instance_timeout: Duration::from_secs(3_600),
    request_timeout: None,
};

/// A service on a port of its own. It ends when this is dropped.
pub struct Service {
    host: Host,
    prefix: String,
}

/// What serves.
enum Host {
    Embedded(Embedded),
    Spin(Spin),
}

/// The embedded host, in a task.
struct Embedded {
    app: Arc<App>,
    address: SocketAddr,
    log: LogSink,
    task: JoinHandle<()>,
}

impl Service {
    /// A service over this Redis, with both tokens, and keys under a prefix of its own.
    pub async fn over(redis: &Redis) -> Self {
        Self::with(redis, &[]).await
    }

    /// As [`Service::over`], with more variables.
    pub async fn with(redis: &Redis, more: &[(&str, &str)]) -> Self {
        Self::reusing(redis, more, InstanceReuse::default()).await
    }

    /// As [`Service::with`], with instances that live differently.
    pub async fn reusing(redis: &Redis, more: &[(&str, &str)], reuse: InstanceReuse) -> Self {
        let prefix = unique_prefix();
        let mut variables = variables(
            redis,
            &[
                ("key_prefix", prefix.as_str()),
                ("read_token", READ_TOKEN),
                ("write_token", WRITE_TOKEN),
            ],
        );
        variables.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Self::start_reusing(variables, reuse).await
    }

    /// The application of `spin.toml` with just these variables.
    pub async fn start(variables: Variables) -> Self {
        Self::start_reusing(variables, InstanceReuse::default()).await
    }

    async fn start_reusing(variables: Variables, reuse: InstanceReuse) -> Self {
        let _there = spin_component();
        let storage = Storage::default();
        Self::start_application(&in_repository("spin.toml"), variables, reuse, storage).await
    }

    /// The application of another manifest.
    pub async fn start_from(manifest: &Path, variables: Variables) -> Self {
        Self::start_storing(manifest, variables, Storage::default()).await
    }

    /// As [`Service::start_from`], with stores that are kept there.
    pub async fn start_storing(
        manifest: &Path,
        variables: Variables,
        storage: Storage<'_>,
    ) -> Self {
        let reuse = InstanceReuse::default();
        Self::start_application(manifest, variables, reuse, storage).await
    }

    async fn start_application(
        manifest: &Path,
        variables: Variables,
        reuse: InstanceReuse,
        storage: Storage<'_>,
    ) -> Self {
        let host = match spin::program() {
            Some(program) => Host::Spin(Spin::up(&program, manifest, &variables, reuse, storage)),
            None => {
                let log = LogSink::memory();
                let options = options(variables.clone(), &log);
                let state_dir = storage.state_dir.map(Path::to_path_buf);
                let options = AppOptions {
                    state_dir: state_dir.map_or(options.state_dir, StateDir::Provided),
                    runtime_config_file: storage.runtime_config_file.map(Path::to_path_buf),
                    ..options
                };
                let app = App::load(manifest, options);
                let app = app.expect("the application loads");
                Host::Embedded(Embedded::serve(app, log, reuse).await)
            }
        };
        Self::on(host, &variables)
    }

    /// The component without its manifest: what it may open is said here.
    pub async fn start_allowing(wasm: &Path, allowed: Vec<String>, variables: Variables) -> Self {
        let host = match spin::program() {
            Some(program) => Host::Spin(Spin::up_allowing(&program, wasm, &allowed, &variables)),
            None => {
                let log = LogSink::memory();
                let grants = Grants {
                    allowed_outbound_hosts: allowed,
                    ..Grants::default()
                };
                let app = App::from_component(wasm, &grants, options(variables.clone(), &log));
                let app = app.expect("the component loads");
                Host::Embedded(Embedded::serve(app, log, InstanceReuse::default()).await)
            }
        };
        Self::on(host, &variables)
    }

    fn on(host: Host, variables: &Variables) -> Self {
        let prefix = variables.get("key_prefix").cloned().unwrap_or_default();
        Self { host, prefix }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match &self.host {
            Host::Embedded(embedded) => embedded.address,
            Host::Spin(spin) => spin.address,
        }
    }

    /// A connection to it.
    pub async fn connect(&self) -> Client {
        Client::connect(self.address()).await.searching()
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, call: Call) -> Answer {
        self.connect().await.send(call).await
    }

    /// Sends a request with the read token.
    pub async fn read(&self, method: &str, path: &str) -> Answer {
        self.send(Call::new(method, path).bearer(READ_TOKEN)).await
    }

    /// Sends a request with the write token.
    pub async fn write(&self, method: &str, path: &str) -> Answer {
        self.send(Call::new(method, path).bearer(WRITE_TOKEN)).await
    }

    /// `PUT`s a connection.
    pub async fn put(&self, path: &str, entry: impl AsRef<[u8]>) -> Answer {
        self.send(Call::new("PUT", path).bearer(WRITE_TOKEN).json(entry))
            .await
    }

    /// Stores a connection as `entry` has it.
    pub async fn hold(&self, id: &str) {
        let put = self.put(&path(id), entry(id).to_string()).await;
        assert_eq!(put.status, 204);
    }

    /// `POST`s a lookup.
    pub async fn look_up(&self, body: impl AsRef<[u8]>) -> Answer {
        let call = Call::new("POST", &format!("{BASE}/lookup"));
        self.send(call.bearer(READ_TOKEN).json(body)).await
    }

    /// What the component and the host logged so far.
    pub fn log(&self) -> String {
        match &self.host {
            Host::Embedded(embedded) => embedded.log.contents(),
            Host::Spin(spin) => spin.log(),
        }
    }

    /// The most memory that any instance had so far, in bytes.
    pub fn peak_memory(&self) -> usize {
        self.app().peak_memory()
    }

    /// How many instances were made so far; none on Spin, which does not tell.
    pub fn instances_created(&self) -> Option<usize> {
        match &self.host {
            Host::Embedded(embedded) => Some(embedded.app.instances_created()),
            Host::Spin(_) => None,
        }
    }

    /// How many writes to its callers' connections there were so far.
    pub fn writes(&self) -> u64 {
        self.app().writes()
    }

    /// Fails unless so many instances were made. Spin does not tell.
    pub fn assert_instances(&self, count: usize) {
        if let Some(instances) = self.instances_created() {
            assert_eq!(instances, count);
        }
    }

    /// Fails unless so many instances of one of its components were made. Spin does not tell.
    pub fn assert_instances_of(&self, component_id: &str, count: usize) {
        if let Host::Embedded(embedded) = &self.host {
            let instances = embedded.app.instances_of(component_id);
            assert_eq!(instances.expect("there is such a component"), count);
        }
    }

    /// What only the embedded host tells: a test that asks for it is skipped on Spin, by
    /// [`spin::is_skipped`].
    fn app(&self) -> &App {
        match &self.host {
            Host::Embedded(embedded) => &embedded.app,
            Host::Spin(_) => panic!("Spin does not tell: skip the test"),
        }
    }

    /// What stands before its keys.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The key under which the entry of a connection must be.
    pub fn key(&self, id: &str) -> String {
        match self.prefix.as_str() {
            "" => format!("provider:conn:{id}"),
            prefix => format!("{prefix}:provider:conn:{id}"),
        }
    }
}

impl Service {
    /// The key of what was counted in an hour, or in all.
    pub fn stats_key(&self, name: &str) -> String {
        self.key(name)
            .replace("provider:conn:", "provider:conn-stats:")
    }
}

impl Embedded {
    async fn serve(app: App, log: LogSink, reuse: InstanceReuse) -> Self {
        let app = Arc::new(app);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let serving = serve(Arc::clone(&app), listener, reuse);
        let task = tokio::spawn(async move { serving.await.expect("the service runs") });
        Self {
            app,
            address,
            log,
            task,
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if !panicking() {
            secrets::assert_none("the log", &self.log());
        }
    }
}

/// The path of a connection.
pub fn path(id: &str) -> String {
    format!("{BASE}/{id}")
}
