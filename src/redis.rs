//! Redis, through Spin's outbound Redis (`spin:redis/redis@3.0.0`): one function per
//! command that the cache needs, each one round trip that ends in time.

mod failure;
mod guarded;
mod link;
mod outage;
mod stats;

use std::cell::Cell;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::try_join;
use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

pub use self::failure::Failure;
pub use self::guarded::{Companions, Copy, Keys, Replacement};
pub use self::stats::Counted;

use self::guarded::count_of;
use self::link::{Endpoint, Link};
use crate::config::{Address, CacheConfig, Ttl};
use crate::deadline::{Deadline, Timer};
use crate::entry::MAX_STORED;
use crate::room::{Room, Taken};
use crate::stats::Stats;

/// Stores every `KEYS[i]` with `ARGV[i + 1]` for `ARGV[1]` seconds. A script, because
/// all commands of an instance share one connection: between MULTI and EXEC those of
/// other requests would get in. Redis runs a script whole or, out of memory, not at all.
const SET_MANY: &str = "for i = 1, #KEYS do \
     redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1]) end";

/// Answers the value of each key, and then the rest of the lifetime of each. Of a value, no more
/// than `ARGV[1]` bytes.
const GET_MANY_WITH_LIFETIMES: &str = "local all = redis.call('MGET', unpack(KEYS)) \
     for i = 1, #KEYS do \
       if all[i] then all[i] = all[i]:sub(1, ARGV[1]) end \
       all[#KEYS + i] = redis.call('PTTL', KEYS[i]) \
     end return all";

/// As GET of one key, or MGET of several, but of a value no more than `ARGV[1]` bytes.
const GET_CAPPED: &str = "if #KEYS == 1 then \
       local value = redis.pcall('GET', KEYS[1]) \
       return type(value) == 'string' and value:sub(1, ARGV[1]) or value \
     end \
     local all = redis.call('MGET', unpack(KEYS)) \
     for i = 1, #KEYS do if all[i] then all[i] = all[i]:sub(1, ARGV[1]) end end \
     return all";

/// Enough of a value to see that it is too large for an entry.
const CAP: usize = MAX_STORED + 1;

/// How many entries the batches of an instance may have in memory at a time: those of two of
/// the largest. Spin serves 16 requests in an instance; as many of the largest batches, of
/// 64 MiB each, would end it.
const ROOM: usize = 2_000;

/// A batch that waits for nobody, because 16 of them are less than one of the largest.
const SMALL_BATCH: usize = 20;

/// A written entry is there as a value, as an argument, and as what is sent.
const ROOM_OF_A_WRITE: usize = 2;

/// What a key holds.
pub struct Stored {
    /// The value.
    pub value: Vec<u8>,
    /// The rest of its lifetime; none for a key without one, or if it was not asked for.
    pub remaining: Option<Duration>,
    /// Whether the other key is there that was asked for with it.
    pub fresh: bool,
}

/// What a read must tell, and whom it may ask.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// Whether the rest of the lifetime is asked for too.
    pub lifetime: bool,
    /// Another key, of which it is asked whether it is there.
    pub fresh: Option<&'a str>,
    /// Whether the replica may answer, which may not know yet of the last write.
    pub replica: bool,
}

impl Read<'_> {
    /// What there is at this moment, and for how long.
    pub const NOW: Self = Self {
        lifetime: true,
        fresh: None,
        replica: false,
    };
}

/// The Redis that holds the entries, and its replica.
pub struct Redis {
    primary: Rc<Link>,
    replica: Option<Rc<Link>>,
    timer: Rc<Timer>,
    timeout: Duration,
    room: Room,
    /// Whether values are read up to [`CAP`] only. The host puts them into the memory of the
    /// instance, which traps when there is no room, and gets none of it back: so an instance has
    /// room for one value of any size, and not for a second, larger one. Reading by a script from
    /// the start would cost every lookup what only this one needs.
    capped: Cell<bool>,
}

impl Redis {
    /// The Redis of this configuration. Connects at the first command.
    pub fn new(config: &CacheConfig, timer: Rc<Timer>, stats: &Rc<Stats>) -> Self {
        let link = |role, address: &Address| {
            let endpoint = Endpoint {
                role,
                address: address.clone(),
                login: config.login.clone(),
                database: config.database,
                timeout: config.timeout,
            };
            Link::new(endpoint, Rc::clone(&timer), Rc::clone(stats))
        };
        let replica = config.replica.as_ref();
        Self {
            primary: link("primary", &config.redis),
            replica: replica.map(|address| link("replica", address)),
            timer,
            timeout: config.timeout,
            room: Room::of(ROOM),
            capped: Cell::new(false),
        }
    }

