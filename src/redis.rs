//! Redis, through Spin's outbound Redis (`spin:redis/redis@3.0.0`): one function per
//! command that the cache needs, each one round trip that ends in time.

mod deadline;
mod failure;
mod link;

use std::time::Duration;

use futures_util::future::join;
use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

pub use self::failure::Failure;

use self::deadline::Deadline;
use self::link::{Endpoint, Link};
use crate::config::{CacheConfig, Ttl};

/// Stores every `KEYS[i]` with `ARGV[i + 1]` for `ARGV[1]` seconds. A script, because
/// all commands of an instance share one connection: between MULTI and EXEC those of
/// other requests would get in. Redis runs a script whole or, out of memory, not at all.
const SET_MANY: &str = "for i = 1, #KEYS do \
     redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1]) end";

/// What a key holds, and what is left of its lifetime.
pub struct Stored {
    /// The value.
    pub value: Vec<u8>,
    /// The rest of the lifetime; none for a key without one.
    pub remaining: Option<Duration>,
}

/// The Redis that holds the entries.
pub struct Redis {
    primary: Link,
    timeout: Duration,
}

impl Redis {
    /// The Redis of this configuration. Connects at the first command.
    pub fn new(config: &CacheConfig) -> Self {
        let primary = Link::new(Endpoint {
            address: config.redis.clone(),
            login: config.login.clone(),
            database: config.database,
        });
        Self {
            primary,
            timeout: config.timeout,
        }
    }

    /// GET: the value, if the key is there.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let reply = self.call(Command::new("GET").arg(key)).await?;
        match <[RedisResult; 1]>::try_from(reply) {
            Ok([RedisResult::Nil]) => Ok(None),
            Ok([RedisResult::Binary(value)]) => Ok(Some(value)),
            _ => Err(Failure::Unexpected),
        }
    }

    /// GET and PTTL, sent together.
    pub async fn get_with_remaining(&self, key: &str) -> Result<Option<Stored>, Failure> {
        let pttl = self.call(Command::new("PTTL").arg(key));
        let (value, pttl) = join(self.get(key), pttl).await;
        let Some(value) = value? else {
            return Ok(None);
        };
        let remaining = match pttl?.as_slice() {
            [RedisResult::Int64(-1)] => None,
            // Below -1 is gone: it ran out between the two commands.
            [RedisResult::Int64(millis)] => match u64::try_from(*millis) {
                Ok(millis) => Some(Duration::from_millis(millis)),
                Err(_) => return Ok(None),
            },
            _ => return Err(Failure::Unexpected),
        };
        Ok(Some(Stored { value, remaining }))
    }

    /// MGET: one optional value per key, in order.
    pub async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let reply = self.call(Command::new("MGET").args(keys)).await?;
        if reply.len() != keys.len() {
            return Err(Failure::Unexpected);
        }
        let value = |result| match result {
            RedisResult::Nil => Ok(None),
            RedisResult::Binary(value) => Ok(Some(value)),
            RedisResult::Status(_) | RedisResult::Int64(_) => Err(Failure::Unexpected),
        };
        reply.into_iter().map(value).collect()
    }

    /// SET with EX: the value and its lifetime in one command.
    pub async fn set(&self, key: &str, value: &[u8], ttl: Ttl) -> Result<(), Failure> {
        let command = Command::new("SET").arg(key).arg(value).arg("EX");
        self.call(command.integer(ttl.seconds().into())).await?;
        Ok(())
    }

    /// Sets all of the keys, or none. Where a key stands twice, the later value counts.
    pub async fn set_many(&self, entries: &[(String, Vec<u8>)], ttl: Ttl) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        let count = i64::try_from(entries.len()).map_err(|_| Failure::Unexpected)?;
        let command = Command::new("EVAL")
            .arg(SET_MANY)
            .integer(count)
            .args(entries.iter().map(|(key, _)| key))
            .integer(ttl.seconds().into())
            .args(entries.iter().map(|(_, value)| value));
        self.call(command).await?;
        Ok(())
    }

    /// DEL: how many of the keys were there. A key that a lost connection cut off from
    /// its answer is deleted again, and then counts as not there.
    pub async fn delete(&self, keys: &[String]) -> Result<u32, Failure> {
        if keys.is_empty() {
            return Ok(0);
        }
        match self.call(Command::new("DEL").args(keys)).await?.as_slice() {
            [RedisResult::Int64(count)] => u32::try_from(*count).map_err(|_| Failure::Unexpected),
            _ => Err(Failure::Unexpected),
        }
    }

    /// PING.
    pub async fn ping(&self) -> Result<(), Failure> {
        self.call(Command::new("PING")).await?;
        Ok(())
    }

    async fn call(&self, command: Command) -> Result<Reply, Failure> {
        self.primary
            .call(&command, &mut Deadline::after(self.timeout))
            .await
    }
}

/// What Redis answers: one value, or the values of an array without its nesting.
type Reply = Vec<RedisResult>;

/// One command, which must be idempotent: it may be sent twice.
struct Command {
    name: &'static str,
    arguments: Vec<RedisParameter>,
}

impl Command {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            arguments: Vec::new(),
        }
    }

    fn arg(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.arguments
            .push(RedisParameter::Binary(bytes.as_ref().to_vec()));
        self
    }

    fn args(self, all: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        all.into_iter().fold(self, Self::arg)
    }

    async fn run(&self, connection: &Connection) -> Result<Reply, Failure> {
        let reply = connection
            .execute(self.name, self.arguments.iter().cloned())
            .await;
        reply.map_err(|error| Failure::from_command(&error))
    }

    fn integer(mut self, integer: i64) -> Self {
        self.arguments.push(RedisParameter::Int64(integer));
        self
    }
}
