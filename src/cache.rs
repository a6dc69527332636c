//! The operations of the cache, over Redis and the origin. Reads fail open, writes tell the truth.

mod conditional_write;
mod edge_cache;
mod encoded_batch;
mod id_pages;
mod lookup;
mod marker;
mod read_through;
mod recent_writes;
mod stats_flush;
mod stored_value;

use std::cell::OnceCell;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join};
use spin_sdk::wasip3::clocks::monotonic_clock;

pub use self::conditional_write::{Condition, Removal};
pub use self::encoded_batch::EncodedBatch;
pub use self::id_pages::{Cursor, IdPage};
pub use self::lookup::{Absence, Entry, Forward, Lookup, Outcome};

use self::conditional_write::{ConditionalWrite, Written};
use self::edge_cache::{EdgeCache, Known};
use self::read_through::ReadThrough;
use self::recent_writes::RecentWrites;
use self::stored_value::StoredValue;
use crate::config::{CacheConfig, ConfigError, Ttl};
use crate::connection::{Id, InvalidField, ProviderConnection, Summary, Timestamp, entry};
use crate::edge_store::NotSet;
use crate::origin::{Origin, Upstream};
use crate::redis::{AuxiliaryKeys, Change, Counted, Error, Keyspace, RawValue, ReadOptions, Redis};
use crate::rt::clock::now;
use crate::rt::deadline::Timer;
use crate::rt::singleflight::Singleflight;
use crate::rt::task::spawn_after_answer;
use crate::stats::{Counter, Hour, HourStats, Hours, Operation, Stats};

/// A summary as of now.
pub struct FoundSummary {
    /// The summary.
    pub summary: Summary,
    /// Whether it was in the edge cache. Otherwise it comes from Redis or from the origin.
    pub(crate) from_edge: bool,
}

impl FoundSummary {
    fn read(connection: ProviderConnection, now: Timestamp) -> Self {
        Self {
            summary: connection.summarize(now),
            from_edge: false,
        }
    }
}

/// What the cache can do now.
pub struct Readiness {
    /// Whether Redis answers lookups.
    pub lookups: Result<(), Error>,
    /// Whether Redis takes writes.
    pub writes: Result<(), Error>,
}

/// What an entry shows to someone who looks at the cache.
pub struct InspectedEntry {
    /// The summary as of now.
    pub summary: Summary,
    /// The rest of its lifetime. None if it does not expire.
    pub remaining: Option<Duration>,
}

/// At most 1,000 items to read or write at once.
pub struct Batch<T>(Vec<T>);

impl<T> Batch<T> {
    /// The largest batch.
    pub(crate) const MAX: usize = 1_000;

    /// Checks the size. The items came in the argument `field`.
    pub fn new(field: &'static str, items: Vec<T>) -> Result<Self, InvalidField> {
        if items.len() <= Self::MAX {
            Ok(Self(items))
        } else {
            Err(InvalidField {
                field,
                rule: "at most 1,000",
            })
        }
    }