    /// GET: what the key holds, if it is there. If there is another key to be asked for, MGET: it
    /// takes 1 to 3 % of the lookups per second, where a second command took 5 to 8 %. PTTL is sent
    /// with it if its lifetime is asked for.
    pub async fn get(&self, key: &str, read: Read<'_>) -> Result<Option<Stored>, Failure> {
        let mut get = match read.fresh {
            fresh if self.capped.get() => capped([key].into_iter().chain(fresh)),
            None => Command::new("GET").arg(key),
            Some(fresh) => Command::new("MGET").arg(key).arg(fresh),
        };
        if read.lifetime {
            get = get.and(Command::new("PTTL").arg(key));
        }
        let deadline = self.deadline();
        let mut reply = self.read(get, read.replica, &deadline).await?.into_iter();
        let value = reply.next();
        let fresh = read.fresh.and_then(|_| reply.next());
        stored(value, fresh, reply.next())
    }

    /// MGET: what each key holds, in order, and the room that it takes in memory, to be held
    /// as long as it is there.
    pub async fn get_many(
        &self,
        keys: &[String],
        read: Read<'_>,
    ) -> Result<(Vec<Option<Stored>>, Option<Taken<'_>>), Failure> {
        if keys.is_empty() {
            return Ok((Vec::new(), None));
        }
        let (room, deadline) = self.room(keys.len()).await?;
        let length = if read.lifetime { 2 } else { 1 } * keys.len();
        let command = if read.lifetime {
            Command::script(GET_MANY_WITH_LIFETIMES, keys).cap()
        } else if self.capped.get() {
            capped(keys)
        } else {
            Command::new("MGET").args(keys.iter().map(String::as_str))
        };
        let mut values = self.read(command, read.replica, &deadline).await?;
        if values.len() != length {
            return Err(Failure::Unexpected);
        }
        let lifetimes = values.split_off(keys.len());
        let mut lifetimes = lifetimes.into_iter();
        let value = |value| stored(Some(value), None, lifetimes.next());
        let values = values.into_iter().map(value).collect::<Result<_, _>>()?;
        Ok((values, room))
    }

    /// SET with EX: the value and its lifetime in one command. What becomes of its `companions` is
    /// sent with it.
    pub async fn set(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Ttl,
        companions: &Companions,
    ) -> Result<(), Failure> {
        let command = Command::new("SET").arg(key).arg(value).arg("EX");
        let command = command.integer(ttl.seconds().into());
        self.write(command.and_then(companions.after_write()))
            .await?;
        Ok(())
    }

    /// Sets all of the keys, or none. Where a key stands twice, the later value counts. What
    /// becomes of their `companions` is sent with it.
    pub async fn set_many(
        &self,
        keys: &[String],
        values: Vec<Vec<u8>>,
        ttl: Ttl,
        companions: &Companions,
    ) -> Result<(), Failure> {
        if keys.is_empty() {
            return Ok(());
        }
        let (_room, deadline) = self.room(ROOM_OF_A_WRITE * keys.len()).await?;
        let command = Command::script(SET_MANY, keys)
            .integer(ttl.seconds().into())
            .args(values)
            .and_then(companions.after_write());
        self.primary.call(&command, &deadline).await?;
        Ok(())
    }

    /// DEL: how many of the keys were there. A key that a lost connection cut off from
    /// its answer is deleted again, and then counts as not there.
    pub async fn delete(&self, keys: &[String]) -> Result<u32, Failure> {
        if keys.is_empty() {
            return Ok(0);
        }
        let command = Command::new("DEL").args(keys.iter().map(String::as_str));
        count_of(&self.write(command).await?)
    }

    /// SCAN: some of the keys that match the pattern, and where to go on; none at the end. A key
    /// may come twice, and no key may come although there are more.
    pub async fn scan(
        &self,
        cursor: u64,
        pattern: &str,
        count: u32,
        deadline: &Deadline,
    ) -> Result<(Vec<String>, Option<NonZeroU64>), Failure> {
        let command = Command::new("SCAN").arg(cursor.to_string());
        let command = command.arg("MATCH").arg(pattern);
        let command = command.arg("COUNT").integer(count.into());
        let reply = self.primary.call(&command, deadline).await?;
        let mut reply = reply.into_iter().map(text);
        let next = reply.next().flatten().and_then(|next| next.parse().ok());
        let next = next.ok_or(Failure::Unexpected)?;
        // A key that is not UTF-8 is none of ours.
        Ok((reply.flatten().collect(), NonZeroU64::new(next)))
    }

    /// PING.
    pub async fn ping(&self) -> Result<(), Failure> {
        self.write(Command::new("PING")).await?;
        Ok(())
    }

