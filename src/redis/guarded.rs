//! Commands for reading through: writes that take place only while a key holds what it must,
//! decided in one script each, and what comes with them. All may be sent twice.

use std::time::Duration;

use spin_sdk::redis::RedisResult;

use super::{Command, Failure, Redis, Reply};
use crate::config::Ttl;
use crate::entry::MAX_STORED;

/// Replaces `ARGV[1]` in `KEYS[1]` by `ARGV[2]`, for `ARGV[3]` seconds. Then `KEYS[2]`, which keeps
/// others from asking again, is set for `ARGV[4]` milliseconds if that is not 0, and `KEYS[3]`, the
/// stale copy, for `ARGV[5]` seconds; at 0 it is removed, at -1 it is left as it is.
const REPLACE: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
     redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) \
     if ARGV[4] ~= '0' then redis.call('SET', KEYS[2], '', 'PX', ARGV[4]) end \
     if ARGV[5] == '0' then redis.call('DEL', KEYS[3]) \
     elseif ARGV[5] ~= '-1' then redis.call('SET', KEYS[3], ARGV[2], 'EX', ARGV[5]) end \
     return 1";

/// Sets `KEYS[1]` to `ARGV[2]` for `ARGV[3]` milliseconds if it holds `ARGV[1]`, or nothing, or what is
/// no entry whatever is in it: another type than a string, or more than `ARGV[4]` bytes.
const TAKE: &str = "if redis.call('TYPE', KEYS[1]).ok == 'string' then \
       local held = redis.call('GET', KEYS[1]) \
       if held ~= ARGV[1] and held ~= ARGV[2] and #held <= tonumber(ARGV[4]) then return 0 end \
     end \
     redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1";

/// Replaces `ARGV[1]` in `KEYS[1]` by `ARGV[2]`, an object that is not closed, for `ARGV[3]` seconds. The
/// stale copy in `KEYS[2]` moves into it, and it lives as long as that; but not if more is left of the
/// copy than `ARGV[4]` milliseconds: then its entry went before its time, for somebody removed it.
const FAIL: &str = "local copy, left = redis.call('GET', KEYS[2]), redis.call('PTTL', KEYS[2]) \
     redis.call('DEL', KEYS[2]) \
     if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
     if copy and left > 0 and left <= tonumber(ARGV[4]) then \
       redis.call('SET', KEYS[1], ARGV[2] .. ',\"stale\":' .. copy .. '}', 'PX', left) \
     else redis.call('SET', KEYS[1], ARGV[2] .. '}', 'EX', ARGV[3]) end \
     return 1";

/// Keeps the value of `KEYS[1]`, if it is `ARGV[1]`, in `KEYS[2]` for `ARGV[2]` milliseconds longer
/// than it has.
const KEEP: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
     local left = math.max(redis.call('PTTL', KEYS[1]), 0) \
     redis.call('SET', KEYS[2], ARGV[1], 'PX', left + ARGV[2]) return 1";

/// Removes the first `ARGV[1]` keys, and the others with them. How many of the first were there,
/// not counting what begins with `ARGV[2]`.
const DELETE: &str = "local there = 0 \
     for i = 1, #KEYS do \
       local head = redis.pcall('GETRANGE', KEYS[i], 0, #ARGV[2] - 1) \
       if redis.call('DEL', KEYS[i]) == 1 and i <= tonumber(ARGV[1]) and head ~= ARGV[2] \
       then there = there + 1 end \
     end return there";

/// Sets the first `ARGV[2]` keys for `ARGV[1]` milliseconds, and removes the others.
const MARK: &str = "for i = 1, #KEYS do \
     if i <= tonumber(ARGV[2]) then redis.call('SET', KEYS[i], '', 'PX', ARGV[1]) \
     else redis.call('DEL', KEYS[i]) end end";

/// The keys beside entries, which say of them what a write makes untrue.
#[derive(Default)]
pub struct Companions {
    /// Those that are there as long as an entry needs no refreshing.
    pub fresh: Vec<String>,
    /// For how long an entry needs none once it is written.
    pub fresh_for: Duration,
    /// The stale copies.
    pub stale: Vec<String>,
}

impl Companions {
    /// What is to be sent after a write; none if there is nothing beside the entries.
    pub(super) fn after_write(&self) -> Option<Command> {
        if self.fresh.is_empty() && self.stale.is_empty() {
            return None;
        }
        let keys = self.fresh.iter().chain(&self.stale);
        let count = i64::try_from(self.fresh.len()).ok()?;
        let command = Command::script(MARK, keys).integer(millis(self.fresh_for));
        Some(command.integer(count))
    }
}

/// The keys of one connection.
pub struct Keys {
    /// Its entry.
    pub entry: String,
    /// Is there as long as the entry needs no refreshing.
    pub fresh: String,
    /// Its entry, for a while longer than it lives.
    pub stale: String,
}

/// What becomes of the stale copy when an entry is replaced.
#[derive(Clone, Copy)]
pub enum Copy {
    /// It is replaced too, and lives for so long, in whole seconds.
    Replaced(Duration),
    /// It is removed.
    Removed,
    /// It is left as it is.
    Left,
}

