//! What callers wait where Redis is far away, with the caches in between and without.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use fastrand::Rng;
use uuid::Builder;

use crate::caller::Caller;
use crate::entries::{COUNT, Kind};
use crate::far;
use crate::origin::local;
use crate::process::Server;
use crate::program;
use crate::results::Results;
use crate::setup::Setup;
use crate::side_by_side;
use crate::support::redis::{Redis, free_port};
use crate::support::service::path;
use crate::wrk::get;

/// The component without the caches.
pub const NO_CACHE: &str = "no cache";
/// The component with the edge cache.
pub const EDGE: &str = "edge cache";
/// The same, its store on disk. Hits are not measured of it: a write may keep all of a short round waiting.
const EDGE_ON_DISK: &str = "edge cache, store on disk";

/// What no component can be faster than that asks the store.
pub const FLOOR: &str = "hello-world after a get of the store (edge floor)";

/// The rows of hits, in their order in the table.
pub const ROWS: [&str; 3] = [FLOOR, NO_CACHE, EDGE];

/// What the goals are about.
pub const FAR: Duration = Duration::from_millis(20);
/// Round trips to Redis.
const ROUND_TRIPS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(5),
    FAR,
    Duration::from_millis(80),
];

/// What a lookup is to take at most.
const PROMISED: Duration = Duration::from_millis(5);
/// Lookups in a second, each sent whether or not others still wait.
pub const RATE: u32 = 200;
/// Longer than an instance is kept that has nothing to do.
const IDLE: Duration = Duration::from_millis(1_200);
/// As many as wait at a time where each lookup takes half a second: a new instance that is 80 ms away.
const CALLERS: usize = 128;

/// What is between the callers and Redis.
struct Cache {
    name: &'static str,
    component: &'static str,
    variables: &'static [&'static str],
    store: Store,
}

/// Where the store of the edge cache is.
#[derive(Clone, Copy)]
enum Store {
    Memory,
    Disk,
}

const EDGE_TTL: &str = "edge_cache_ttl_ms=60000";

const CACHES: [Cache; 3] = [
    Cache::new(NO_CACHE, &[]),
    Cache::new(EDGE, &[EDGE_TTL]),
    Cache {
        store: Store::Disk,
        ..Cache::new(EDGE_ON_DISK, &[EDGE_TTL])
    },
];

/// What was measured.
pub struct Distance {
    /// By round trip, then by cache.
    pub cells: Vec<Cell>,
    /// Hits, as many as there can be, with Redis on this machine.
    pub hits: Results,
}

/// One cache with Redis at one distance.
pub struct Cell {
    /// How far away Redis is.
    pub round_trip: Duration,
    /// What is in between.
    pub cache: &'static str,
    /// What was found.
    pub lookups: Lookups,
}

/// How long lookups took, from the moment on at which they were to be sent.
pub struct Lookups {
    /// The last of the first ones, which ask for every connection once.
    pub first: Duration,
    /// The share of those that follow for which Redis was asked.
    pub asked_redis: f64,
    /// Of each that follows, sorted.
    times: Vec<Duration>,
}

impl Lookups {
    /// The share of lookups that took no longer than is promised.
    pub fn within_promised(&self) -> f64 {
        let within = self.times.partition_point(|time| *time <= PROMISED);
        within as f64 / self.times.len() as f64
    }

    /// What so many of a hundred lookups took at most, in milliseconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.times.len() * percent).div_ceil(100);
        self.times[rank.saturating_sub(1)].as_secs_f64() * 1e3
    }
}

impl Distance {
    /// What was measured of this cache with Redis so far away.
    pub fn lookups(&self, round_trip: Duration, cache: &str) -> Option<&Lookups> {
        let mut cells = self.cells.iter();
        let cell = cells.find(|cell| cell.round_trip == round_trip && cell.cache == cache);
        cell.map(|cell| &cell.lookups)
    }
}

/// Measures each cache at each distance.
pub fn measure(setup: &Setup) -> Result<Distance> {
    let redis = Redis::start(&[]);
    let ids = random_ids();
    Kind::Hit.store_all(&redis, ids.iter().cloned())?;
    let round_trips = if setup.smoke {
        &[FAR][..]
    } else {
        &ROUND_TRIPS
    };
    let mut cells = Vec::new();
    for &round_trip in round_trips {
        let address = far::address(&redis, round_trip)?;
        // On disk or in memory does not depend on the distance.
        let caches = CACHES
            .iter()
            .filter(|cache| round_trip == FAR || cache.name != EDGE_ON_DISK);
        for cache in caches {
            let name = cache.name;
            eprintln!("Redis is {} ms away: {name}", round_trip.as_millis());
            let found = cache.start(setup, &address).and_then(|mut server| {
                let found = lookups(setup, &redis, local(&server), &ids);
                server.ensure_alive()?;
                found
            });
            cells.push(Cell {
                round_trip,
                cache: name,
                lookups: found.with_context(|| name)?,
            });
        }
    }
    let hits = hits(setup, &redis)?;
    Ok(Distance { cells, hits })
}

/// How hits are measured: in shorter rounds than elsewhere, but long enough for an answer.
pub fn of_hits(setup: &Setup) -> Setup {
    setup.finer(1, if setup.smoke { 1 } else { 4 })
}

