//! Redis, through Spin's outbound Redis (`spin:redis/redis@3.0.0`). Each function is one command of
//! the cache: one round trip, which ends in time.

mod auxiliary_keys;
mod command;
mod compare_and_set;
mod counters;
mod error;
mod keys;
mod link;
mod origin_breaker;
mod outage;
mod primary;
mod refusal;
mod refusal_log;
mod replica;

use std::cell::Cell;
use std::num::NonZeroU64;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use spin_sdk::redis::RedisResult;

pub(crate) use self::auxiliary_keys::AuxiliaryKeys;
pub(crate) use self::compare_and_set::{Change, Replacement, StaleCopy};
pub(crate) use self::counters::Counted;
pub use self::error::Error;
pub(crate) use self::keys::{BreakerKeys, Keyspace};
pub(crate) use self::origin_breaker::{FailedRequest, Permission};
pub use self::refusal::Refusal;

use self::command::{Command, Purpose, Reply, count, text};
use self::link::Server;
use self::primary::Primary;
use self::replica::Replica;
use crate::config::{Address, RedisConfig, Ttl};
use crate::connection::entry::MAX_STORED;
use crate::rt::deadline::{Deadline, Timer};
use crate::rt::semaphore::{Permit, Semaphore};
use crate::stats::Stats;

/// Sets every `KEYS[i]` to `ARGV[i + 1]` for `ARGV[1]` seconds. It is a script because all requests of
/// an instance share one connection: other commands would get between MULTI and EXEC. Redis runs a
/// script whole or, out of memory, not at all.
const SET_MANY: &str = "for i = 1, #KEYS do \
     redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1]) end";

/// Returns what GET of one key returns, or MGET of several, but at most `ARGV[1]` bytes of each value.
const GET_CAPPED: &str = "if #KEYS == 1 then \
       local value = redis.pcall('GET', KEYS[1]) \
       return type(value) == 'string' and value:sub(1, ARGV[1]) or value \
     end \
     local all = redis.call('MGET', unpack(KEYS)) \
     for i = 1, #KEYS do if all[i] then all[i] = all[i]:sub(1, ARGV[1]) end end \
     return all";

/// Returns at most `ARGV[1]` bytes of the value of each key, and then the rest of the lifetime of each.
const GET_MANY_WITH_LIFETIMES: &str = "local all = redis.call('MGET', unpack(KEYS)) \
     for i = 1, #KEYS do \
       if all[i] then all[i] = all[i]:sub(1, ARGV[1]) end \
       all[#KEYS + i] = redis.call('PTTL', KEYS[i]) \
     end return all";

/// Does nothing. Redis refuses to run even that over a key to which the user has no right.
const NOTHING: &str = "return 0";

/// This many bytes show that a value is too large for an entry.
const CAP: usize = MAX_STORED + 1;

/// The size of the largest entry that is written over HTTP. Over WIT, characters that JSON escapes make it up
/// to six times as large, and what others write may be larger still.
const LARGEST_ENTRY: usize = 64 << 10;

/// The batches of an instance may have this much of entries in memory at a time, in bytes: as much as
/// the largest batch that is read. Spin serves 16 requests in an instance, and an instance may have no
/// more than 128 MiB (Akamai Functions).
const BATCH_MEMORY: usize = 1_000 * LARGEST_ENTRY;

/// A batch of this size waits for no others, because 16 of them are less than one of the largest.
const SMALL_BATCH: usize = 20 * LARGEST_ENTRY;

/// The value of a key.
pub(crate) struct RawValue {
    pub(crate) value: Vec<u8>,
    /// The rest of its lifetime. None if it does not expire, or if the read did not ask.
    pub(crate) remaining: Option<Duration>,
    /// Whether the other key of the read exists.
    pub(crate) fresh: bool,
}

/// The options of a read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadOptions<'a> {
    /// Whether to read the rest of the lifetime.
    pub(crate) lifetime: bool,
    /// Another key, to see whether it exists.
    pub(crate) fresh: Option<&'a str>,
    /// Whether the replica may answer. It may not know the last write yet.
    pub(crate) replica: bool,
}