    /// The deadline of an operation that begins now.
    pub fn deadline(&self) -> Deadline {
        self.timer.deadline(self.timeout)
    }

    async fn write(&self, command: Command) -> Result<Reply, Failure> {
        let deadline = self.deadline();
        self.primary.call(&command, &deadline).await
    }

    /// Room for so many entries in memory, and when the operation on them must have ended. No
    /// more than half of the time is spent on waiting: a command that is sent when there is no
    /// time left would be taken for a Redis that does not answer.
    async fn room(&self, entries: usize) -> Result<(Option<Taken<'_>>, Deadline), Failure> {
        let deadline = self.deadline();
        if entries <= SMALL_BATCH {
            return Ok((None, deadline));
        }
        let half = deadline.at_most(self.timeout / 2);
        let taken = half.race(self.room.take(entries)).await;
        Ok((Some(taken.ok_or(Failure::Timeout)?), deadline.from_now()))
    }

    /// What there is to be read. See [`Redis::capped`] for what a large value changes.
    async fn read(
        &self,
        command: Command,
        replica: bool,
        deadline: &Deadline,
    ) -> Result<Reply, Failure> {
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

    /// Asks the replica, if there is one, for at most half of the time: then, and if the
    /// replica cannot answer, the primary.
    async fn ask(
        &self,
        command: Command,
        replica: bool,
        deadline: &Deadline,
    ) -> Result<Reply, Failure> {
        if let Some(replica) = self.replica.as_ref().filter(|_| replica) {
            let half = deadline.at_most(self.timeout / 2);
            match replica.call(&command, &half).await {
                Err(failure) if failure != Failure::WrongType => {}
                answered => return answered,
            }
        }
        self.primary.call(&command, deadline).await
    }
}

/// Reads these keys, but of a value no more than shows that it is too large.
fn capped(keys: impl IntoIterator<Item = impl AsRef<str>>) -> Command {
    Command::script(GET_CAPPED, keys).cap()
}

/// What the answers to GET, to another GET and to PTTL say.
fn stored(
    value: Option<RedisResult>,
    fresh: Option<RedisResult>,
    lifetime: Option<RedisResult>,
) -> Result<Option<Stored>, Failure> {
    let value = match value {
        Some(RedisResult::Binary(value)) => value,
        Some(RedisResult::Nil) => return Ok(None),
        _ => return Err(Failure::Unexpected),
    };
    let remaining = match lifetime {
        None | Some(RedisResult::Int64(-1)) => None,
        // Below -1 is gone: it ran out between the two commands.
        Some(RedisResult::Int64(millis)) => match u64::try_from(millis) {
            Ok(millis) => Some(Duration::from_millis(millis)),
            Err(_) => return Ok(None),
        },
        Some(_) => return Err(Failure::Unexpected),
    };
    Ok(Some(Stored {
        value,
        remaining,
        fresh: matches!(fresh, Some(RedisResult::Binary(_))),
    }))
}

/// The text that Redis answers, if it is that.
fn text(reply: RedisResult) -> Option<String> {
    match reply {
        RedisResult::Binary(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// What Redis answers: one value, or the values of an array without its nesting.
type Reply = Vec<RedisResult>;

/// One command, or two that are sent together. They must be idempotent: they may be sent
/// twice.
struct Command {
    name: &'static str,
    arguments: Vec<RedisParameter>,
    next: Option<Box<Command>>,
}

impl Command {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            arguments: Vec::new(),
            next: None,
        }
    }

    /// The script, over these keys. Its arguments follow.
    fn script(script: &'static str, keys: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let keys: Vec<_> = keys.into_iter().collect();
        let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
        let command = Self::new("EVAL").arg(script).integer(count);
        command.args(keys.iter().map(AsRef::as_ref))
    }

    /// The script's next argument: how much is read of a value.
    fn cap(self) -> Self {
        self.integer(i64::try_from(CAP).unwrap_or(i64::MAX))
    }

    fn and(mut self, next: Self) -> Self {
        self.next = Some(Box::new(next));
        self
    }

    fn and_then(self, next: Option<Self>) -> Self {
        match next {
            None => self,
            Some(next) => self.and(next),
        }
    }

    fn arg(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.arguments.push(RedisParameter::Binary(bytes.into()));
        self
    }

    fn args(self, all: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        all.into_iter().fold(self, Self::arg)
    }

    /// The answer, or both answers in a row.
    async fn run(&self, connection: &Connection) -> Result<Reply, Failure> {
        let Some(next) = &self.next else {
            return self.send(connection).await;
        };
        let (mut reply, more) = try_join(self.send(connection), next.send(connection)).await?;
        reply.extend(more);
        Ok(reply)
    }

    async fn send(&self, connection: &Connection) -> Result<Reply, Failure> {
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
