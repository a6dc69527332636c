//! Commands for what is counted, which lies in hashes: a field for each count.

use std::collections::BTreeMap;

use spin_sdk::redis::RedisResult;

use super::{Command, Failure, Redis, text};
use crate::config::Ttl;
use crate::stats::Counts;

/// Adds `ARGV[i + 1]` to the field `ARGV[i]` of every key, from `ARGV[3]` on, and has the keys live
/// for `ARGV[1]` seconds. The last one says since when it counts: `ARGV[2]`.
const ADD: &str = "for _, key in ipairs(KEYS) do \
       for i = 3, #ARGV, 2 do redis.call('HINCRBY', key, ARGV[i], ARGV[i + 1]) end \
       redis.call('EXPIRE', key, ARGV[1]) \
     end \
     redis.call('HSETNX', KEYS[#KEYS], 'since', ARGV[2])";

/// Answers of each key how many fields and values it has, and then these.
const HASHES: &str = "local all = {} \
     for _, key in ipairs(KEYS) do \
       local hash = redis.call('HGETALL', key) \
       all[#all + 1] = #hash \
       for i = 1, #hash do all[#all + 1] = hash[i] end \
     end \
     return all";

/// The most that is believed of a count: as much as JSON's readers can tell apart.
const MOST: u64 = 1 << 53;

/// What a hash of counts holds.
#[derive(Default)]
pub struct Counted {
    /// The counts.
    pub counts: Counts,
    /// Since when they are counted, in seconds since the Unix epoch, if it says so.
    pub since: Option<u64>,
}

impl Redis {
    /// Whether nothing is known to be wrong with the Redis that takes the writes.
    pub fn is_well(&self) -> bool {
        self.primary.is_well()
    }

    /// Adds counts to what the keys hold. Whenever that fails they are lost: nobody waits for them,
    /// and sent twice they would be wrong.
    pub async fn add(&self, keys: &[String], counts: &Counts, since: i64, ttl: Ttl) {
        let command = Command::script(ADD, keys)
            .integer(ttl.seconds().into())
            .integer(since);
        let fields = counts.fields().into_iter();
        let command = fields.fold(command, |command, (name, count)| {
            command
                .arg(name)
                .integer(i64::try_from(count).unwrap_or(i64::MAX))
        });
        let deadline = self.deadline();
        self.primary.tell(&command, &deadline).await;
    }

    /// What each of the keys holds.
    pub async fn counted(&self, keys: &[String]) -> Result<Vec<Counted>, Failure> {
        let mut reply = self.write(Command::script(HASHES, keys)).await?.into_iter();
        let mut hash = || {
            let Some(RedisResult::Int64(length)) = reply.next() else {
                return Err(Failure::Unexpected);
            };
            let length = usize::try_from(length).map_err(|_| Failure::Unexpected)?;
            let mut texts = reply.by_ref().take(length).map(text);
            let mut fields = BTreeMap::new();
            while let (Some(name), Some(count)) = (texts.next(), texts.next()) {
                let count = count.and_then(|count| count.parse::<u64>().ok());
                // Whatever somebody wrote there, more cannot be counted.
                let count = count.map(|count| count.min(MOST));
                fields.extend(name.zip(count));
            }
            Ok(Counted {
                counts: Counts::from_fields(|name| fields.get(name).copied()),
                since: fields.get("since").copied(),
            })
        };
        keys.iter().map(|_| hash()).collect()
    }
}
