//! Writes for reading through, and conditional writes. Each takes effect only while a key holds what
//! it must, which one script decides. All of them may be sent twice, but for the conditional writes.

use std::time::Duration;

use spin_sdk::redis::RedisResult;

use super::auxiliary_keys::AuxiliaryKeys;
use super::command::{Command, Purpose, Reply, count, millis};
use super::keys::{BreakerKeys, ConnectionKeys};
use super::origin_breaker::{Permission, permission, permit, permit_settings};
use super::{Error, GET_CAPPED, RawValue, Redis, capped, raw_value};
use crate::config::Ttl;
use crate::connection::entry::MAX_STORED;
use crate::rt::deadline::Deadline;

/// Replaces `ARGV[1]` in `KEYS[1]` by `ARGV[2]`, for `ARGV[3]` seconds. Then sets `KEYS[2]`, which
/// keeps others from asking the origin again, for `ARGV[4]` milliseconds unless that is 0. Makes
/// `KEYS[3]`, the stale copy, for use in the `ARGV[5]` seconds after the entry; removes it if that is
/// -1, and leaves it if -2.
const REPLACE: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
     redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) \
     if ARGV[4] ~= '0' then redis.call('SET', KEYS[2], '', 'PX', ARGV[4]) end \
     if ARGV[5] == '-1' then redis.call('DEL', KEYS[3]) \
     elseif ARGV[5] ~= '-2' then \
       redis.call('SET', KEYS[3], ARGV[5] .. ' ' .. ARGV[2], 'EX', ARGV[3] + ARGV[5]) end \
     return 1";

/// Sets `KEYS[1]` to `ARGV[2]` for `ARGV[3]` milliseconds if the key does not exist. With `ARGV[8]` at 1
/// it also does so if the key holds `ARGV[1]`, or what cannot be an entry: another type than a string, or
/// more than `ARGV[4]` bytes. Then returns whether the origin may be asked.
const TAKE_LEASE: &str = concat!(
    "local kind = redis.call('TYPE', KEYS[1]).ok \
     local held = kind == 'string' and redis.call('GET', KEYS[1]) \
     local other = held and held ~= ARGV[1] and #held <= tonumber(ARGV[4]) \
     if kind ~= 'none' and held ~= ARGV[2] and (other or ARGV[8] == '0') then return {} end \
     redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) ",
    permit!("KEYS[2], KEYS[3], ARGV[5], ARGV[6], ARGV[7]")
);

/// Replaces `ARGV[1]` in `KEYS[1]` by `ARGV[2]`, an object without its closing brace, for `ARGV[3]`
/// seconds. The stale copy in `KEYS[2]` moves into the object, which then lives as long as the copy.
///
/// It does not if the copy lives longer than it may after its entry: somebody removed the entry before
/// its time, and the copy goes. Redis may read its clock twice in a script, so the copy may look a
/// little older. With `ARGV[4]` at 0 no copy moves, and a good one stays.
const PUBLISH_FAILURE: &str = "local copy, left = redis.call('GET', KEYS[2]), redis.call('PTTL', KEYS[2]) \
     local after, entry = (copy or ''):match('^([1-9]%d*) (.*)$') \
     local good = after and left > 0 and left <= after * 1000 + 1000 \
     local same = redis.call('GET', KEYS[1]) == ARGV[1] \
     if ARGV[4] == '1' or not good or not same then redis.call('DEL', KEYS[2]) end \
     if not same then return 0 end \
     if ARGV[4] == '1' and good then \
       redis.call('SET', KEYS[1], ARGV[2] .. ',\"stale\":' .. entry .. '}', 'PX', left) \
     else redis.call('SET', KEYS[1], ARGV[2] .. '}', 'EX', ARGV[3]) end \
     return 1";

/// Copies `KEYS[1]` to `KEYS[2]` if it holds `ARGV[1]`, for use in the `ARGV[2]` seconds after it. A
/// copy that is there already stays, with the shorter time that the origin may have allowed.
const KEEP_STALE: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
     if (redis.call('GET', KEYS[2]) or ''):match('^%d+ (.*)$') == ARGV[1] then return 0 end \
     local left = math.max(redis.call('PTTL', KEYS[1]), 0) \
     redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. ARGV[1], 'PX', left + ARGV[2] * 1000) return 1";

/// Removes all keys. Returns how many of the first `ARGV[1]` existed and did not begin with `ARGV[2]`.
const DELETE: &str = "local there = 0 \
     for i = 1, #KEYS do \
       local head = redis.pcall('GETRANGE', KEYS[i], 0, #ARGV[2] - 1) \
       if redis.call('DEL', KEYS[i]) == 1 and i <= tonumber(ARGV[1]) and head ~= ARGV[2] \
       then there = there + 1 end \
     end return there";