impl ReadOptions<'_> {
    /// Reads the present value and its lifetime.
    pub(crate) const NOW: Self = Self {
        lifetime: true,
        fresh: None,
        replica: false,
    };
}

/// The Redis that holds the entries, and its replica.
pub(crate) struct Redis {
    primary: Primary,
    replica: Option<Replica>,
    timer: Rc<Timer>,
    timeout: Duration,
    /// Its permits are bytes.
    batch_memory: Semaphore,
    /// Whether at most [`CAP`] bytes of a value are read.
    ///
    /// The host puts values into the memory of the instance, which traps if there is no room, and gets
    /// none of it back. So an instance has room for one value of any size, but not for a second, larger
    /// one. A script from the start would make every lookup pay for this rare case.
    capped: Cell<bool>,
}

impl Redis {
    /// Connects at the first command.
    pub(crate) fn new(config: &RedisConfig, timer: Rc<Timer>, stats: &Rc<Stats>) -> Self {
        let server = |role, address: &Address| Server {
            role,
            address: address.clone(),
            login: config.login.clone(),
            database: config.database,
            timeout: config.timeout,
        };
        let replica = config.replica.as_ref();
        Self {
            primary: Primary::new(server("primary", &config.primary), Rc::clone(&timer), stats),
            replica: replica.map(|address| {
                let server = server("replica", address);
                Replica::new(server, Rc::clone(&timer), Rc::clone(stats))
            }),
            timer,
            timeout: config.timeout,
            batch_memory: Semaphore::new(BATCH_MEMORY),
            capped: Cell::new(false),
        }
    }

    /// GET: reads the value of a key. PTTL is sent with it for the lifetime. With another key it is
    /// MGET, which costs 1 to 3 % of the lookups per second; a second command cost 5 to 8 %.
    pub(crate) async fn get(
        &self,
        key: &str,
        read: ReadOptions<'_>,
    ) -> Result<Option<RawValue>, Error> {
        let mut get = match read.fresh {
            fresh if self.capped.get() => capped(GET_CAPPED, [key].into_iter().chain(fresh)),
            None => Command::read("GET").arg(key),
            Some(fresh) => Command::read("MGET").arg(key).arg(fresh),
        };
        if read.lifetime {
            get = get.and(Command::read("PTTL").arg(key));
        }
        let deadline = self.deadline();
        let mut reply = self.read(get, read.replica, &deadline).await?.into_iter();
        let value = reply.next();
        let fresh = read.fresh.and_then(|_| reply.next());
        raw_value(value, fresh, reply.next())
    }

    /// MGET: reads the value of each key, in order. The caller must hold the permit for as long as the
    /// values are in memory.
    pub(crate) async fn get_many(
        &self,
        keys: &[String],
        replica: bool,
    ) -> Result<(Vec<Option<RawValue>>, Option<Permit<'_>>), Error> {
        let command = || match self.capped.get() {
            true => capped(GET_CAPPED, keys),
            false => Command::read("MGET").args(keys.iter().map(String::as_str)),
        };
        let (values, permit) = self.read_batch(keys.len(), command, replica).await?;
        if values.len() != keys.len() {
            return Err(Error::Unexpected);
        }
        let values = values.into_iter();
        let values = values.map(|value| raw_value(Some(value), None, None));
        Ok((values.collect::<Result<_, _>>()?, permit))
    }

    /// Reads the present value and the rest of the lifetime of each key, in order, in one script. The
    /// caller must hold the permit for as long as the values are in memory.
    pub(crate) async fn get_many_with_lifetimes(
        &self,
        keys: &[String],
    ) -> Result<(Vec<Option<RawValue>>, Option<Permit<'_>>), Error> {
        let command = || capped(GET_MANY_WITH_LIFETIMES, keys);
        let (mut values, permit) = self.read_batch(keys.len(), command, false).await?;
        if values.len() != 2 * keys.len() {
            return Err(Error::Unexpected);
        }
        let lifetimes = values.split_off(keys.len());
        let values = values.into_iter().zip(lifetimes);
        let values = values.map(|(value, lifetime)| raw_value(Some(value), None, Some(lifetime)));
        Ok((values.collect::<Result<_, _>>()?, permit))
    }

