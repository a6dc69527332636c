//! The operations of the cache, over Redis. Reads fail open, writes tell the truth.

mod held;
mod history;
mod ids;
mod keys;
mod lookup;
mod marker;
mod near;
mod read_through;
mod report;
mod written;

use std::rc::Rc;
use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;

pub use self::history::{Hour, HourStats, Hours};
pub use self::ids::{Cursor, Page};
pub use self::lookup::{Absence, Entry, Forward, Lookup, Outcome};

use self::held::Held;
use self::keys::Names;
use self::near::NearCache;
use self::read_through::ReadThrough;
use self::written::Written;
use crate::clock::now;
use crate::config::{CacheConfig, ConfigError, Ttl};
use crate::connection::{Id, Invalid, ProviderConnection, Summary};
use crate::deadline::Timer;
use crate::entry;
use crate::flight::Flights;
use crate::redis::{Companions, Counted, Failure, Read, Redis, Stored};
use crate::stats::{Event, Operation, Stats};

/// A summary, and where it comes from.
pub struct Summarized {
    /// The summary, as of now.
    pub summary: Summary,
    /// Whether it comes from the near cache, not from Redis.
    pub near: bool,
}

/// At most 1,000 things to read or write at once.
pub struct Batch<T>(Vec<T>);

impl<T> Batch<T> {
    /// The most that one batch may hold.
    pub const MAX: usize = 1_000;

    /// The batch of these, which came in the argument `field`.
    pub fn new(field: &'static str, items: Vec<T>) -> Result<Self, Invalid> {
        if items.len() <= Self::MAX {
            Ok(Self(items))
        } else {
            Err(Invalid {
                field,
                rule: "at most 1,000",
            })
        }
    }

    /// What is in it, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

/// The cache of provider connections.
pub struct Cache {
    redis: Result<Rc<Redis>, Failure>,
    names: Names,
    default_ttl: Ttl,
    near: Option<NearCache>,
    /// The reads in flight, by connection, and by whether its lifetime is read too.
    reads: Flights<(Id, bool), Lookup<Rc<Entry>>>,
    /// What this instance wrote. The replica may not know of it yet.
    written: Option<Written>,
    /// The origin, which is asked for what is not cached.
    read_through: Option<Rc<ReadThrough>>,
    stats: Rc<Stats>,
}

impl Cache {
    /// The cache of this configuration. With a wrong one it works as if Redis were away.
    pub fn new(config: Result<CacheConfig, ConfigError>, timer: &Rc<Timer>) -> Self {
        let off = |failure| Self {
            redis: Err(failure),
            names: Names::new(""),
            default_ttl: Ttl::DEFAULT,
            near: None,
            reads: Flights::default(),
            written: None,
            read_through: None,
            stats: Rc::<Stats>::default(),
        };
        let mut config = match config {
            Ok(config) => config,
            Err(error) => return off(Failure::Misconfigured(error)),
        };
        let stats = Rc::<Stats>::default();
        let redis = Rc::new(Redis::new(&config, Rc::clone(timer), &stats));
        let names = Names::new(&config.key_prefix);
        if config.stats {
            report::to(Rc::clone(&redis), names.clone(), &stats);
        }
        let read_through = config.read_through.take().map(|read_through| {
            let (redis, timer) = (Rc::clone(&redis), Rc::clone(timer));
            ReadThrough::new(&config, read_through, redis, timer, Rc::clone(&stats))
        });
        Self {
            stats,
            redis: Ok(redis),
            names,
            default_ttl: config.default_ttl,
            near: config.near_cache.as_ref().map(NearCache::new),
            reads: Flights::default(),
            written: config.replica.map(|_| Written::new()),
            read_through,
        }
    }

    /// The connection.
    pub async fn get(&self, id: Id) -> Lookup<ProviderConnection> {
        let found = self
            .stats
            .measure(Operation::Get, self.read(id, false))
            .await;
        found.map(|entry| Rc::unwrap_or_clone(entry).connection)
    }

