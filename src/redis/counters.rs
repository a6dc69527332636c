//! Commands for counts. They are in hashes, with a field for each count.

use std::collections::BTreeMap;

use spin_sdk::redis::RedisResult;

use super::command::{Command, Purpose, text};
use super::link::Delivery;
use super::{Error, Redis};
use crate::config::Ttl;
use crate::stats::Counts;

/// From `ARGV[3]` on, adds `ARGV[i + 1]` to the field `ARGV[i]` of every key. The keys expire in
/// `ARGV[1]` seconds. The last key also holds since when it counts: `ARGV[2]`.
const ADD: &str = "for _, key in ipairs(KEYS) do \
       for i = 3, #ARGV, 2 do redis.call('HINCRBY', key, ARGV[i], ARGV[i + 1]) end \
       redis.call('EXPIRE', key, ARGV[1]) \
     end \
     redis.call('HSETNX', KEYS[#KEYS], 'since', ARGV[2])";

/// Returns for each key the number of its fields and values, followed by these.
const HASHES: &str = "local all = {} \
     for _, key in ipairs(KEYS) do \
       local hash = redis.call('HGETALL', key) \
       all[#all + 1] = #hash \
       for i = 1, #hash do all[#all + 1] = hash[i] end \
     end \
     return all";

/// No count is taken to be higher, so that every JSON reader can hold it.
const MOST: u64 = 1 << 53;

/// The content of a hash of counts.
#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) counts: Counts,
    /// When counting began, in seconds since the Unix epoch, if the hash holds it.
    pub(crate) since: Option<u64>,
}

impl Redis {
    /// Returns true unless the primary is known to take no writes.
    pub(crate) fn takes_writes(&self) -> bool {
        self.primary.takes_writes()
    }

    /// Adds counts to the hashes of the keys. Returns false if Redis surely did not, and may later.
    ///
    /// Without a reply, the counts are taken to be there: sending them twice would make them wrong.
    pub(crate) async fn add(&self, keys: &[String], counts: &Counts, since: i64, ttl: Ttl) -> bool {
        let command = Command::script(Purpose::Write, ADD, keys)
            .integer(ttl.seconds().into())
            .integer(since);
        let fields = counts.fields().into_iter();
        let command = fields.fold(command, |command, (name, count)| {
            command
                .arg(name)
                .integer(i64::try_from(count).unwrap_or(i64::MAX))
        });
        let deadline = self.deadline();
        match self.primary.send_once(&command, &deadline).await {
            Delivery::Unsent => false,
            Delivery::Refused(refusal) => !refusal.is_temporary(),
            Delivery::Confirmed | Delivery::Unknown => true,
        }
    }

    /// Reads the hash of each key.
    pub(crate) async fn counted(&self, keys: &[String]) -> Result<Vec<Counted>, Error> {
        let mut reply = self
            .send(Command::script(Purpose::Read, HASHES, keys))
            .await?
            .into_iter();
        let mut hash = || {
            let Some(RedisResult::Int64(length)) = reply.next() else {
                return Err(Error::Unexpected);
            };
            let length = usize::try_from(length).map_err(|_| Error::Unexpected)?;
            let mut texts = reply.by_ref().take(length).map(text);
            let mut fields = BTreeMap::new();
            while let (Some(name), Some(count)) = (texts.next(), texts.next()) {
                let count = count.and_then(|count| count.parse::<u64>().ok());
                // Another program may have written anything there.
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