    /// Sends a read of so many entries, made once there is memory for them. No entries make no round trip.
    async fn read_batch(
        &self,
        entries: usize,
        command: impl FnOnce() -> Command,
        replica: bool,
    ) -> Result<(Reply, Option<Permit<'_>>), Error> {
        if entries == 0 {
            return Ok((Vec::new(), None));
        }
        let (permit, deadline) = self.admit(entries * LARGEST_ENTRY).await?;
        Ok((self.read(command(), replica, &deadline).await?, permit))
    }

    /// SET with EX: sets the value and its lifetime in one command. The change of the auxiliary keys is
    /// sent with it.
    pub(crate) async fn set(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Ttl,
        auxiliary: &AuxiliaryKeys,
    ) -> Result<(), Error> {
        let command = Command::write("SET").arg(key).arg(value).arg("EX");
        let command = command.integer(ttl.seconds().into());
        self.send(with_auxiliary(command, auxiliary)).await?;
        Ok(())
    }

    /// Sets all of the keys, or none. If a key repeats, the last value wins. The change of the
    /// auxiliary keys is sent with it.
    pub(crate) async fn set_many(
        &self,
        keys: &[String],
        values: Vec<Vec<u8>>,
        ttl: Ttl,
        auxiliary: &AuxiliaryKeys,
    ) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        // A value is in memory twice: for a second attempt, and as it is sent.
        let bytes = 2 * values.iter().map(Vec::len).sum::<usize>();
        let (_permit, deadline) = self.admit(bytes).await?;
        let command = Command::script(Purpose::Write, SET_MANY, keys)
            .integer(ttl.seconds().into())
            .args(values);
        let command = with_auxiliary(command, auxiliary);
        self.primary.call(&command, &deadline).await?;
        Ok(())
    }

    /// DEL: removes the keys, and returns how many existed. If a lost connection cuts off the reply, the
    /// command is sent again, and keys that it had removed do not count.
    pub(crate) async fn delete(&self, keys: &[String]) -> Result<u32, Error> {
        if keys.is_empty() {
            return Ok(0);
        }
        let command = Command::write("DEL").args(keys.iter().map(String::as_str));
        count(&self.send(command).await?)
    }

    /// SCAN: returns some of the keys that match the pattern, and the next cursor, or none at the end.
    /// A key may come twice. There may be no key although more follow.
    pub(crate) async fn scan(
        &self,
        cursor: u64,
        pattern: &str,
        count: u32,
        deadline: &Deadline,
    ) -> Result<(Vec<String>, Option<NonZeroU64>), Error> {
        let command = Command::read("SCAN").arg(cursor.to_string());
        let command = command.arg("MATCH").arg(pattern);
        let command = command.arg("COUNT").integer(count.into());
        let reply = self.primary.call(&command, deadline).await?;
        let mut reply = reply.into_iter().map(text);
        let next = reply.next().flatten().and_then(|next| next.parse().ok());
        let next = next.ok_or(Error::Unexpected)?;
        // Our keys are UTF-8.
        Ok((reply.flatten().collect(), NonZeroU64::new(next)))
    }

    pub(crate) async fn ping(&self) -> Result<(), Error> {
        self.send(Command::read("PING")).await?;
        Ok(())
    }

    /// MGET, as a lookup of many sends it: succeeds if Redis answers reads of such keys. Neither key
    /// exists.
    pub(crate) async fn try_read(&self, keys: &[String; 2]) -> Result<(), Error> {
        let read = Command::read("MGET").args(keys.iter().map(String::as_str));
        self.ask(read, true, &self.deadline()).await?;
        Ok(())
    }

    /// SET with XX of a key that does not exist: succeeds if Redis takes writes, and the user has a right
    /// to the `other` keys. Nothing is written.
    pub(crate) async fn try_set(&self, key: &str, other: &[String]) -> Result<(), Error> {
        let set = Command::write("SET").arg(key).arg("").arg("XX");
        let mut set = set.arg("PX").integer(1);
        if !other.is_empty() {
            set = set.and(Command::script(Purpose::Write, NOTHING, other));
        }
        self.send(set).await?;
        Ok(())
    }

    /// Returns the deadline of an operation that begins now.
    pub(crate) fn deadline(&self) -> Deadline {
        self.timer.deadline(self.timeout)
    }

    /// Sends a command to the primary: a write, or a read of what the replica may not know yet.
    async fn send(&self, command: Command) -> Result<Reply, Error> {
        self.primary.call(&command, &self.deadline()).await
    }

    /// Waits until a batch of this many bytes may be in memory, and returns the deadline of the operation.
    ///
    /// It waits for at most half of the time. A command that is sent with no time left would look like
    /// a Redis that does not answer.
    async fn admit(&self, bytes: usize) -> Result<(Option<Permit<'_>>, Deadline), Error> {
        let deadline = self.deadline();
        if bytes <= SMALL_BATCH {
            return Ok((None, deadline));
        }
        let half = deadline.at_most(self.timeout / 2);
        let permit = half.race(pin!(self.batch_memory.acquire(bytes))).await;
        Ok((Some(permit.ok_or(Error::Timeout)?), deadline.restarted()))
    }

    /// Sends a command that reads values. See [`Redis::capped`] for the effect of a large one.
    async fn read(
        &self,
        command: Command,
        replica: bool,
        deadline: &Deadline,
    ) -> Result<Reply, Error> {
        let reply = self.ask(command, replica, deadline).await?;
        let is_large = |value: &RedisResult| match value {
            RedisResult::Binary(value) => value.len() >= CAP,
            _ => false,
        };
        if reply.iter().any(is_large) {
            self.capped.set(true);
        }
        Ok(reply)
    }

    /// Asks the replica first, if it may answer, for at most half of the time. If it cannot answer, asks
    /// the primary.
    async fn ask(
        &self,
        command: Command,
        replica: bool,
        deadline: &Deadline,
    ) -> Result<Reply, Error> {
        if let Some(replica) = self.replica.as_ref().filter(|_| replica) {
            let half = deadline.at_most(self.timeout / 2);
            match replica.call(&command, &half).await {
                Err(error) if error != Error::WrongType => {}
                answered => return answered,
            }
        }
        self.primary.call(&command, deadline).await
    }
}

