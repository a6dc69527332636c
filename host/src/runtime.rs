//! The WebAssembly engine, one for the process, and the components compiled with it.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::SystemTime,
};

use anyhow::{Context as _, Result, anyhow};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{Component, Linker},
};

use crate::{
    compose::{chain, compose},
    dependency::{Dependency, Middleware},
    state::HostState,
};

/// Engine, linker and compiled components are the same for every application that counts the same.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<HostState>,
    compiled: Mutex<HashMap<Version, Component>>,
}

/// What a component is compiled from; one of which a file was rebuilt is another.
#[derive(PartialEq, Eq, Hash)]
struct Version {
    component: FileVersion,
    dependencies: Vec<(Dependency, FileVersion)>,
    middleware: Vec<(Middleware, FileVersion)>,
}

/// One state of a file.
#[derive(PartialEq, Eq, Hash)]
struct FileVersion {
    path: PathBuf,
    modified: SystemTime,
    size: u64,
}

impl Runtime {
    /// The process's runtime, created by the first call. That for code which counts its instructions is
    /// another one.
    pub(crate) fn get(counts_instructions: bool) -> Result<&'static Self> {
        static RUNTIMES: [OnceLock<Result<Runtime, String>>; 2] = [const { OnceLock::new() }; 2];
        RUNTIMES[usize::from(counts_instructions)]
            .get_or_init(|| Self::new(counts_instructions).map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow!("cannot start the WebAssembly runtime: {error}"))
    }

    fn new(counts_instructions: bool) -> wasmtime::Result<Self> {
        let engine = |allocation| Engine::new(&config(allocation, counts_instructions));
        // The pool reserves terabytes of address space, which not every machine gives.
        let engine = engine(InstanceAllocationStrategy::Pooling(pool()))
            .or_else(|_| engine(InstanceAllocationStrategy::OnDemand))?;
        let mut linker = Linker::new(&engine);
        HostState::link(&mut linker)?;
        Ok(Self {
            engine,
            linker,
            compiled: Mutex::default(),
        })
    }

    /// The component in the file `path` with these dependencies inside and this middleware before it,
    /// compiled once for each version of these files. `id` is what the manifest calls it.
    pub(crate) fn component(
        &self,
        id: &str,
        path: &Path,
        dependencies: &[Dependency],
        middleware: &[Middleware],
    ) -> Result<Component> {
        let version = Version::new(path, dependencies, middleware)?;
        // Held while compiling: whoever wants the same component at the same time waits for it.
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = compiled.get(&version) {
            return Ok(component.clone());
        }
        let mut bytes = read(path)?;
        if !dependencies.is_empty() {
            let dependencies = dependencies
                .iter()
                .map(|dependency| Ok((dependency, read(&dependency.path)?)))
                .collect::<Result<_>>()?;
            bytes = compose(id, bytes, dependencies)?;
        }
        if !middleware.is_empty() {
            let middleware = middleware
                .iter()
                .map(|middleware| Ok((middleware, read(&middleware.path)?)))
                .collect::<Result<_>>()?;
            bytes = chain(bytes, middleware)?;
        }
        let component = Component::from_binary(&self.engine, &bytes).map_err(|error| {
            anyhow::Error::from(error)
                .context(format!("{} is not a WebAssembly component", path.display()))
        })?;
        compiled.insert(version, component.clone());
        Ok(component)
    }
}

impl Version {
    fn new(path: &Path, dependencies: &[Dependency], middleware: &[Middleware]) -> Result<Self> {
        let dependency = |one: &Dependency| Ok((one.clone(), FileVersion::new(&one.path)?));
        let before = |one: &Middleware| Ok((one.clone(), FileVersion::new(&one.path)?));
        Ok(Self {
            component: FileVersion::new(path)?,
            dependencies: dependencies.iter().map(dependency).collect::<Result<_>>()?,
            middleware: middleware.iter().map(before).collect::<Result<_>>()?,
        })
    }
}

impl FileVersion {
    fn new(path: &Path) -> Result<Self> {
        let version = || -> io::Result<Self> {
            let metadata = fs::metadata(path)?;
            Ok(Self {
                path: path.canonicalize()?,
                modified: metadata.modified()?,
                size: metadata.len(),
            })
        };
        version().with_context(|| cannot_read(path))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| cannot_read(path))
}

fn cannot_read(path: &Path) -> String {
    format!(
        "cannot read the component {}; `make build` makes it",
        path.display()
    )
}

fn config(allocation: InstanceAllocationStrategy, counts_instructions: bool) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        // Nothing here is ever interrupted, but Spin's code is compiled with the checks.
        .epoch_interruption(true)
        .consume_fuel(counts_instructions)
        .allocation_strategy(allocation);
    config
}

/// Spin's limits.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(1_000)
        .total_memories(1_000)
        .total_tables(2_000)
        .total_stacks(1_000)
        .total_core_instances(4_000)
        .table_elements(100_000)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .max_core_instances_per_component(200)
        .max_tables_per_component(64)
        .max_memories_per_component(32)
        .max_tables_per_module(2)
        .max_memories_per_module(2)
        .max_memory_size(4 << 30)
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(512 << 10);
    pool
}