    /// The connection and the rest of its lifetime.
    pub async fn lookup(&self, id: Id) -> Lookup<Entry> {
        let found = self
            .stats
            .measure(Operation::Lookup, self.read(id, true))
            .await;
        found.map(Rc::unwrap_or_clone)
    }

    /// The summary of the connection as of now. It may come from the near cache.
    pub async fn summary(&self, id: Id) -> Lookup<Summarized> {
        let summary = self.read_summary(id);
        self.stats.measure(Operation::GetSummary, summary).await
    }

    /// Whether there is a summary.
    pub async fn exists(&self, id: Id) -> bool {
        let summary = self.read_summary(id);
        let found = self.stats.measure(Operation::Exists, summary).await;
        found.hit().is_some()
    }

    async fn read_summary(&self, id: Id) -> Lookup<Summarized> {
        let near = self.near.as_ref();
        if let Some(summary) = near.and_then(|near| near.get(id)) {
            return Lookup::Hit(Summarized {
                summary: summary.at(now()),
                near: true,
            });
        }
        let found = self.read(id, near.is_some()).await;
        found.map(|entry| summarized(Rc::unwrap_or_clone(entry).connection))
    }

    /// The connections, in the order of the ids, in one round trip.
    pub async fn get_many(&self, ids: &Batch<Id>) -> Vec<Lookup<ProviderConnection>> {
        let read = self.read_many(&ids.0, |connection| connection);
        self.stats.measure(Operation::GetMany, read).await
    }

    /// The summaries of the connections as of now, in the order of the ids. Those that
    /// do not come from the near cache are read in one round trip.
    pub async fn summaries(&self, ids: &Batch<Id>) -> Vec<Lookup<Summarized>> {
        let summaries = self.read_summaries(ids);
        self.stats.measure(Operation::GetMany, summaries).await
    }

    async fn read_summaries(&self, ids: &Batch<Id>) -> Vec<Lookup<Summarized>> {
        let near = |id: &Id| {
            let summary = self.near.as_ref()?.get(*id)?;
            Some(Summarized {
                summary: summary.at(now()),
                near: true,
            })
        };
        let mut found: Vec<_> = ids.iter().map(near).collect();
        let far = ids.iter().zip(&found);
        let far = far.filter_map(|(id, found)| found.is_none().then_some(*id));
        let read = self.read_many(&far.collect::<Vec<_>>(), summarized).await;
        let mut read = read.into_iter();
        let mut from_redis = || read.next().unwrap_or(Lookup::Absent(Absence::Miss));
        found
            .drain(..)
            .map(|near| near.map_or_else(&mut from_redis, Lookup::Hit))
            .collect()
    }

    /// Stores the connection, for the configured lifetime if none is given.
    pub async fn set(
        &self,
        connection: &ProviderConnection,
        ttl: Option<Ttl>,
    ) -> Result<(), Failure> {
        let id = connection.fields().id;
        let ttl = ttl.unwrap_or(self.default_ttl);
        let ids = [id];
        let (_written, companions) = (self.write(&ids), self.companions(&ids, ttl));
        let key = self.names.entry(id);
        let set = async {
            let value = entry::encode(connection);
            self.redis()?.set(&key, value, ttl, &companions).await
        };
        self.stats.measure(Operation::Set, set).await
    }

    /// Stores all of the connections, or none of them.
    pub async fn set_many(
        &self,
        connections: Batch<ProviderConnection>,
        ttl: Option<Ttl>,
    ) -> Result<(), Failure> {
        let ids: Vec<_> = connections.iter().map(|one| one.fields().id).collect();
        let values = connections.0.into_iter().map(|one| entry::encode(&one));
        let values = values.collect();
        let ttl = ttl.unwrap_or(self.default_ttl);
        let (_written, companions) = (self.write(&ids), self.companions(&ids, ttl));
        let keys = self.names.entries(&ids);
        let set = async {
            let redis = self.redis()?;
            redis.set_many(&keys, values, ttl, &companions).await
        };
        self.stats.measure(Operation::SetMany, set).await
    }