fn hits(setup: &Setup, redis: &Redis) -> Result<Results> {
    Kind::Hit.store(redis)?;
    let ids: Vec<_> = Kind::Hit.ids().collect();
    let start = |name: &str| -> Result<Server> {
        let cache = CACHES.iter().find(|cache| cache.name == name);
        let cache = cache.context("it is one of them")?;
        let server = cache.start(setup, &redis.address())?;
        warm_up(local(&server), &ids)?;
        Ok(server)
    };
    let (mut no_cache, mut edge) = (start(NO_CACHE)?, start(EDGE)?);
    let floor = Cache {
        component: "hello-store",
        ..Cache::new(FLOOR, &[])
    };
    let mut floor = floor.start(setup, &redis.address())?;
    let mut results = Results::default();
    let servers = [&mut floor, &mut no_cache, &mut edge];
    let setup = of_hits(setup);
    side_by_side::hits(&setup, "edge-hits", ROWS, servers, &mut results)?;
    Ok(results)
}

impl Cache {
    const fn new(name: &'static str, variables: &'static [&'static str]) -> Self {
        Self {
            name,
            component: program::CACHE,
            variables,
            store: Store::Memory,
        }
    }

    /// A host of the component with this cache and a new store.
    fn start(&self, setup: &Setup, redis_address: &str) -> Result<Server> {
        let port = free_port();
        let mut command = program::component(setup, redis_address, port, self.component, &[])?;
        for variable in self.variables {
            command.args(["--variable", variable]);
        }
        // Where Redis is far away, what is answered late is to be seen, not what is given up.
        command
            .args(["--variable", "redis_timeout_ms=30000"])
            .arg("--runtime-config-file")
            .arg(self.store.configure(&setup.directory, port)?);
        Server::start(self.name, command, port, &setup.directory)
    }
}

impl Store {
    /// The runtime configuration of a server on this port.
    fn configure(self, directory: &Path, port: u16) -> Result<PathBuf> {
        let path = match self {
            Self::Memory => String::new(),
            Self::Disk => format!("path = {:?}\n", directory.join(format!("{port}.db"))),
        };
        let file = directory.join(format!("{port}.runtime-config.toml"));
        let store = "[key_value_store.default]\ntype = \"spin\"\n";
        fs::write(&file, format!("{store}{path}"))?;
        Ok(file)
    }
}

/// Looks every connection up once, and then some at the rate.
fn lookups(setup: &Setup, redis: &Redis, address: SocketAddr, ids: &[String]) -> Result<Lookups> {
    let first = warm_up(address, ids)?;
    // So many callers at once had more instances than these lookups have.
    sleep(IDLE);
    redis.forget_commands();
    let count = |time: Duration| (f64::from(RATE) * time.as_secs_f64()).ceil() as usize;
    let (before, measured) = (count(setup.time / 4), count(setup.time));
    let ids = zipf(ids, before + measured);
    let interval = Duration::from_secs(1) / RATE;
    let mut times = load(address, &ids, interval)?;
    let commands = redis.commands_seen();
    let asked = commands.iter().find(|(name, _)| name == "get");
    let asked_redis = asked.map_or(0.0, |(_, gets)| *gets as f64) / times.len() as f64;
    times.drain(..before);
    times.sort();
    Ok(Lookups {
        first,
        asked_redis,
        times,
    })
}

/// Looks every connection up once. Returns how long that took.
fn warm_up(address: SocketAddr, ids: &[String]) -> Result<Duration> {
    let ids: Vec<_> = ids.iter().collect();
    let times = load(address, &ids, Duration::ZERO)?;
    times.into_iter().max().context("there are connections")
}

/// Looks up these connections, one in each interval. Returns how long each took, from
/// the moment on at which it was to be sent.
fn load(address: SocketAddr, ids: &[&String], interval: Duration) -> Result<Vec<Duration>> {
    let next = AtomicUsize::new(0);
    let callers: Result<Vec<Caller>> = (0..CALLERS).map(|_| Caller::connect(address)).collect();
    let start = Instant::now();
    let call = |mut caller: Caller| -> Result<Vec<(usize, Duration)>> {
        let mut times = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(id) = ids.get(index) else {
                return Ok(times);
            };
            let due = start + interval * u32::try_from(index)?;
            sleep(due.saturating_duration_since(Instant::now()));
            caller.call(&get(&path(id)), 200)?;
            times.push((index, due.elapsed()));
        }
    };
    let mut times = vec![Duration::ZERO; ids.len()];
    thread::scope(|scope| -> Result<()> {
        let call = &call;
        let spawn = |caller| scope.spawn(move || call(caller));
        let threads: Vec<_> = callers?.into_iter().map(spawn).collect();
        let join = |thread: ScopedJoinHandle<'_, _>| {
            thread.join().map_err(|_| anyhow!("a caller panicked"))?
        };
        for found in threads.into_iter().map(join) {
            for (index, time) in found? {
                times[index] = time;
            }
        }
        Ok(())
    })?;
    Ok(times)
}

/// The ids of the connections, the same ones always: random, as those of an application are. Those that the
/// other benchmarks count up would never share a slot of the edge cache.
fn random_ids() -> Vec<String> {
    let mut random = Rng::with_seed(0);
    let mut id = || Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid();
    (0..COUNT).map(|_| id().to_string()).collect()
}

/// So many of these ids, the same ones always. The first comes twice as often as the second, three times as
/// often as the third, and so on.
fn zipf(ids: &[String], count: usize) -> Vec<&String> {
    let mut total = 0.0;
    let mut cumulative = Vec::new();
    for rank in 1..=ids.len() {
        total += 1.0 / rank as f64;
        cumulative.push(total);
    }
    let mut random = Rng::with_seed(0);
    let mut draw = || {
        let at = total * random.f64();
        &ids[cumulative.partition_point(|up_to| *up_to <= at)]
    };
    (0..count).map(|_| draw()).collect()
}
