//! The operations of the cache, over Redis. Reads fail open, writes tell the truth.

mod near;
mod written;

use std::rc::Rc;
use std::time::Duration;

use spin_sdk::wasip3::clocks::{monotonic_clock, system_clock};

use self::near::NearCache;
use self::written::Written;
use crate::config::{CacheConfig, ConfigError, Ttl};
use crate::connection::{Id, Invalid, ProviderConnection, Summary};
use crate::deadline::Timer;
use crate::entry::{self, Corrupt};
use crate::flight::Flights;
use crate::log;
use crate::redis::{Failure, Read, Redis, Stored};
use crate::timestamp::Timestamp;

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It is cached.
    Hit(T),
    /// It is not cached.
    Miss,
    /// What is stored is not it.
    Corrupt(Corrupt),
    /// Redis did not say.
    Unavailable(Failure),
}

impl<T> Lookup<T> {
    /// What was found, if anything: every reason for nothing is the same.
    pub fn hit(self) -> Option<T> {
        match self {
            Self::Hit(found) => Some(found),
            Self::Miss | Self::Corrupt(_) | Self::Unavailable(_) => None,
        }
    }

    /// The same if what was found is wanted; otherwise it is not there.
    pub fn filter(self, wanted: impl FnOnce(&T) -> bool) -> Self {
        match self {
            Self::Hit(found) if !wanted(&found) => Self::Miss,
            lookup => lookup,
        }
    }

    /// The same with `f` done to what was found.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Self::Hit(found) => Lookup::Hit(f(found)),
            Self::Miss => Lookup::Miss,
            Self::Corrupt(corrupt) => Lookup::Corrupt(corrupt),
            Self::Unavailable(failure) => Lookup::Unavailable(failure),
        }
    }
}

/// A connection and the rest of its lifetime in the cache.
#[derive(Clone)]
pub struct Entry {
    /// The connection.
    pub connection: ProviderConnection,
    /// The rest of its lifetime; none if it has no end, or if it was not asked for.
    pub remaining: Option<Duration>,
}

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
    redis: Result<Redis, Failure>,
    key_prefix: String,
    default_ttl: Ttl,
    near: Option<NearCache>,
    /// The reads in flight, by connection, and by whether its lifetime is read too.
    reads: Flights<(Id, bool), Lookup<Rc<Entry>>>,
    /// What this instance wrote. The replica may not know of it yet.
    written: Option<Written>,
}

impl Cache {
    /// The cache of this configuration. With a wrong one it works as if Redis were away.
    pub fn new(config: Result<CacheConfig, ConfigError>, timer: &Rc<Timer>) -> Self {
        let off = Self {
            redis: Err(Failure::Unexpected),
            key_prefix: String::new(),
            default_ttl: Ttl::DEFAULT,
            near: None,
            reads: Flights::default(),
            written: None,
        };
        match config {
            Ok(config) => Self {
                redis: Ok(Redis::new(&config, Rc::clone(timer))),
                key_prefix: match config.key_prefix.as_str() {
                    "" => String::new(),
                    prefix => format!("{prefix}:"),
                },
                default_ttl: config.default_ttl,
                near: config.near_cache.as_ref().map(NearCache::new),
                written: config.replica.map(|_| Written::new()),
                ..off
            },
            Err(error) => Self {
                redis: Err(Failure::Misconfigured(error)),
                ..off
            },
        }
    }

    /// The connection.
    pub async fn get(&self, id: Id) -> Lookup<ProviderConnection> {
        let found = self.read(id, false).await;
        found.map(|entry| Rc::unwrap_or_clone(entry).connection)
    }

    /// The connection and the rest of its lifetime.
    pub async fn lookup(&self, id: Id) -> Lookup<Entry> {
        self.read(id, true).await.map(Rc::unwrap_or_clone)
    }

    /// The summary of the connection as of now. It may come from the near cache.
    pub async fn summary(&self, id: Id) -> Lookup<Summarized> {
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
        self.read_many(&ids.0, |connection| connection).await
    }

    /// The summaries of the connections as of now, in the order of the ids. Those that
    /// do not come from the near cache are read in one round trip.
    pub async fn summaries(&self, ids: &Batch<Id>) -> Vec<Lookup<Summarized>> {
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
        let mut from_redis = || read.next().unwrap_or(Lookup::Miss);
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
        let _written = self.write(&ids);
        self.redis()?
            .set(&self.key(id), entry::encode(connection), ttl)
            .await
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
        let _written = self.write(&ids);
        self.redis()?.set_many(&self.keys(&ids), values, ttl).await
    }