/// Goes on if `KEYS[1]` holds `ARGV[1]`, which is empty for whatever cannot be an entry: nothing, another
/// type than a string, or more than `ARGV[2]` bytes.
macro_rules! if_unchanged {
    ($then:literal) => {
        concat!(
            "local held = redis.pcall('GET', KEYS[1]) \
             if type(held) ~= 'string' or #held > tonumber(ARGV[2]) then held = '' end \
             if held ~= ARGV[1] then return 0 end ",
            $then
        )
    };
}

/// Sets `KEYS[1]` to `ARGV[3]` for `ARGV[4]` seconds. Then sets the next `ARGV[6]` keys for `ARGV[5]`
/// milliseconds, and removes the others.
const SET_IF_UNCHANGED: &str = if_unchanged!(
    "redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4]) \
     for i = 2, #KEYS do \
       if i <= ARGV[6] + 1 then redis.call('SET', KEYS[i], '', 'PX', ARGV[5]) \
       else redis.call('DEL', KEYS[i]) end \
     end return 1"
);

/// Removes all keys.
const DELETE_IF_UNCHANGED: &str = if_unchanged!("redis.call('DEL', unpack(KEYS)) return 1");

/// The fate of the stale copy when the value of an entry's key is replaced.
///
/// A copy is the entry, after the number of seconds for which it may answer when the entry has expired.
/// With 0 it never does: it keeps [`Redis::keep_stale`] from making another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StaleCopy {
    /// The new value is copied, and may answer for this long after it, in whole seconds.
    Replaced(Duration),
    Removed,
    Kept,
}

/// A conditional write.
pub(crate) enum Change {
    /// Stores the value for this long.
    Set(Vec<u8>, Ttl),
    Delete,
}

/// A new value for the key of an entry.
pub(crate) struct Replacement {
    pub(crate) value: Vec<u8>,
    pub(crate) ttl: Ttl,
    /// How long the entry needs no refreshing. None if it is never refreshed.
    pub(crate) fresh: Option<Duration>,
    pub(crate) copy: StaleCopy,
}

impl Redis {
    /// SET with NX and PX: sets the key if it does not exist. Returns true if the key was set.
    pub(crate) async fn set_if_absent(
        &self,
        key: &str,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> Result<bool, Error> {
        let set = Command::write("SET").arg(key).arg(value);
        let set = set.arg("NX").arg("PX").integer(millis(lifetime));
        match self.send(set).await?.as_slice() {
            [RedisResult::Nil] => Ok(false),
            _ => Ok(true),
        }
    }

    /// SET with PX: sets the key to an empty value.
    pub(crate) async fn set_for(&self, key: &str, lifetime: Duration) -> Result<(), Error> {
        let set = Command::write("SET").arg(key).arg("");
        self.send(set.arg("PX").integer(millis(lifetime))).await?;
        Ok(())
    }

    /// PTTL: reads the rest of a lifetime. Returns none if the key does not expire or exist.
    pub(crate) async fn remaining(&self, key: &str) -> Result<Option<Duration>, Error> {
        match self.send(Command::read("PTTL").arg(key)).await?.as_slice() {
            [RedisResult::Int64(millis)] => {
                Ok(u64::try_from(*millis).ok().map(Duration::from_millis))
            }
            _ => Err(Error::Unexpected),
        }
    }

    /// Replaces the value of an entry's key. Returns false if it was not `expected` any more.
    pub(crate) async fn replace(
        &self,
        keys: &ConnectionKeys,
        expected: &[u8],
        replacement: Replacement,
    ) -> Result<bool, Error> {
        let command = Command::script(
            Purpose::Write,
            REPLACE,
            [&keys.entry, &keys.fresh, &keys.stale],
        )
        .arg(expected)
        .arg(replacement.value)
        .integer(replacement.ttl.seconds().into())
        .integer(replacement.fresh.map_or(0, millis))
        .integer(match replacement.copy {
            StaleCopy::Replaced(lifetime) => i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX),
            StaleCopy::Removed => -1,
            StaleCopy::Kept => -2,
        });
        is_done(&self.send(command).await?)
    }

    /// Stores a lease in the key if it does not exist. If something is `expected` in it, stores the lease
    /// in the place of that, or of anything that cannot be an entry. Returns whether the origin may be
    /// asked, or none if there is no lease.
    ///
    /// A lease allows for the longest probe.
    pub(crate) async fn take_lease(
        &self,
        key: &str,
        breaker: &BreakerKeys,
        expected: Option<&[u8]>,
        lease: Vec<u8>,
        lifetime: Duration,
    ) -> Result<Option<Permission>, Error> {
        let most = i64::try_from(MAX_STORED).unwrap_or(i64::MAX);
        let keys = [key, &breaker.pause, &breaker.failures];
        let command = Command::script(Purpose::Write, TAKE_LEASE, keys)
            .arg(expected.unwrap_or_default())
            .arg(lease)
            .integer(millis(lifetime))
            .integer(most);
        let command = permit_settings(command, lifetime).integer(expected.is_some().into());
        let reply = self.send(command).await?;
        match reply.is_empty() {
            true => Ok(None),
            false => permission(reply).map(Some),
        }
    }