/// What an entry is replaced by.
pub struct Replacement {
    /// The value.
    pub value: Vec<u8>,
    /// Its lifetime.
    pub ttl: Ttl,
    /// For how long it needs no refreshing; none if it is never refreshed.
    pub fresh: Option<Duration>,
    /// What becomes of the stale copy.
    pub copy: Copy,
}

impl Redis {
    /// SET with NX and PX: sets the key for so long if it is not there. Whether it was not.
    pub async fn set_if_absent(
        &self,
        key: &str,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> Result<bool, Failure> {
        let set = Command::new("SET").arg(key).arg(value);
        let set = set.arg("NX").arg("PX").integer(millis(lifetime));
        match self.write(set).await?.as_slice() {
            [RedisResult::Nil] => Ok(false),
            _ => Ok(true),
        }
    }

    /// SET with PX.
    pub async fn set_for(&self, key: &str, lifetime: Duration) -> Result<(), Failure> {
        let set = Command::new("SET").arg(key).arg("");
        self.write(set.arg("PX").integer(millis(lifetime))).await?;
        Ok(())
    }

    /// PTTL: the rest of the key's lifetime; none if it has none, or is not there.
    pub async fn remaining(&self, key: &str) -> Result<Option<Duration>, Failure> {
        match self.write(Command::new("PTTL").arg(key)).await?.as_slice() {
            [RedisResult::Int64(millis)] => {
                Ok(u64::try_from(*millis).ok().map(Duration::from_millis))
            }
            _ => Err(Failure::Unexpected),
        }
    }

    /// Replaces the entry if it still is `expected`. Whether it was.
    pub async fn replace(
        &self,
        keys: &Keys,
        expected: &[u8],
        replacement: Replacement,
    ) -> Result<bool, Failure> {
        let command = Command::script(REPLACE, [&keys.entry, &keys.fresh, &keys.stale])
            .arg(expected)
            .arg(replacement.value)
            .integer(replacement.ttl.seconds().into())
            .integer(replacement.fresh.map_or(0, millis))
            .integer(match replacement.copy {
                Copy::Replaced(lifetime) => i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX),
                Copy::Removed => 0,
                Copy::Left => -1,
            });
        is_done(&self.write(command).await?)
    }

    /// Sets the key for so long, if it holds `expected`, or what is no entry at all. Whether it did.
    pub async fn take(
        &self,
        key: &str,
        expected: &[u8],
        value: Vec<u8>,
        lifetime: Duration,
    ) -> Result<bool, Failure> {
        let most = i64::try_from(MAX_STORED).unwrap_or(i64::MAX);
        let command = Command::script(TAKE, [key]).arg(expected).arg(value);
        let command = command.integer(millis(lifetime)).integer(most);
        is_done(&self.write(command).await?)
    }

    /// Replaces the entry, if it still is `expected`, by `marker`, an object that is not closed, for
    /// `ttl`; or for as long as the stale copy lives, which moves into it, if no more than `longest`
    /// is left of that. Whether it was.
    pub async fn fail(
        &self,
        keys: &Keys,
        expected: &[u8],
        marker: Vec<u8>,
        ttl: Ttl,
        longest: Duration,
    ) -> Result<bool, Failure> {
        let command = Command::script(FAIL, [&keys.entry, &keys.stale]);
        let command = command.arg(expected).arg(marker);
        let command = command.integer(ttl.seconds().into());
        is_done(&self.write(command.integer(millis(longest))).await?)
    }

    /// Keeps the entry, if it still is `expected`, as the stale copy, for so much longer than it
    /// lives.
    pub async fn keep_stale(
        &self,
        keys: &Keys,
        expected: &[u8],
        longer: Duration,
    ) -> Result<(), Failure> {
        let command = Command::script(KEEP, [&keys.entry, &keys.stale]);
        self.write(command.arg(expected).integer(millis(longer)))
            .await?;
        Ok(())
    }

    /// Removes the entries, and their companions. How many entries were there; what begins with
    /// `marker` is none.
    pub async fn delete_entries(
        &self,
        entries: &[String],
        companions: &Companions,
        marker: &[u8],
    ) -> Result<u32, Failure> {
        if entries.is_empty() {
            return Ok(0);
        }
        let count = i64::try_from(entries.len()).map_err(|_| Failure::Unexpected)?;
        let companions = companions.fresh.iter().chain(&companions.stale);
        let keys = entries.iter().chain(companions);
        let command = Command::script(DELETE, keys).integer(count).arg(marker);
        count_of(&self.write(command).await?)
    }
}

fn is_done(reply: &Reply) -> Result<bool, Failure> {
    Ok(count_of(reply)? > 0)
}

/// What a command answers that counts.
pub fn count_of(reply: &Reply) -> Result<u32, Failure> {
    match reply.as_slice() {
        [RedisResult::Int64(count)] => u32::try_from(*count).map_err(|_| Failure::Unexpected),
        _ => Err(Failure::Unexpected),
    }
}

/// At least one: Redis takes no lifetime of none.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis())
        .unwrap_or(i64::MAX)
        .max(1)
}