    /// Removes the connection. True if it was there.
    pub async fn delete(&self, id: Id) -> Result<bool, Failure> {
        Ok(self.delete_many(&Batch(vec![id])).await? > 0)
    }

    /// Removes the connections. How many of them were there.
    pub async fn delete_many(&self, ids: &Batch<Id>) -> Result<u32, Failure> {
        let _written = self.write(&ids.0);
        self.redis()?.delete(&self.keys(&ids.0)).await
    }

    /// How long Redis took to answer just now.
    pub async fn ping(&self) -> Result<Duration, Failure> {
        let sent = monotonic_clock::now();
        self.redis()?.ping().await?;
        Ok(Duration::from_nanos(
            monotonic_clock::now().saturating_sub(sent),
        ))
    }

    /// What Redis holds of a connection. Those who ask at the same time share the answer.
    async fn read(&self, id: Id, lifetime: bool) -> Lookup<Rc<Entry>> {
        let read = async {
            let begun = self.near.as_ref().map(NearCache::begin);
            let found = match self.redis() {
                Ok(redis) => redis.get(&self.key(id), self.how(&[id], lifetime)).await,
                Err(failure) => Err(failure),
            };
            let found = decode(id, found);
            self.keep(begun, &found);
            found.map(Rc::new)
        };
        self.reads.share((id, lifetime), read).await
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
            Ok(redis) => redis.get_many(&self.keys(ids), how).await,
            Err(failure) => Err(failure),
        };
        match found {
            Ok((all, _room)) => {
                let decoded = ids.iter().zip(all).map(|(id, stored)| {
                    let found = decode(*id, Ok(stored));
                    self.keep(begun, &found);
                    found.map(|entry| part(entry.connection))
                });
                decoded.collect()
            }
            Err(failure) => {
                let unavailable = |_| Lookup::Unavailable(failure.clone());
                ids.iter().map(unavailable).collect()
            }
        }
    }

    fn how(&self, ids: &[Id], lifetime: bool) -> Read {
        let written = self.written.as_ref();
        Read {
            lifetime,
            replica: !written.is_some_and(|written| ids.iter().any(|id| written.contains(*id))),
        }
    }

    /// Keeps what was read in the near cache, if there is one.
    fn keep(&self, begun: Option<near::Begun>, found: &Lookup<Entry>) {
        if let (Some(near), Some(begun), Lookup::Hit(entry)) = (&self.near, begun, found) {
            let summary = entry.connection.clone().summarize(now());
            near.keep(begun, &summary, entry.remaining);
        }
    }

    /// To be held while these connections are written.
    fn write<'a>(&'a self, ids: &'a [Id]) -> Write<'a> {
        Write { cache: self, ids }
    }

    fn redis(&self) -> Result<&Redis, Failure> {
        self.redis.as_ref().map_err(Failure::clone)
    }

    fn key(&self, id: Id) -> String {
        format!("{}provider:conn:{id}", self.key_prefix)
    }

    fn keys(&self, ids: &[Id]) -> Vec<String> {
        ids.iter().map(|id| self.key(*id)).collect()
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

/// The present moment, as the host's clock has it. A clock beyond the years
/// that an entry can name is taken for their end.
pub fn now() -> Timestamp {
    let now = system_clock::now();
    Timestamp::from_parts(now.seconds, now.nanoseconds).unwrap_or(Timestamp::MAX)
}

/// Reads what Redis found under the key of `id`.
fn decode(id: Id, found: Result<Option<Stored>, Failure>) -> Lookup<Entry> {
    let corrupt = match found {
        Ok(Some(stored)) => match entry::decode_stored(id, &stored.value) {
            Ok(connection) => {
                return Lookup::Hit(Entry {
                    connection,
                    remaining: stored.remaining,
                });
            }
            Err(corrupt) => corrupt,
        },
        Ok(None) => return Lookup::Miss,
        Err(Failure::WrongType) => Corrupt::NotAString,
        Err(failure) => return Lookup::Unavailable(failure),
    };
    log::line(&format!("corrupt entry {id}: {corrupt}"));
    Lookup::Corrupt(corrupt)
}

fn summarized(connection: ProviderConnection) -> Summarized {
    Summarized {
        summary: connection.summarize(now()),
        near: false,
    }
}