    /// Returns the items in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

/// The cache of provider connections.
///
/// Functions for other crates return a boxed future. The code of any other future is compiled once more
/// into each crate that awaits it, and the components would be a tenth larger.
pub struct Cache {
    /// For work that outlives a call.
    this: Weak<Self>,
    redis: Result<Rc<Redis>, Error>,
    keyspace: Keyspace,
    default_ttl: Ttl,
    edge_cache: Option<Rc<EdgeCache>>,
    /// The reads in flight. The flag is true for those that read the lifetime too.
    reads: Singleflight<(Id, bool), Lookup<Rc<Entry>>>,
    /// There is none without a replica.
    recent_writes: Option<RecentWrites>,
    read_through: Option<Rc<ReadThrough>>,
    stats: Rc<Stats>,
}

impl Cache {
    /// An invalid configuration behaves like an unreachable Redis.
    pub(crate) fn new(
        config: Result<CacheConfig, ConfigError>,
        upstream: &Upstream,
        timer: &Rc<Timer>,
    ) -> Rc<Self> {
        Rc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            ..match config {
                Ok(config) => Self::configured(config, upstream, timer),
                Err(error) => Self::misconfigured(error),
            }
        })
    }

    fn misconfigured(error: ConfigError) -> Self {
        Self {
            this: Weak::new(),
            redis: Err(Error::Misconfigured(error)),
            keyspace: Keyspace::new(""),
            default_ttl: Ttl::DEFAULT,
            edge_cache: None,
            reads: Singleflight::default(),
            recent_writes: None,
            read_through: None,
            stats: Rc::<Stats>::default(),
        }
    }

    fn configured(config: CacheConfig, upstream: &Upstream, timer: &Rc<Timer>) -> Self {
        let stats = Rc::<Stats>::default();
        let redis = Rc::new(Redis::new(&config.redis, Rc::clone(timer), &stats));
        let keyspace = Keyspace::new(&config.key_prefix);
        if config.stats {
            stats_flush::start(Rc::clone(&redis), keyspace.clone(), &stats);
        }
        let edge_cache = EdgeCache::new(&config, &keyspace, timer);
        let read_through = config.origin.map(|origin| {
            ReadThrough::new(read_through::Parts {
                redis: Rc::clone(&redis),
                keyspace: keyspace.clone(),
                policy: origin.policy,
                default_ttl: config.default_ttl,
                origin_timeout: origin.timeout,
                redis_timeout: config.redis.timeout,
                origin: Origin::new(origin, upstream, Rc::clone(timer), Rc::clone(&stats)),
                stats: Rc::clone(&stats),
            })
        });
        Self {
            this: Weak::new(),
            stats,
            redis: Ok(redis),
            keyspace,
            default_ttl: config.default_ttl,
            edge_cache,
            reads: Singleflight::default(),
            recent_writes: config.redis.replica.map(|_| RecentWrites::new()),
            read_through,
        }
    }

    /// Reads the connection.
    pub fn get(&self, id: Id) -> LocalBoxFuture<'_, Lookup<ProviderConnection>> {
        Box::pin(async move {
            let found = self
                .stats
                .measure(Operation::Get, pin!(self.read(id, false)))
                .await;
            found.map(|entry| Rc::unwrap_or_clone(entry).connection)
        })
    }

    /// Reads the connection and the rest of its lifetime.
    pub fn lookup(&self, id: Id) -> LocalBoxFuture<'_, Lookup<Entry>> {
        Box::pin(async move {
            let found = self
                .stats
                .measure(Operation::Lookup, pin!(self.read(id, true)))
                .await;
            found.map(Rc::unwrap_or_clone)
        })
    }

    /// Reads the summary of the connection. It may come from the edge cache.
    pub fn summary(&self, id: Id) -> LocalBoxFuture<'_, Lookup<FoundSummary>> {
        Box::pin(async move {
            let summary = pin!(self.read_summary(id));
            self.stats.measure(Operation::GetSummary, summary).await
        })
    }

    /// Reads the summary of the connection from Redis at this moment.
    pub(crate) async fn summary_from_redis(&self, id: Id) -> Lookup<FoundSummary> {
        let summary = pin!(self.read_summary_from_redis(id));
        self.stats.measure(Operation::GetSummary, summary).await
    }

    /// Returns true if [`Self::summary`] would find one.
    pub fn exists(&self, id: Id) -> LocalBoxFuture<'_, bool> {
        Box::pin(async move {
            let summary = pin!(self.read_summary(id));
            let found = self.stats.measure(Operation::Exists, summary).await;
            found.hit().is_some()
        })
    }

    async fn read_summary(&self, id: Id) -> Lookup<FoundSummary> {
        let Some(edge) = &self.edge_cache else {
            return self.read_summary_from_redis(id).await;
        };
        // In a box, for lookups without an edge cache would carry it along.
        match Box::pin(edge.get(id, now())).await {
            Known::Summary { summary, due } => {
                self.stats.increment(Counter::EdgeHits);
                if due {
                    self.refresh_in_background(id);
                }
                Lookup::Hit(FoundSummary {
                    summary,
                    from_edge: true,
                })
            }
            Known::NotFound => {
                self.stats.increment(Counter::EdgeHits);
                Lookup::NotFound
            }
            Known::Nothing => self.read_summary_from_redis(id).await,
        }
    }

    async fn read_summary_from_redis(&self, id: Id) -> Lookup<FoundSummary> {
        let found = self.read(id, self.edge_cache.is_some()).await;
        found.map(|entry| FoundSummary::read(Rc::unwrap_or_clone(entry).connection, now()))
    }

    /// Asks Redis again for a summary that the host keeps, once it has been answered. Nothing is
    /// counted, because nobody looked it up.
    fn refresh_in_background(&self, id: Id) {
        let Some(cache) = self.this.upgrade() else {
            return;
        };
        spawn_after_answer(async move {
            if let Some(edge) = &cache.edge_cache
                && edge.begin_refresh(id, now()).await
            {
                cache.read(id, true).await;
            }
        });
    }

    /// Reads the connections in one round trip. They are in the order of the ids.
    pub fn get_many<'a>(
        &'a self,
        ids: &'a Batch<Id>,
    ) -> LocalBoxFuture<'a, Vec<Lookup<ProviderConnection>>> {
        Box::pin(async move {
            let read = pin!(self.read_many(&ids.0, |connection| connection));
            self.stats.measure(Operation::GetMany, read).await
        })
    }

    /// Reads the summaries of the connections from Redis in one round trip. They are in the order of the
    /// ids.
    pub(crate) async fn summaries(&self, ids: &Batch<Id>) -> Vec<Lookup<FoundSummary>> {
        // All of them are of one moment, when Redis has answered: each look at the clock is a call of the host.
        let moment = OnceCell::new();
        let summary = |connection| FoundSummary::read(connection, *moment.get_or_init(now));
        let read = pin!(self.read_many(&ids.0, summary));
        self.stats.measure(Operation::GetMany, read).await
    }

    /// Stores the connection. Without a lifetime, the configured one applies.
    pub fn set<'a>(
        &'a self,
        connection: &'a ProviderConnection,
        ttl: Option<Ttl>,
    ) -> LocalBoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let ids = [connection.fields().id];
            let ttl = ttl.unwrap_or(self.default_ttl);
            let auxiliary = self.auxiliary_keys(&ids, ttl);
            let key = self.keyspace.entry(ids[0]);
            let set = async {
                let value = entry::encode(connection);
                self.redis()?.set(&key, value, ttl, &auxiliary).await
            };
            let write = pin!(self.write(&ids, Box::pin(set)));
            self.stats.measure(Operation::Set, write).await
        })
    }

    /// Stores the connection if the condition holds. Returns false if it does not.
    pub fn set_if<'a>(
        &'a self,
        connection: &'a ProviderConnection,
        ttl: Option<Ttl>,
        condition: &'a Condition<'a>,
    ) -> LocalBoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let ids = [connection.fields().id];
            let ttl = ttl.unwrap_or(self.default_ttl);
            let change = Change::Set(entry::encode(connection), ttl);
            let auxiliary = self.auxiliary_keys(&ids, ttl);
            let set = pin!(self.write_if(ids[0], change, auxiliary, condition));
            let written = self.stats.measure(Operation::Set, set).await?;
            Ok(matches!(written, Written::Done { .. }))
        })
    }

    /// Stores all of the connections, or none of them.
    pub fn set_many(
        &self,
        connections: EncodedBatch,
        ttl: Option<Ttl>,
    ) -> LocalBoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let EncodedBatch { ids, entries, .. } = connections;
            let ttl = ttl.unwrap_or(self.default_ttl);
            let auxiliary = self.auxiliary_keys(&ids, ttl);
            let keys = self.keyspace.entries(&ids);
            let set = async {
                let redis = self.redis()?;
                redis.set_many(&keys, entries, ttl, &auxiliary).await
            };
            let write = pin!(self.write(&ids, Box::pin(set)));
            self.stats.measure(Operation::SetMany, write).await
        })
    }

    /// Removes the connection. Returns true if it existed.
    pub fn delete(&self, id: Id) -> LocalBoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move {
            let deleted = self
                .stats
                .measure(Operation::Delete, pin!(self.remove(&[id])))
                .await;
            Ok(deleted? > 0)
        })
    }

    /// Removes the connection if the condition holds.
    pub fn delete_if<'a>(
        &'a self,
        id: Id,
        condition: &'a Condition<'a>,
    ) -> LocalBoxFuture<'a, Result<Removal, Error>> {
        Box::pin(async move {
            let auxiliary = self.auxiliary_keys(&[id], Ttl::DEFAULT);
            let delete = pin!(self.write_if(id, Change::Delete, auxiliary, condition));
            let written = self.stats.measure(Operation::Delete, delete).await?;
            Ok(match written {
                Written::Done { existed: true } => Removal::Removed,
                Written::Done { existed: false } => Removal::Absent,
                Written::PreconditionFailed => Removal::PreconditionFailed,
            })
        })
    }

    async fn write_if(
        &self,
        id: Id,
        change: Change,
        auxiliary: AuxiliaryKeys,
        condition: &Condition<'_>,
    ) -> Result<Written, Error> {
        let write = ConditionalWrite {
            redis: self.redis()?,
            id,
            key: self.keyspace.entry(id),
            auxiliary,
            change,
            condition,
        };
        self.write(&[id], Box::pin(write.run())).await
    }

    /// Removes the connections. Returns how many of them existed.
    pub fn delete_many<'a>(&'a self, ids: &'a Batch<Id>) -> LocalBoxFuture<'a, Result<u32, Error>> {
        Box::pin(async move {
            let removed = pin!(self.remove(&ids.0));
            self.stats.measure(Operation::DeleteMany, removed).await
        })
    }

    async fn remove(&self, ids: &[Id]) -> Result<u32, Error> {
        let auxiliary = self.auxiliary_keys(ids, Ttl::DEFAULT);
        let keys = self.keyspace.entries(ids);
        let removal = self.remove_keys(&keys, &auxiliary);
        self.write(ids, Box::pin(removal)).await
    }

    async fn remove_keys(&self, keys: &[String], auxiliary: &AuxiliaryKeys) -> Result<u32, Error> {
        let redis = self.redis()?;
        match &self.read_through {
            None => redis.delete(keys).await,
            // Some keys may hold markers, which do not count as connections.
            Some(_) => redis.delete_entries(keys, auxiliary, marker::PREFIX).await,
        }
    }

    /// Measures one round trip to Redis.
    pub fn ping(&self) -> LocalBoxFuture<'_, Result<Duration, Error>> {
        Box::pin(async move {
            let ping = pin!(async {
                let sent = monotonic_clock::now();
                self.redis()?.ping().await?;
                Ok(Duration::from_nanos(
                    monotonic_clock::now().saturating_sub(sent),
                ))
            });
            self.stats.measure(Operation::Ping, ping).await
        })
    }

    /// Tries whether lookups are answered and writes are taken. Both leave no trace in Redis.
    pub(crate) async fn readiness(&self) -> Readiness {
        let lookups = pin!(self.try_lookups());
        let lookups = self.stats.measure(Operation::Ping, lookups);
        let (lookups, writes) = join(lookups, self.try_writes()).await;
        Readiness { lookups, writes }
    }

    /// Tries the same as `GET /health/ready`. Nothing is counted.
    pub fn inspect_readiness(&self) -> LocalBoxFuture<'_, Readiness> {
        Box::pin(async move {
            let (lookups, writes) = join(self.try_lookups(), self.try_writes()).await;
            Readiness { lookups, writes }
        })
    }

    async fn try_lookups(&self) -> Result<(), Error> {
        self.redis()?.try_read(&self.keyspace.probes()).await
    }

    async fn try_writes(&self) -> Result<(), Error> {
        let other = match self.reads_through() {
            true => self.keyspace.probes_of_reading_through().to_vec(),
            false => Vec::new(),
        };
        let [probe, _] = self.keyspace.probes();
        self.redis()?.try_set(&probe, &other).await
    }

    /// Fails if Redis would not remove an entry now.
    pub fn check_removal(&self) -> LocalBoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let probes = self.keyspace.probes();
            let auxiliary = AuxiliaryKeys::default();
            let removal = pin!(self.remove_keys(&probes, &auxiliary));
            let removed = self.stats.measure(Operation::Ping, removal).await;
            removed.map(drop)
        })
    }

    /// Reads what Redis holds for the connection at this moment. Neither the origin nor a cache of the
    /// host is asked. Nothing is counted: looking at the cache must not change it.
    pub fn inspect(&self, id: Id) -> LocalBoxFuture<'_, Lookup<InspectedEntry>> {
        Box::pin(async move { inspected(id, self.raw(id, ReadOptions::NOW).await, now()) })
    }

    /// Does what [`Self::inspect`] does for each of the ids, in one round trip. The results are in the
    /// order of the ids.
    pub fn inspect_many<'a>(
        &'a self,
        ids: &'a Batch<Id>,
    ) -> LocalBoxFuture<'a, Result<Vec<Lookup<InspectedEntry>>, Error>> {
        Box::pin(async move {
            let keys = self.keyspace.entries(&ids.0);
            let (all, _permit) = self.redis()?.get_many_with_lifetimes(&keys).await?;
            let now = now();
            let all = ids.iter().zip(all);
            Ok(all.map(|(id, raw)| inspected(*id, Ok(raw), now)).collect())
        })
    }

    /// Reads a page of the ids of cached connections.
    pub fn list_ids(&self, cursor: Cursor) -> LocalBoxFuture<'_, Result<IdPage, Error>> {
        Box::pin(async move { id_pages::read(self.redis()?, &self.keyspace, cursor).await })
    }

    /// Reads the counts of each hour, the oldest first. The last hour is the present one.
    pub fn stats(&self, hours: Hours) -> LocalBoxFuture<'_, Result<Vec<HourStats>, Error>> {
        Box::pin(async move {
            let hours: Vec<_> = hours.up_to(Hour::of(now())).collect();
            let keys = hours.iter().map(|hour| self.keyspace.stats(*hour));
            let keys: Vec<_> = keys.collect();
            let counted = self.redis()?.counted(&keys).await?;
            let hours = hours.into_iter().zip(counted);
            Ok(hours
                .map(|(hour, counted)| HourStats {
                    hour,
                    counts: counted.counts,
                })
                .collect())
        })
    }

    /// Reads all counts since counting began. They only grow.
    pub(crate) async fn total_stats(&self) -> Result<Counted, Error> {
        let keys = [self.keyspace.total_stats()];
        let counted = self.redis()?.counted(&keys).await?;
        counted.into_iter().next().ok_or(Error::Unexpected)
    }

    /// Returns true if a lookup asks the origin for connections that are not cached.
    pub(crate) fn reads_through(&self) -> bool {
        self.read_through.is_some()
    }

    /// Reads the connection from Redis, or else from the origin. Calls at the same time share the
    /// result.
    async fn read(&self, id: Id, lifetime: bool) -> Lookup<Rc<Entry>> {
        let read_through = self.read_through.as_ref();
        let begun = read_through.map_or(0, |one| one.requests_begun());
        let (mut found, mut joined) = self.share(id, lifetime).await;
        if found.is_too_old_to_share(begun) {
            // A result that is shared now was asked for after this caller had come.
            (found, joined) = self.share(id, lifetime).await;
        }
        let found = Lookup::shared((found, joined));
        if joined || found.is_collapsed() {
            self.stats.increment(Counter::CoalescedLookups);
        }
        found
    }

    async fn share(&self, id: Id, lifetime: bool) -> (Lookup<Rc<Entry>>, bool) {
        let read = pin!(self.read_alone(id, lifetime));
        self.reads.share((id, lifetime), read).await
    }

    async fn read_alone(&self, id: Id, lifetime: bool) -> Lookup<Rc<Entry>> {
        // Only a read of the lifetime can be kept.
        let edge = self.edge_cache.as_ref().filter(|_| lifetime);
        let edge = match edge {
            Some(edge) => {
                let start = Box::pin(edge.begin(id, now())).await;
                if start.is_soon_after_a_write() {
                    self.read_from_primary(id);
                }
                Some((edge, start))
            }
            None => None,
        };
        let stored = self.look(id, lifetime).await;
        let not_found_for = stored.not_found_for();
        let found = match &self.read_through {
            Some(read_through) => read_through.read(id, stored).await,
            None => stored.lookup(),
        };
        if let Some((edge, start)) = edge {
            edge.keep_after_answer(start, id, &found, not_found_for);
        }
        found
    }

    async fn look(&self, id: Id, lifetime: bool) -> StoredValue {
        let refreshes = self.read_through.as_ref().filter(|one| one.refreshes());
        let fresh = refreshes.map(|_| self.keyspace.fresh(id));
        let options = ReadOptions {
            lifetime,
            fresh: fresh.as_deref(),
            replica: self.may_ask_replica(&[id]),
        };
        let found = self.raw(id, options).await;
        StoredValue::decode_for_lookup(id, found, &self.stats)
    }

    async fn raw(&self, id: Id, options: ReadOptions<'_>) -> Result<Option<RawValue>, Error> {
        self.redis()?.get(&self.keyspace.entry(id), options).await
    }

    /// Reads each connection from Redis. Only `part` of a connection is kept once it is read, because a
    /// thousand of the largest do not fit into memory twice.
    async fn read_many<T>(
        &self,
        ids: &[Id],
        part: impl Fn(ProviderConnection) -> T,
    ) -> Vec<Lookup<T>> {
        let replica = self.may_ask_replica(ids);
        let found = match self.redis() {
            Ok(redis) => redis.get_many(&self.keyspace.entries(ids), replica).await,
            Err(error) => Err(error),
        };
        match found {
            Ok((all, _permit)) => {
                let decoded = ids.iter().zip(all).map(|(id, raw)| {
                    let stored = StoredValue::decode_for_lookup(*id, Ok(raw), &self.stats);
                    let found = stored.lookup();
                    found.map(|entry| part(Rc::unwrap_or_clone(entry).connection))
                });
                decoded.collect()
            }
            Err(error) => {
                let unavailable = |_| Lookup::Absent(Absence::Unavailable(error.clone()));
                ids.iter().map(unavailable).collect()
            }
        }
    }

    fn may_ask_replica(&self, ids: &[Id]) -> bool {
        let writes = self.recent_writes.as_ref();
        !writes.is_some_and(|writes| ids.iter().any(|id| writes.contains(*id)))
    }

    /// Reads a connection that was written from the primary from now on: a replica may lag behind.
    fn read_from_primary(&self, id: Id) {
        if let Some(writes) = &self.recent_writes {
            writes.insert(id);
        }
    }

    fn redis(&self) -> Result<&Redis, Error> {
        self.redis.as_deref().map_err(Error::clone)
    }

    fn auxiliary_keys(&self, ids: &[Id], ttl: Ttl) -> AuxiliaryKeys {
        let read_through = self.read_through.as_ref();
        read_through.map_or_else(AuxiliaryKeys::default, |one| one.auxiliary_keys(ids, ttl))
    }

    /// Does a write of these connections. When it ends, with whatever result, no read from before it is
    /// used any more: a caller who learns of the write reads what it wrote, or newer.
    async fn write<T>(
        &self,
        ids: &[Id],
        write: LocalBoxFuture<'_, Result<T, Error>>,
    ) -> Result<T, Error> {
        let _forgets = Forgets { cache: self, ids };
        let written = write.await;
        let forgotten = match &self.edge_cache {
            Some(edge) => edge.forget_all(ids).await,
            None => Ok(()),
        };
        let written = written?;
        forgotten.map_err(|NotSet| Error::StillInEdgeCache)?;
        Ok(written)
    }
}

/// Decodes a value without counting or logging it.
fn inspected(
    id: Id,
    found: Result<Option<RawValue>, Error>,
    now: Timestamp,
) -> Lookup<InspectedEntry> {
    let found = StoredValue::decode(id, found).lookup();
    found.map(|entry| {
        let Entry {
            connection,
            remaining,
        } = Rc::unwrap_or_clone(entry);
        InspectedEntry {
            summary: connection.summarize(now),
            remaining,
        }
    })
}

/// Makes the instance forget connections at the end of a write, even of one whose caller gave up.
struct Forgets<'a> {
    cache: &'a Cache,
    ids: &'a [Id],
}

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        self.cache.reads.forget(|(id, _)| self.ids.contains(&id));
        if let Some(read_through) = &self.cache.read_through {
            read_through.forget(self.ids);
        }
        for id in self.ids {
            self.cache.read_from_primary(*id);
        }
    }
}