    /// Removes the connection. True if it was there.
    pub async fn delete(&self, id: Id) -> Result<bool, Failure> {
        let deleted = self
            .stats
            .measure(Operation::Delete, self.remove(&[id]))
            .await;
        Ok(deleted? > 0)
    }

    /// Removes the connections. How many of them were there.
    pub async fn delete_many(&self, ids: &Batch<Id>) -> Result<u32, Failure> {
        let removed = self.remove(&ids.0);
        self.stats.measure(Operation::DeleteMany, removed).await
    }

    async fn remove(&self, ids: &[Id]) -> Result<u32, Failure> {
        let (_written, companions) = (self.write(ids), self.companions(ids, Ttl::DEFAULT));
        let keys = self.names.entries(ids);
        match &self.read_through {
            None => self.redis()?.delete(&keys).await,
            // Word of the origin may be there, which is no entry.
            Some(_) => {
                let redis = self.redis()?;
                redis
                    .delete_entries(&keys, &companions, marker::PREFIX)
                    .await
            }
        }
    }

    /// How long Redis took to answer just now.
    pub async fn ping(&self) -> Result<Duration, Failure> {
        let ping = async {
            let sent = monotonic_clock::now();
            self.redis()?.ping().await?;
            Ok(Duration::from_nanos(
                monotonic_clock::now().saturating_sub(sent),
            ))
        };
        self.stats.measure(Operation::Ping, ping).await
    }

    /// What Redis holds of a connection at this moment, and for how long: neither the near cache
    /// nor the origin is asked, and nothing is counted, for who looks at the cache should not
    /// change what he sees.
    pub async fn inspect(&self, id: Id) -> Lookup<Entry> {
        let found = self.stored(id, Read::NOW).await;
        Held::decode(id, found).lookup().map(Rc::unwrap_or_clone)
    }

    /// Some ids of what is cached, from the cursor on.
    pub async fn list_ids(&self, cursor: Cursor) -> Result<Page, Failure> {
        ids::page(self.redis()?, &self.names, cursor).await
    }

    /// What was counted of late, hour by hour, the oldest first; the last hour is this one.
    pub async fn stats(&self, hours: Hours) -> Result<Vec<HourStats>, Failure> {
        let hours: Vec<_> = hours.up_to(Hour::of(now())).collect();
        let keys: Vec<_> = hours.iter().map(|hour| self.names.stats(*hour)).collect();
        let counted = self.redis()?.counted(&keys).await?;
        let hours = hours.into_iter().zip(counted);
        Ok(hours
            .map(|(hour, counted)| HourStats {
                hour,
                counts: counted.counts,
            })
            .collect())
    }

    /// What was counted in all: it only grows.
    pub async fn stats_in_all(&self) -> Result<Counted, Failure> {
        let counted = self.redis()?.counted(&[self.names.stats_in_all()]).await?;
        counted.into_iter().next().ok_or(Failure::Unexpected)
    }

    /// What Redis holds of a connection, or else what the origin says. Those who ask at the same
    /// time share the answer.
    async fn read(&self, id: Id, lifetime: bool) -> Lookup<Rc<Entry>> {
        let found = self.share(id, lifetime).await;
        if found.is_too_old_to_share() {
            // What is shared now was asked for after this caller had come.
            return self.share(id, lifetime).await;
        }
        found
    }

    async fn share(&self, id: Id, lifetime: bool) -> Lookup<Rc<Entry>> {
        let read = self.read_alone(id, lifetime);
        let (found, joined) = self.reads.share((id, lifetime), read).await;
        let found = Lookup::shared((found, joined));
        if joined || found.is_collapsed() {
            self.stats.happen(Event::CoalescedLookup);
        }
        found
    }

    async fn read_alone(&self, id: Id, lifetime: bool) -> Lookup<Rc<Entry>> {
        let begun = self.near.as_ref().map(NearCache::begin);
        let held = self.look(id, lifetime).await;
        let found = match &self.read_through {
            Some(read_through) => read_through.read(id, held).await,
            None => held.lookup(),
        };
        self.keep(begun, &found);
        found
    }