/// Begins a script that returns at most [`CAP`] bytes of each value.
fn capped(script: &'static str, keys: impl IntoIterator<Item = impl AsRef<str>>) -> Command {
    Command::script(Purpose::Read, script, keys).integer(i64::try_from(CAP).unwrap_or(i64::MAX))
}

/// Sends the change of the auxiliary keys with a write.
fn with_auxiliary(write: Command, auxiliary: &AuxiliaryKeys) -> Command {
    match auxiliary.after_write() {
        Some(change) => write.and(change),
        None => write,
    }
}

/// Reads the replies to GET, to GET of the other key, and to PTTL.
fn raw_value(
    value: Option<RedisResult>,
    fresh: Option<RedisResult>,
    lifetime: Option<RedisResult>,
) -> Result<Option<RawValue>, Error> {
    let value = match value {
        Some(RedisResult::Binary(value)) => value,
        Some(RedisResult::Nil) => return Ok(None),
        _ => return Err(Error::Unexpected),
    };
    let remaining = match lifetime {
        None | Some(RedisResult::Int64(-1)) => None,
        // Below -1 the key does not exist: it expired between the two commands.
        Some(RedisResult::Int64(millis)) => match u64::try_from(millis) {
            Ok(millis) => Some(Duration::from_millis(millis)),
            Err(_) => return Ok(None),
        },
        Some(_) => return Err(Error::Unexpected),
    };
    Ok(Some(RawValue {
        value,
        remaining,
        fresh: matches!(fresh, Some(RedisResult::Binary(_))),
    }))
}
