//! The state of the origin's circuit breaker. All instances share it, because each lives for a moment:
//! Spin drops it after an idle second or 128 requests.
//!
//! Two keys hold it. The failures in a row are `COUNT PAUSE CAUSE`, the last pause in milliseconds. The
//! breaker is open while they are at least [`THRESHOLD`]. The key of the pause holds the cause, and
//! expires when the origin may be probed.
//!
//! A script that is sent twice, after a lost connection, counts a failure twice, or lets a probe wait
//! for the next pause.

use std::time::Duration;

use spin_sdk::redis::RedisResult;

use super::command::{Command, Purpose, Reply, count, millis, text};
use super::keys::BreakerKeys;
use super::{Error, Redis};

/// This many failures in a row open the breaker. One connection that the origin cannot answer in time
/// does not, as long as others are answered in between.
const THRESHOLD: i64 = 3;
/// The first pause after that, and the longest, in milliseconds. Each is twice the last.
const FIRST_PAUSE: i64 = 1_000;
const LONGEST_PAUSE: i64 = 8_000;
/// No pause is longer: five minutes, for which the origin may ask.
const LONGEST_ASKED: i64 = 300_000;
/// Failures are forgotten this many milliseconds after the last one, beyond the pause.
const MEMORY: i64 = 60_000;

/// A part of scripts, over the keys and settings that come before it. It returns 0 if all is well, 1 if
/// there were failures, 2 for a probe, and 3 during a pause; and the cause. One caller is let through for
/// a probe, and the others wait for it `probe` milliseconds at most. A pause that does not end, or too
/// late, is not ours.
macro_rules! permit {
    ($keys_and_settings:literal) => {
        concat!(
            "local pause, failures, most, probe, longest = ",
            $keys_and_settings,
            " local cause, left = redis.call('GET', pause), redis.call('PTTL', pause) \
             if cause and left >= 0 and left <= tonumber(longest) then return {3, cause} end \
             local count, last = (redis.call('GET', failures) or ''):match('^(%d+) %d+ (.*)$') \
             if not count then return {0, ''} end \
             if tonumber(count) < tonumber(most) then return {1, ''} end \
             redis.call('SET', pause, last, 'PX', probe) return {2, last}"
        )
    };
}
pub(super) use permit;

const PERMIT: &str = permit!("KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]");

/// Counts a failure by `ARGV[1]`, the cause. From `ARGV[2]` failures on, or if the origin asks for a
/// pause of `ARGV[5]` milliseconds, the pause begins. Requests that began before a pause do not count.
/// Returns 1 if this opened the breaker.
const FAIL: &str = "local probe, asked, most = ARGV[6] == '1', tonumber(ARGV[5]), tonumber(ARGV[2]) \
     local left = redis.call('PTTL', KEYS[1]) \
     if left > 0 and not probe and asked <= left then return 0 end \
     local count, pause = (redis.call('GET', KEYS[2]) or ''):match('^(%d+) (%d+) ') \
     local before = tonumber(count) or 0 \
     count = asked > 0 and math.max(before + 1, most) or before + 1 \
     pause = tonumber(pause) or 0 \
     if count >= most then \
       pause = math.min(math.max(2 * pause, tonumber(ARGV[3])), tonumber(ARGV[4])) \
       redis.call('SET', KEYS[1], ARGV[1], 'PX', math.max(pause, asked)) \
     end \
     redis.call('SET', KEYS[2], count .. ' ' .. pause .. ' ' .. ARGV[1], \
       'PX', math.max(pause, asked) + ARGV[7]) \
     return (before < most and count >= most) and 1 or 0";

/// Forgets the failures, except during a pause that only a probe may end. Returns 1 if this closed the
/// breaker.
const SUCCEED: &str = "if ARGV[2] == '0' and redis.call('GET', KEYS[1]) then return 0 end \
     local count = (redis.call('GET', KEYS[2]) or ''):match('^%d+') \
     redis.call('DEL', KEYS[1], KEYS[2]) \
     return (tonumber(count) or 0) >= tonumber(ARGV[1]) and 1 or 0";

/// Whether the origin may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// It may. There were no failures.
    Granted,
    /// It may. A success ends a row of failures.
    GrantedAfterFailures,
    /// It may, to find out whether it is still down. Nobody else is let through meanwhile.
    Probe,
    /// It is left alone for a while. This is the cause.
    Refused(String),
}

/// A request to the origin that failed.
pub(crate) struct FailedRequest<'a> {
    pub(crate) cause: &'a str,
    /// Whether it was a [`Permission::Probe`].
    pub(crate) probe: bool,
    /// How long the origin wants to be left alone.
    pub(crate) retry_after: Duration,
}

impl Redis {
    /// Returns whether the origin may be asked. A probe ends within `longest`.
    pub(crate) async fn origin_permission(
        &self,
        keys: &BreakerKeys,
        longest: Duration,
    ) -> Result<Permission, Error> {
        // It writes for a probe alone.
        let command = script(Purpose::Read, PERMIT, keys);
        let command = permit_settings(command, longest);
        permission(self.send(command).await?)
    }

    /// Notes that the origin is down. Returns true if this opened the breaker.
    pub(crate) async fn origin_failed(
        &self,
        keys: &BreakerKeys,
        failed: FailedRequest<'_>,
    ) -> Result<bool, Error> {
        let retry_after = i64::try_from(failed.retry_after.as_millis()).unwrap_or(0);
        let command = script(Purpose::Write, FAIL, keys)
            .arg(failed.cause)
            .integer(THRESHOLD)
            .integer(FIRST_PAUSE)
            .integer(LONGEST_PAUSE)
            .integer(retry_after)
            .integer(failed.probe.into())
            .integer(MEMORY);
        Ok(count(&self.send(command).await?)? > 0)
    }

    /// Notes that the origin answers. Returns true if this closed the breaker.
    pub(crate) async fn origin_succeeded(
        &self,
        keys: &BreakerKeys,
        probe: bool,
    ) -> Result<bool, Error> {
        let command = script(Purpose::Write, SUCCEED, keys)
            .integer(THRESHOLD)
            .integer(probe.into());
        Ok(count(&self.send(command).await?)? > 0)
    }
}

fn script(purpose: Purpose, script: &'static str, keys: &BreakerKeys) -> Command {
    Command::script(purpose, script, [&keys.pause, &keys.failures])
}

/// Adds the settings of [`permit`].
pub(super) fn permit_settings(command: Command, probe: Duration) -> Command {
    let command = command.integer(THRESHOLD).integer(millis(probe));
    command.integer(LONGEST_ASKED)
}

/// Reads what [`permit`] returns.
pub(super) fn permission(reply: Reply) -> Result<Permission, Error> {
    let mut reply = reply.into_iter();
    let kind = reply.next();
    let cause = reply.next().and_then(text).ok_or(Error::Unexpected)?;
    match kind {
        Some(RedisResult::Int64(0)) => Ok(Permission::Granted),
        Some(RedisResult::Int64(1)) => Ok(Permission::GrantedAfterFailures),
        Some(RedisResult::Int64(2)) => Ok(Permission::Probe),
        Some(RedisResult::Int64(3)) => Ok(Permission::Refused(cause)),
        _ => Err(Error::Unexpected),
    }
}
