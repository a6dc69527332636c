//! An application: a compiled component and what it may see.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use anyhow::Result;
use wasmtime::{
    Engine, Store,
    component::{Component, Linker},
};

use crate::{
    allowed_hosts::AllowedHosts,
    limits::Limits,
    log::LogSink,
    manifest::Manifest,
    outbound_http::OutboundHttp,
    redis::Redis,
    route::Route,
    runtime::Runtime,
    state::HostState,
    variables::{Variables, check_name},
};

/// How to load an application.
#[derive(Clone, Default)]
pub struct AppOptions {
    /// Values for application variables; they come before the environment and the defaults.
    pub variables: BTreeMap<String, String>,
    /// Whether application variables are also taken from the environment variables
    /// `SPIN_VARIABLE_NAME`.
    pub use_env: bool,
    /// The most memory that one instance may have, in bytes. Without a value there is no limit but
    /// that of WebAssembly.
    pub max_instance_memory: Option<usize>,
    /// Where the component's output and the host's errors go.
    pub log: LogSink,
}

/// A Spin application with one component, ready to be instantiated or served.
///
/// Loading the same component again is cheap: it is compiled once in a process, until its file
/// changes.
pub struct App {
    runtime: &'static Runtime,
    component: Component,
    component_id: String,
    route: Route,
    allowed_hosts: Arc<AllowedHosts>,
    variables: Arc<Variables>,
    log: LogSink,
    max_instance_memory: Option<usize>,
    peak_memory: Arc<AtomicUsize>,
    instances_created: AtomicUsize,
}

impl App {
    /// Loads the application that the manifest `spin.toml` at `manifest` describes.
    ///
    /// Fails if there is something in it that Spin or this host does not accept, if a required
    /// variable has no value, or if the component's file is missing.
    pub fn load(manifest: &Path, options: AppOptions) -> Result<Self> {
        let directory = manifest.parent().unwrap_or(Path::new(""));
        let manifest = Manifest::read(manifest)?;
        let environment = |name: &str| options.use_env.then(|| env::var(name).ok()).flatten();
        let variables = manifest.application_variables(&options.variables, environment)?;
        let component_variables = manifest.component_variables(&variables)?;
        let Manifest {
            route,
            component_id,
            component,
            ..
        } = manifest;
        Self::new(
            &directory.join(&component.source),
            component_id,
            route,
            AllowedHosts::new(&component.allowed_outbound_hosts, &variables)?,
            component_variables,
            options,
        )
    }

    /// Loads the component in the file `wasm` without a manifest. The variables are the
    /// component's own, and `allowed_outbound_hosts` literal. Should it export
    /// `wasi:http/handler`, it can be served, with the route `/...`.
    pub fn from_component(
        wasm: &Path,
        allowed_outbound_hosts: Vec<String>,
        options: AppOptions,
    ) -> Result<Self> {
        for name in options.variables.keys() {
            check_name(name).map_err(|error| anyhow::anyhow!("variable {error}"))?;
        }
        Self::new(
            wasm,
            "component".to_owned(),
            Route::new("/...")?,
            AllowedHosts::new(&allowed_outbound_hosts, &BTreeMap::new())?,
            options.variables.clone(),
            options,
        )
    }

    fn new(
        wasm: &Path,
        component_id: String,
        route: Route,
        allowed_hosts: AllowedHosts,
        variables: BTreeMap<String, String>,
        options: AppOptions,
    ) -> Result<Self> {
        let runtime = Runtime::get()?;
        Ok(Self {
            runtime,
            component: runtime.component(wasm)?,
            route,
            allowed_hosts: Arc::new(allowed_hosts),
            variables: Arc::new(Variables::new(&component_id, variables)),
            component_id,
            log: options.log,
            max_instance_memory: options.max_instance_memory,
            peak_memory: Arc::default(),
            instances_created: AtomicUsize::new(0),
        })
    }

    /// The engine, the same for all applications of the process.
    pub fn engine(&self) -> &Engine {
        &self.runtime.engine
    }

    /// A linker with all the host offers; clone it to add to it.
    pub fn linker(&self) -> &Linker<HostState> {
        &self.runtime.linker
    }

    /// The compiled component.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// A store for one new instance. Dropping it drops the instance and closes its Redis
    /// connections.
    pub fn new_store(&self) -> Store<HostState> {
        self.instances_created.fetch_add(1, Relaxed);
        let redis = Redis::new(Arc::clone(&self.allowed_hosts));
        let limits = Limits {
            max_instance_memory: self.max_instance_memory,
            peak: Arc::clone(&self.peak_memory),
        };
        let outbound_http = OutboundHttp::new(Arc::clone(&self.allowed_hosts));
        let variables = Arc::clone(&self.variables);
        let state = HostState::new(redis, outbound_http, variables, &self.log, limits);
        let mut store = Store::new(&self.runtime.engine, state);
        store.limiter(|state| &mut state.limits);
        // Never, for practical purposes: the engine checks epochs, but none ever ends.
        store.set_epoch_deadline(u64::MAX / 2);
        store
    }

    /// How many instances (stores) were made, whether still alive or not.
    pub fn instances_created(&self) -> usize {
        self.instances_created.load(Relaxed)
    }

    /// The most memory that any of its instances had so far, in bytes.
    pub fn peak_memory(&self) -> usize {
        self.peak_memory.load(Relaxed)
    }

    /// The id of the component in the manifest.
    pub fn component_id(&self) -> &str {
        &self.component_id
    }

    /// The route as Spin prints it: `/base (wildcard)` for `/base/...`.
    pub fn route_description(&self) -> String {
        self.route.to_string()
    }

    pub(crate) fn route(&self) -> &Route {
        &self.route
    }

    pub(crate) fn log(&self) -> &LogSink {
        &self.log
    }
}
