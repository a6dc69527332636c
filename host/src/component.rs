//! One component of an application: compiled, and what it may see.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use anyhow::Result;
use wasmtime::{Store, component::Component};

use crate::{
    allowed_hosts::AllowedHosts,
    app::AppOptions,
    dependency::{Dependency, Middleware},
    key_value::{GrantedStores, KeyValue},
    limits::Limits,
    log::LogSink,
    outbound_http::OutboundHttp,
    redis::Redis,
    runtime::Runtime,
    state::HostState,
    variables::Variables,
    waiting::Waiting,
};

/// What a component is given of the application's configuration.
pub(crate) struct Configuration {
    pub(crate) allowed_hosts: AllowedHosts,
    pub(crate) key_value_stores: GrantedStores,
    pub(crate) variables: BTreeMap<String, String>,
}

/// Ready to be instantiated. Its instances have nothing to do with those of other components.
pub(crate) struct AppComponent {
    runtime: &'static Runtime,
    id: String,
    compiled: Component,
    allowed_hosts: Arc<AllowedHosts>,
    key_value_stores: Arc<GrantedStores>,
    variables: Arc<Variables>,
    log: LogSink,
    max_instance_memory: Option<usize>,
    peak_memory: Arc<AtomicUsize>,
    instances_created: AtomicUsize,
    waiting: Waiting,
}

impl AppComponent {
    pub(crate) fn new(
        id: &str,
        wasm: &Path,
        dependencies: &[Dependency],
        middleware: &[Middleware],
        configuration: Configuration,
        options: &AppOptions,
    ) -> Result<Self> {
        let runtime = Runtime::get(options.counts_instructions)?;
        Ok(Self {
            runtime,
            id: id.to_owned(),
            compiled: runtime.component(id, wasm, dependencies, middleware)?,
            allowed_hosts: Arc::new(configuration.allowed_hosts),
            key_value_stores: Arc::new(configuration.key_value_stores),
            variables: Arc::new(Variables::new(id, configuration.variables)),
            log: options.log.clone(),
            max_instance_memory: options.max_instance_memory,
            peak_memory: Arc::default(),
            instances_created: AtomicUsize::new(0),
            waiting: Waiting::default(),
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn compiled(&self) -> &Component {
        &self.compiled
    }

    pub(crate) fn log(&self) -> &LogSink {
        &self.log
    }

    /// A store for one new instance.
    pub(crate) fn new_store(&self) -> Store<HostState> {
        self.instances_created.fetch_add(1, Relaxed);
        let redis = Redis::new(Arc::clone(&self.allowed_hosts), self.waiting.clone());
        let key_value = KeyValue::new(Arc::clone(&self.key_value_stores));
        let limits = Limits {
            max_instance_memory: self.max_instance_memory,
            peak: Arc::clone(&self.peak_memory),
        };
        let outbound_http =
            OutboundHttp::new(Arc::clone(&self.allowed_hosts), self.waiting.clone());
        let variables = Arc::clone(&self.variables);
        let state = HostState::new(
            redis,
            key_value,
            outbound_http,
            variables,
            &self.log,
            limits,
        );
        let mut store = Store::new(&self.runtime.engine, state);
        store.limiter(|state| &mut state.limits);
        // Never, for practical purposes: the engine checks epochs, but none ever ends.
        store.set_epoch_deadline(u64::MAX / 2);
        // An engine that does not count has none to give.
        let _given = store.set_fuel(u64::MAX);
        store
    }

    /// How many stores were made.
    pub(crate) fn instances_created(&self) -> usize {
        self.instances_created.load(Relaxed)
    }

    /// How many calls of its instances wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.count()
    }

    /// The most memory that any instance had so far, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        self.peak_memory.load(Relaxed)
    }
}
