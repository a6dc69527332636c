//! The edge cache: answers in the key-value store of the host, without credentials. All instances of
//! the host share it, and it outlives them.
//!
//! A store has no expiry and no eviction, so there is a fixed number of slots. An id leads to one slot,
//! and replaces what another id left there.
//!
//! The store has no compare-and-set. An answer that was read before a write must not come back after
//! it, so each write leaves a new number under a key of its own. A read keeps its answer only if the
//! number is that from before the read, and takes it back if the number changed meanwhile. A replica may
//! not know of the write yet, so the time of the write precedes its number.
//! `docs/edge-cache.md` has the interleavings that remain.

#[cfg(test)]
mod interleavings;
mod slot;

use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use self::slot::{Answer, Slot};
use super::lookup::{Entry, Forward, Lookup, Outcome};
use crate::config::CacheConfig;
use crate::connection::{Id, Summary, Timestamp};
use crate::edge_store::{EdgeStore, KeyValue, NotSet};
use crate::redis::Keyspace;
use crate::rt::clock::now;
use crate::rt::deadline::Timer;
use crate::rt::random;
use crate::rt::task::spawn_after_answer;

/// What the host knows of a connection.
pub(super) enum Known {
    Summary {
        summary: Summary,
        /// Whether Redis should be asked again once the lookup has been answered.
        due: bool,
    },
    /// There is no such connection.
    NotFound,
    /// Nothing.
    Nothing,
}

/// The edge cache.
pub(super) struct EdgeCache<Store = EdgeStore> {
    store: Store,
    keyspace: Keyspace,
    slots: NonZeroU32,
    ttl: Duration,
    /// How long one refresh keeps others from beginning.
    refresh: Duration,
}

/// For so long after a write through this host, a replica may not know of it: as long as Redis bears with
/// a silent primary by default (`repl-timeout`).
const CATCHING_UP: Duration = Duration::from_secs(60);

/// The moment before a read of Redis.
#[derive(Clone)]
pub(super) struct ReadStart {
    at: Timestamp,
    /// What the last write left, if there was one: when it ended, and a number.
    write: Option<Vec<u8>>,
}

impl ReadStart {
    /// Returns true if a connection of the slot was written so lately that what a replica says of it must
    /// not be kept.
    pub(super) fn is_soon_after_a_write(&self) -> bool {
        let micros = self.write.as_deref().and_then(<[u8]>::first_chunk);
        let at = micros.and_then(|micros| Timestamp::from_micros(i64::from_be_bytes(*micros)));
        at.is_some_and(|at| self.at < at.after(CATCHING_UP))
    }
}

impl EdgeCache {
    /// Returns none if the edge cache is off.
    pub(super) fn new(
        config: &CacheConfig,
        keyspace: &Keyspace,
        timer: &Rc<Timer>,
    ) -> Option<Rc<Self>> {
        let edge = config.edge_cache.as_ref()?;
        let timeout = config.redis.timeout;
        Some(Rc::new(Self {
            store: EdgeStore::new(&edge.store, Rc::clone(timer), timeout / 2),
            keyspace: keyspace.clone(),
            slots: edge.entries,
            ttl: edge.ttl,
            refresh: 2 * timeout,
        }))
    }

    /// Keeps the result of a read, once the lookup has been answered. That there is no such connection is
    /// kept for no longer than Redis holds it.
    pub(super) fn keep_after_answer(
        self: &Rc<Self>,
        start: ReadStart,
        id: Id,
        found: &Lookup<Rc<Entry>>,
        not_found_for: Option<Duration>,
    ) {
        let entry = match found {
            Lookup::Hit(entry) => Some(entry),
            Lookup::NotFound if not_found_for.is_some() => None,
            Lookup::Forwarded(Forward {
                outcome: Outcome::Stored(entry),
                overtaken: None,
                ..
            }) => Some(entry),
            _ => return,
        };
        let (answer, lifetime) = match entry {
            Some(entry) => {
                let summary = entry.connection.clone().summarize(now());
                (Answer::Summary(Box::new(summary)), entry.remaining)
            }
            None => (Answer::NotFound(id), not_found_for),
        };
        let edge = Rc::clone(self);
        spawn_after_answer(async move { edge.keep(start, id, answer, lifetime).await });
    }

    /// Drops connections that were written.
    pub(super) async fn forget_all(&self, ids: &[Id]) -> Result<(), NotSet> {
        let now = now();
        for id in ids {
            self.forget(*id, now, random::number()).await?;
        }
        Ok(())
    }
}

impl<Store: KeyValue> EdgeCache<Store> {
    /// Returns what the slot says of a connection at `now`. A time in the future is that of a clock
    /// that was set back since: it says nothing.
    pub(super) async fn get(&self, id: Id, now: Timestamp) -> Known {
        let Some(bytes) = self.store.get(&self.key(id, "slot")).await else {
            return Known::Nothing;
        };
        match Slot::decode(id, &bytes, now) {
            Some(Slot::Kept {
                answer,
                from,
                until,
            }) if from <= now && now < until => match answer {
                Answer::NotFound(_) => Known::NotFound,
                Answer::Summary(summary) => Known::Summary {
                    summary: *summary,
                    due: now.micros() - from.micros() > until.micros() - now.micros(),
                },
            },
            _ => Known::Nothing,
        }
    }

    /// Returns true if no other refresh of the slot began a moment before `now`.
    pub(super) async fn begin_refresh(&self, id: Id, now: Timestamp) -> bool {
        let key = self.key(id, "refresh");
        let until = self.store.get(&key).await;
        let until = until.and_then(|until| Timestamp::parse(str::from_utf8(&until).ok()?));
        let latest = now.after(self.refresh);
        if until.is_some_and(|until| now < until && until <= latest) {
            return false;
        }
        let began = self.store.set(&key, latest.to_string().as_bytes()).await;
        began.is_ok()
    }

    pub(super) async fn begin(&self, id: Id, now: Timestamp) -> ReadStart {
        ReadStart {
            at: now,
            write: self.last_write(id).await,
        }
    }

    /// Keeps an answer for at most `lifetime`, unless a write came since the read began.
    async fn keep(&self, start: ReadStart, id: Id, answer: Answer, lifetime: Option<Duration>) {
        let ttl = lifetime.map_or(self.ttl, |lifetime| lifetime.min(self.ttl));
        if ttl.is_zero() || self.last_write(id).await != start.write {
            return;
        }
        let slot = Slot::Kept {
            answer,
            from: start.at,
            until: start.at.after(ttl),
        };
        let key = self.key(id, "slot");
        // A store that did not answer in time may have taken it all the same.
        let _logged = self.store.set(&key, &slot.encode()).await;
        if self.last_write(id).await != start.write {
            let _logged = self.store.set(&key, &Slot::Written(id).encode()).await;
        }
    }

    /// Drops a connection that was written by `now`. Reads that are under way will not bring it back,
    /// because no other write has this number.
    async fn forget(&self, id: Id, now: Timestamp, number: u64) -> Result<(), NotSet> {
        let write = [now.micros().to_be_bytes(), number.to_be_bytes()].concat();
        self.store.set(&self.key(id, "write"), &write).await?;
        let slot = Slot::Written(id).encode();
        self.store.set(&self.key(id, "slot"), &slot).await
    }

    async fn last_write(&self, id: Id) -> Option<Vec<u8>> {
        self.store.get(&self.key(id, "write")).await
    }

    fn key(&self, id: Id, kind: &str) -> String {
        self.keyspace.edge(kind, id.slot(self.slots))
    }
}