    async fn look(&self, id: Id, lifetime: bool) -> Held {
        let refreshes = self.read_through.as_ref().filter(|one| one.refreshes());
        let fresh = refreshes.map(|_| self.names.fresh(id));
        let how = Read {
            fresh: fresh.as_deref(),
            ..self.how(&[id], lifetime)
        };
        let found = self.stored(id, how).await;
        Held::of_lookup(id, found, &self.stats)
    }

    async fn stored(&self, id: Id, how: Read<'_>) -> Result<Option<Stored>, Failure> {
        self.redis()?.get(&self.names.entry(id), how).await
    }

    /// What Redis holds of each of these connections. Of each, `part` is kept as soon as it
    /// is read: a thousand of the largest do not fit into memory twice.
    async fn read_many<T>(
        &self,
        ids: &[Id],
        part: impl Fn(ProviderConnection) -> T,
    ) -> Vec<Lookup<T>> {
        let begun = self.near.as_ref().map(NearCache::begin);
        let how = self.how(ids, self.near.is_some());
        let found = match self.redis() {
            Ok(redis) => redis.get_many(&self.names.entries(ids), how).await,
            Err(failure) => Err(failure),
        };
        match found {
            Ok((all, _room)) => {
                let decoded = ids.iter().zip(all).map(|(id, stored)| {
                    let found = Held::of_lookup(*id, Ok(stored), &self.stats).lookup();
                    self.keep(begun, &found);
                    found.map(|entry| part(Rc::unwrap_or_clone(entry).connection))
                });
                decoded.collect()
            }
            Err(failure) => {
                let unavailable = |_| Lookup::Absent(Absence::Unavailable(failure.clone()));
                ids.iter().map(unavailable).collect()
            }
        }
    }

    fn how(&self, ids: &[Id], lifetime: bool) -> Read<'static> {
        let written = self.written.as_ref();
        Read {
            lifetime,
            fresh: None,
            replica: !written.is_some_and(|written| ids.iter().any(|id| written.contains(*id))),
        }
    }

    /// Keeps what was read in the near cache, if there is one, unless it is not stored.
    fn keep(&self, begun: Option<near::Begun>, found: &Lookup<Rc<Entry>>) {
        let entry = match found {
            Lookup::Hit(entry) => entry,
            Lookup::Forwarded(forward) => match &forward.outcome {
                Outcome::Stored(entry) => entry,
                _ => return,
            },
            Lookup::Absent(_) | Lookup::NotFound => return,
        };
        if let (Some(near), Some(begun)) = (&self.near, begun) {
            let summary = entry.connection.clone().summarize(now());
            near.keep(begun, &summary, entry.remaining);
        }
    }

    /// To be held while these connections are written.
    fn write<'a>(&'a self, ids: &'a [Id]) -> Write<'a> {
        Write { cache: self, ids }
    }

    fn redis(&self) -> Result<&Redis, Failure> {
        self.redis.as_deref().map_err(Failure::clone)
    }

    /// The keys beside these entries, which a write with this lifetime concerns too.
    fn companions(&self, ids: &[Id], ttl: Ttl) -> Companions {
        let read_through = self.read_through.as_ref();
        read_through.map_or_else(Companions::default, |one| one.companions(ids, ttl))
    }

    /// Whether the origin is asked for what is not cached.
    pub fn reads_through(&self) -> bool {
        self.read_through.is_some()
    }
}

/// A write to Redis. When it is over, whatever it came to, nothing that was read before is
/// answered any more: whoever is told of the write reads what it wrote, or newer.
struct Write<'a> {
    cache: &'a Cache,
    ids: &'a [Id],
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        self.cache.reads.forget(|(id, _)| self.ids.contains(&id));
        if let Some(read_through) = &self.cache.read_through {
            read_through.forget(self.ids);
        }
        for id in self.ids {
            if let Some(near) = &self.cache.near {
                near.forget(*id);
            }
            if let Some(written) = &self.cache.written {
                written.insert(*id);
            }
        }
    }
}

fn summarized(connection: ProviderConnection) -> Summarized {
    Summarized {
        summary: connection.summarize(now()),
        near: false,
    }
}
