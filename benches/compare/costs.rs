//! What an instance costs: measured in this process, without HTTP.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use provider_connection_cache_host::wasmtime::component::{Component, Func, InstancePre, Val};
use provider_connection_cache_host::wasmtime::{self, ResourceLimiter, Store};
use provider_connection_cache_host::{App, Grants, HostState, LogSink};

use crate::entries::Kind;
use crate::process::cpu_time;
use crate::results::median;
use crate::setup::Setup;
use crate::support::redis::Redis;
use crate::support::{options, variables};

/// What the instances of a component cost.
pub struct Costs {
    /// The component.
    pub name: &'static str,
    /// Its size, in bytes.
    pub bytes: usize,
    /// How long it takes to compile it.
    pub compile: Duration,
    /// How long it takes to make an instance.
    pub instantiate: Duration,
    /// What looking up costs, if it exports the cache.
    pub lookup: Option<LookupCosts>,
}

/// What an instance costs that looks something up, over WIT.
pub struct LookupCosts {
    /// The linear memory of an instance after one lookup, in bytes.
    pub linear: usize,
    /// What a hundred instances that did one lookup each add to the resident memory of
    /// the process, each, in bytes.
    pub resident: usize,
    /// The CPU time of a lookup, the host's part and the Redis client's included.
    pub cpu: Duration,
}

/// The components, and whether they export the cache.
const COMPONENTS: [(&str, bool); 5] = [
    ("provider-connection-cache", true),
    ("provider-connection-cache-spin", true),
    ("hello", false),
    ("sdk", false),
    ("sdk-connection-per-request", false),
];

/// How many instances live at the same time when their memory is measured.
const LIVE: usize = 100;

/// Measures every component. Instances whose memory was measured stay alive until the end: what
/// they gave back would stay resident for others, and be missing in their measure.
pub async fn measure(setup: &Setup, redis: &Redis) -> Result<Vec<Costs>> {
    let (mut costs, mut alive) = (Vec::new(), Vec::new());
    for (name, exports_cache) in COMPONENTS {
        let found = measure_one(setup, redis, name, exports_cache, &mut alive).await;
        costs.push(found.with_context(|| name)?);
    }
    Ok(costs)
}

async fn measure_one(
    setup: &Setup,
    redis: &Redis,
    name: &'static str,
    exports_cache: bool,
    alive: &mut Vec<Caller>,
) -> Result<Costs> {
    let (compilations, instances, lookups) = if setup.smoke {
        (1, 20, 200)
    } else {
        (5, 200, 5_000)
    };
    let wasm = setup.component(name);
    let app = load(&wasm, redis)?;
    let pre = app.linker().instantiate_pre(app.component())?;
    let lookup = match exports_cache {
        true => Some(measure_lookups(&app, &pre, lookups, alive).await?),
        false => None,
    };
    let bytes = fs::read(&wasm)?;
    let mut compile = Vec::new();
    for _ in 0..compilations {
        let start = Instant::now();
        Component::new(app.engine(), &bytes)?;
        compile.push(start.elapsed());
    }
    let mut instantiate = Vec::new();
    for _ in 0..instances {
        let start = Instant::now();
        let mut store = app.new_store();
        pre.instantiate_async(&mut store).await?;
        instantiate.push(start.elapsed());
    }
    Ok(Costs {
        name,
        bytes: bytes.len(),
        compile: middle(&compile),
        instantiate: middle(&instantiate),
        lookup,
    })
}

async fn measure_lookups(
    app: &App,
    pre: &InstancePre<HostState>,
    lookups: usize,
    alive: &mut Vec<Caller>,
) -> Result<LookupCosts> {
    let mut first = Caller::new(app, pre).await?;
    LINEAR_MEMORY.store(0, Ordering::Relaxed);
    let before = resident()?;
    for _ in 0..LIVE {
        alive.push(Caller::new(app, pre).await?);
    }
    let resident = resident()?.saturating_sub(before) / LIVE;
    let linear = LINEAR_MEMORY.load(Ordering::Relaxed) / LIVE;
    let before = cpu_time("self")?;
    for _ in 0..lookups {
        first.look_up().await?;
    }
    let cpu = (cpu_time("self")? - before) / u32::try_from(lookups)?;
    Ok(LookupCosts {
        linear,
        resident,
        cpu,
    })
}

fn load(wasm: &Path, redis: &Redis) -> Result<App> {
    App::from_component(
        wasm,
        &Grants {
            allowed_outbound_hosts: vec![redis.address()],
            ..Grants::default()
        },
        options(variables(redis, &[]), &LogSink::memory()),
    )
}

/// An instance that can be called.
struct Caller {
    store: Store<HostState>,
    exists: Func,
}

impl Caller {
    /// A new instance, after one lookup.
    async fn new(app: &App, pre: &InstancePre<HostState>) -> Result<Self> {
        let mut store = app.new_store();
        // Nothing is allocated: it has no size.
        store.limiter(|_| Box::leak(Box::new(Recorder)));
        let instance = pre.instantiate_async(&mut store).await?;
        let interface = "provider:connection-cache/cache@0.1.0";
        let interface = instance.get_export_index(&mut store, None, interface);
        let exists = instance.get_export_index(&mut store, interface.as_ref(), "exists");
        let exists = exists.context("the cache is not exported")?;
        let exists = instance.get_func(&mut store, exists);
        let mut caller = Self {
            store,
            exists: exists.context("it is a function")?,
        };
        caller.look_up().await?;
        Ok(caller)
    }

    /// Looks up an entry that is there.
    async fn look_up(&mut self) -> Result<()> {
        let mut results = [Val::Bool(false)];
        let id = Val::String(Kind::Hit.id(0));
        self.exists
            .call_async(&mut self.store, &[id], &mut results)
            .await?;
        let found = Val::Result(Ok(Some(Box::new(Val::Bool(true)))));
        ensure!(results == [found], "it was not found: {results:?}");
        Ok(())
    }
}

/// What the linear memories grew by, in bytes.
static LINEAR_MEMORY: AtomicUsize = AtomicUsize::new(0);

/// Adds up the growth of linear memories, which only who allows it is told.
struct Recorder;

impl ResourceLimiter for Recorder {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        LINEAR_MEMORY.fetch_add(desired - current, Ordering::Relaxed);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// The resident memory of this process, in bytes.
fn resident() -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(1024 * kilobytes.context("no VmRSS")?.parse::<usize>()?)
}

fn middle(times: &[Duration]) -> Duration {
    Duration::from_secs_f64(median(times.iter().map(Duration::as_secs_f64)))
}
