//! The operations of the cache, over Redis. Reads fail open, writes tell the truth.

use std::io::Write as _;
use std::time::Duration;

use spin_sdk::wasip3::clocks::{monotonic_clock, system_clock};

use crate::config::{CacheConfig, ConfigError, Ttl};
use crate::connection::{Id, Invalid, ProviderConnection};
use crate::entry::{self, Corrupt};
use crate::redis::{Failure, Redis};
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
pub struct Entry {
    /// The connection.
    pub connection: ProviderConnection,
    /// The rest of its lifetime; none if it has no end.
    pub remaining: Option<Duration>,
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
}

impl Cache {
    /// The cache of this configuration. With a wrong one it works as if Redis were away.
    pub fn new(config: Result<CacheConfig, ConfigError>) -> Self {
        match config {
            Ok(config) => Self {
                redis: Ok(Redis::new(&config)),
                key_prefix: match config.key_prefix.as_str() {
                    "" => String::new(),
                    prefix => format!("{prefix}:"),
                },
                default_ttl: config.default_ttl,
            },
            Err(error) => Self {
                redis: Err(Failure::Misconfigured(error)),
                key_prefix: String::new(),
                default_ttl: Ttl::DEFAULT,
            },
        }
    }

    /// The connection.
    pub async fn get(&self, id: Id) -> Lookup<ProviderConnection> {
        let found = match self.redis() {
            Ok(redis) => redis.get(&self.key(id)).await,
            Err(failure) => Err(failure),
        };
        read(id, found)
    }

    /// The connections, in the order of the ids, in one round trip.
    pub async fn get_many(&self, ids: &Batch<Id>) -> Vec<Lookup<ProviderConnection>> {
        let found = match self.redis() {
            Ok(redis) => redis.get_many(&self.keys(ids)).await,
            Err(failure) => Err(failure),
        };
        match found {
            Ok(values) => {
                let pairs = ids.iter().zip(values);
                pairs.map(|(id, value)| read(*id, Ok(value))).collect()
            }
            Err(failure) => {
                let unavailable = |_| Lookup::Unavailable(failure.clone());
                ids.iter().map(unavailable).collect()
            }
        }
    }

    /// The connection and the rest of its lifetime.
    pub async fn lookup(&self, id: Id) -> Lookup<Entry> {
        let found = match self.redis() {
            Ok(redis) => redis.get_with_remaining(&self.key(id)).await,
            Err(failure) => Err(failure),
        };
        let mut remaining = None;
        let value = found.map(|stored| {
            stored.map(|stored| {
                remaining = stored.remaining;
                stored.value
            })
        });
        read(id, value).map(|connection| Entry {
            connection,
            remaining,
        })
    }

    /// Stores the connection, for the configured lifetime if none is given.
    pub async fn set(
        &self,
        connection: &ProviderConnection,
        ttl: Option<Ttl>,
    ) -> Result<(), Failure> {
        let key = self.key(connection.fields().id);
        let ttl = ttl.unwrap_or(self.default_ttl);
        self.redis()?
            .set(&key, &entry::encode(connection), ttl)
            .await
    }

    /// Stores all of the connections, or none of them.
    pub async fn set_many(
        &self,
        connections: &Batch<ProviderConnection>,
        ttl: Option<Ttl>,
    ) -> Result<(), Failure> {
        let entry = |connection: &ProviderConnection| {
            (self.key(connection.fields().id), entry::encode(connection))
        };
        let entries: Vec<_> = connections.iter().map(entry).collect();
        let ttl = ttl.unwrap_or(self.default_ttl);
        self.redis()?.set_many(&entries, ttl).await
    }

    /// Removes the connection. True if it was there.
    pub async fn delete(&self, id: Id) -> Result<bool, Failure> {
        Ok(self.delete_many(&Batch(vec![id])).await? > 0)
    }

    /// Removes the connections. How many of them were there.
    pub async fn delete_many(&self, ids: &Batch<Id>) -> Result<u32, Failure> {
        self.redis()?.delete(&self.keys(ids)).await
    }

    /// How long Redis took to answer just now.
    pub async fn ping(&self) -> Result<Duration, Failure> {
        let sent = monotonic_clock::now();
        self.redis()?.ping().await?;
        Ok(Duration::from_nanos(
            monotonic_clock::now().saturating_sub(sent),
        ))
    }

    fn redis(&self) -> Result<&Redis, Failure> {
        self.redis.as_ref().map_err(Failure::clone)
    }

    fn key(&self, id: Id) -> String {
        format!("{}provider:conn:{id}", self.key_prefix)
    }

    fn keys(&self, ids: &Batch<Id>) -> Vec<String> {
        ids.iter().map(|id| self.key(*id)).collect()
    }
}

/// The present moment, as the host's clock has it. A clock beyond the years
/// that an entry can name is taken for their end.
pub fn now() -> Timestamp {
    let now = system_clock::now();
    Timestamp::from_parts(now.seconds, now.nanoseconds).unwrap_or(Timestamp::MAX)
}

/// Reads what Redis found under the key of `id`.
fn read(id: Id, found: Result<Option<Vec<u8>>, Failure>) -> Lookup<ProviderConnection> {
    let corrupt = match found {
        Ok(Some(value)) => match entry::decode_stored(id, &value) {
            Ok(connection) => return Lookup::Hit(connection),
            Err(corrupt) => corrupt,
        },
        Ok(None) => return Lookup::Miss,
        Err(Failure::WrongType) => Corrupt::NotAString,
        Err(failure) => return Lookup::Unavailable(failure),
    };
    log(&format!("corrupt entry {id}: {corrupt}"));
    Lookup::Corrupt(corrupt)
}

/// One line to standard error, where Spin keeps a component's log.
pub fn log(line: &str) {
    // Without a log the component still works, so a failure to write is no error.
    let _ = std::io::stderr().write_all(format!("provider-connection-cache: {line}\n").as_bytes());
}