    /// Replaces the value of an entry's key by `marker`, an object without its closing brace. Returns
    /// false if it was not `expected` any more.
    ///
    /// If a stale entry `may_answer`, the copy moves into the marker, unless its entry should still live.
    /// The marker lives as long as the copy, or for `ttl` without one.
    pub(crate) async fn publish_failure(
        &self,
        keys: &ConnectionKeys,
        expected: &[u8],
        marker: Vec<u8>,
        ttl: Ttl,
        may_answer: bool,
    ) -> Result<bool, Error> {
        let command = Command::script(Purpose::Write, PUBLISH_FAILURE, [&keys.entry, &keys.stale]);
        let command = command.arg(expected).arg(marker);
        let command = command.integer(ttl.seconds().into());
        is_done(&self.send(command.integer(may_answer.into())).await?)
    }

    /// Copies an entry, if it still is `expected` and has no copy. The copy may answer for this long
    /// after the entry.
    pub(crate) async fn keep_stale(
        &self,
        keys: &ConnectionKeys,
        expected: &[u8],
        longer: Ttl,
    ) -> Result<(), Error> {
        let command = Command::script(Purpose::Write, KEEP_STALE, [&keys.entry, &keys.stale]);
        let command = command.arg(expected).integer(longer.seconds().into());
        self.send(command).await?;
        Ok(())
    }

    /// GET: reads the value that a conditional write depends on.
    pub(crate) async fn get_to_change(
        &self,
        key: &str,
        deadline: &Deadline,
    ) -> Result<Option<RawValue>, Error> {
        let get = match self.capped.get() {
            true => capped(GET_CAPPED, [key]),
            false => Command::read("GET").arg(key),
        };
        let reply = self.read(get, false, deadline).await?;
        raw_value(reply.into_iter().next(), None, None)
    }

    /// Changes the value of the key, and its auxiliary keys. Returns false if the key does not hold
    /// `expected` any more: a value, or none if it held nothing, or nothing that could be an entry.
    ///
    /// It is sent once, because a second time the key would hold the new value. After
    /// [`Error::ConnectionLost`] the caller has to read what it holds.
    pub(crate) async fn change_if_unchanged(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        change: &Change,
        auxiliary: &AuxiliaryKeys,
        deadline: &Deadline,
    ) -> Result<bool, Error> {
        let script = match change {
            Change::Set(..) => SET_IF_UNCHANGED,
            Change::Delete => DELETE_IF_UNCHANGED,
        };
        let keys = auxiliary.fresh.iter().chain(&auxiliary.stale);
        let keys = [key].into_iter().chain(keys.map(String::as_str));
        // What is larger cannot be an entry, and may not have been read to its end.
        let expected = expected.filter(|value| value.len() <= MAX_STORED);
        let mut command = Command::script(Purpose::Write, script, keys)
            .once()
            .arg(expected.unwrap_or_default())
            .integer(i64::try_from(MAX_STORED).unwrap_or(i64::MAX));
        if let Change::Set(value, ttl) = change {
            let count = i64::try_from(auxiliary.fresh.len()).map_err(|_| Error::Unexpected)?;
            command = command.arg(value.as_slice()).integer(ttl.seconds().into());
            command = command.integer(millis(auxiliary.fresh_for)).integer(count);
        }
        is_done(&self.primary.call(&command, deadline).await?)
    }

    /// Removes entries and their auxiliary keys. Returns how many entries existed: a value that
    /// begins with `marker` is not one.
    pub(crate) async fn delete_entries(
        &self,
        entries: &[String],
        auxiliary: &AuxiliaryKeys,
        marker: &[u8],
    ) -> Result<u32, Error> {
        if entries.is_empty() {
            return Ok(0);
        }
        let length = i64::try_from(entries.len()).map_err(|_| Error::Unexpected)?;
        let auxiliary = auxiliary.fresh.iter().chain(&auxiliary.stale);
        let keys = entries.iter().chain(auxiliary);
        let command = Command::script(Purpose::Write, DELETE, keys)
            .integer(length)
            .arg(marker);
        count(&self.send(command).await?)
    }
}

fn is_done(reply: &Reply) -> Result<bool, Error> {
    Ok(count(reply)? > 0)
}
