//! An application: its components, and the routes that lead to them.

use std::{
    collections::BTreeMap,
    env,
    fmt::Display,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::{Context as _, Result, anyhow};
use wasmtime::{
    Engine, Store,
    component::{Component, Linker},
};

use crate::{
    allowed_hosts::AllowedHosts,
    component::{AppComponent, Configuration},
    log::LogSink,
    manifest::{self, Manifest},
    route::{Route, Routes},
    runtime::Runtime,
    runtime_config::{RuntimeConfig, StateDir},
    state::HostState,
    variables::check_name,
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
    /// Whether instances count their instructions: [`App::new_store`] returns stores with fuel, of which each
    /// instruction takes one. The code is slower for it.
    pub counts_instructions: bool,
    /// Where the application keeps what it stores.
    pub state_dir: StateDir,
    /// A file that says where key-value stores are, as that of Spin's `--runtime-config-file`.
    pub runtime_config_file: Option<PathBuf>,
    /// Where the components' output and the host's errors go.
    pub log: LogSink,
}

impl AppOptions {
    /// For an application whose manifest is in `app_dir`.
    fn runtime_config(&self, app_dir: Option<&Path>) -> Result<RuntimeConfig> {
        let file = self.runtime_config_file.as_deref();
        RuntimeConfig::read(file, &self.state_dir, app_dir)
    }
}

/// What a component without a manifest may use.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// The addresses it may connect to, literal.
    pub allowed_outbound_hosts: Vec<String>,
    /// The labels of the key-value stores it may open.
    pub key_value_stores: Vec<String>,
}

/// A Spin application, ready to be served, or its components to be instantiated.
///
/// Most applications have one component, and some methods speak of it. Of several it is the first
/// that the manifest gives a route; each of them has addresses, variables and instances of its own.
///
/// Loading the same component again is cheap: it is compiled once in a process, until its file or
/// that of a dependency changes.
pub struct App {
    runtime: &'static Runtime,
    /// At least one.
    components: Vec<Arc<AppComponent>>,
    routes: Routes,
    log: LogSink,
    writes: Arc<AtomicU64>,
}

impl App {
    /// Loads the application that the manifest `spin.toml` at `manifest` describes.
    ///
    /// Fails if there is something in it that Spin or this host does not accept, if a required
    /// variable has no value, if a component's file is missing, or if a dependency does not fit.
    pub fn load(manifest: &Path, options: AppOptions) -> Result<Self> {
        let directory = manifest.parent().unwrap_or(Path::new(""));
        let config = options.runtime_config(Some(directory))?;
        let manifest = Manifest::read(manifest)?;
        let environment = |name: &str| options.use_env.then(|| env::var(name).ok()).flatten();
        let variables = manifest.application_variables(&options.variables, environment)?;
        let load = |component: &manifest::Component| {
            AppComponent::new(
                &component.id,
                &component.source,
                &component.dependencies,
                &component.middleware,
                Configuration {
                    allowed_hosts: AllowedHosts::new(
                        &component.allowed_outbound_hosts,
                        &variables,
                    )?,
                    key_value_stores: config.grant(&component.key_value_stores)?,
                    variables: component.variables(&variables)?,
                },
                &options,
            )
        };
        let load =
            |component| load(component).with_context(|| format!("component {:?}", component.id));
        let components = manifest.components.iter().map(load);
        Self::new(
            components.collect::<Result<_>>()?,
            manifest.routes,
            &options,
        )
    }

    /// Loads the component in the file `wasm` without a manifest. The variables are the
    /// component's own. Should it export `wasi:http/handler`, it can be served, with the route `/...`.
    pub fn from_component(wasm: &Path, grants: &Grants, options: AppOptions) -> Result<Self> {
        for name in options.variables.keys() {
            check_name(name).map_err(|error| anyhow!("variable {error}"))?;
        }
        let component = AppComponent::new(
            "component",
            wasm,
            &[],
            &[],
            Configuration {
                allowed_hosts: AllowedHosts::new(&grants.allowed_outbound_hosts, &BTreeMap::new())?,
                key_value_stores: options
                    .runtime_config(None)?
                    .grant(&grants.key_value_stores)?,
                variables: options.variables.clone(),
            },
            &options,
        )?;
        let routes = vec![(Route::new("/...")?, component.id().to_owned())];
        Self::new(vec![component], routes, &options)
    }

    fn new(
        components: Vec<AppComponent>,
        routes: Vec<(Route, String)>,
        options: &AppOptions,
    ) -> Result<Self> {
        let log = options.log.clone();
        Ok(Self {
            runtime: Runtime::get(options.counts_instructions)?,
            components: components.into_iter().map(Arc::new).collect(),
            routes: Routes::new(routes, |warning| log.line(warning)),
            log,
            writes: Arc::default(),
        })
    }

    /// The engine, the same for all applications of the process that count the same.
    pub fn engine(&self) -> &Engine {
        &self.runtime.engine
    }

    /// A linker with all the host offers; clone it to add to it.
    pub fn linker(&self) -> &Linker<HostState> {
        &self.runtime.linker
    }

    /// The compiled component.
    pub fn component(&self) -> &Component {
        self.first().compiled()
    }

    /// A store for one new instance of the component. Dropping it drops the instance and closes
    /// its Redis connections.
    pub fn new_store(&self) -> Store<HostState> {
        self.first().new_store()
    }

    /// How many instances (stores) were made of all components, whether still alive or not.
    pub fn instances_created(&self) -> usize {
        let created = |component: &Arc<AppComponent>| component.instances_created();
        self.components.iter().map(created).sum()
    }

    /// How many instances were made of the component with this id, if there is one.
    pub fn instances_of(&self, component_id: &str) -> Option<usize> {
        let mut components = self.components.iter();
        let component = components.find(|component| component.id() == component_id)?;
        Some(component.instances_created())
    }

    /// How many calls to Redis (opening a connection, and commands) and over HTTP (up to the head of the
    /// answer) wait at the moment, in all instances.
    pub fn waiting(&self) -> usize {
        let waiting = |component: &Arc<AppComponent>| component.waiting();
        self.components.iter().map(waiting).sum()
    }

    /// How many writes there were so far to the connections of those who called it over HTTP.
    pub fn writes(&self) -> u64 {
        self.writes.load(Relaxed)
    }

    pub(crate) fn writes_counter(&self) -> &Arc<AtomicU64> {
        &self.writes
    }

    /// The most memory that any instance of any component had so far, in bytes.
    pub fn peak_memory(&self) -> usize {
        let peak = |component: &Arc<AppComponent>| component.peak_memory();
        self.components.iter().map(peak).max().unwrap_or_default()
    }

    /// The routes in the order in which they are tried, as Spin prints them, `/base (wildcard)` for
    /// `/base/...`, each with the id of its component.
    pub fn route_descriptions(&self) -> impl Iterator<Item = (impl Display, &str)> {
        self.routes.iter()
    }

    pub(crate) fn components(&self) -> &[Arc<AppComponent>] {
        &self.components
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }

    pub(crate) fn log(&self) -> &LogSink {
        &self.log
    }

    fn first(&self) -> &AppComponent {
        &self.components[0]
    }
}
