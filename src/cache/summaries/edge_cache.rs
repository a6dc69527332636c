//! The edge cache: answers in the key-value store of the host, without credentials. All instances of
//! the host share it, and it outlives them.
//!
//! A store has no expiry and no eviction, so there is a fixed number of slots. An id leads to one slot,
//! and replaces what another id left there.
//!
//! The store has no compare-and-set. An answer that was read before a write must not come back after
//! it, so each write leaves a new number under a key of its own. A read keeps its answer only if the
//! number is that from before the read, and takes it back if the number changed meanwhile.
//! `docs/edge-cache.md` has the interleavings that remain.

use std::num::NonZeroU32;
use std::time::Duration;

use super::slot::{Answer, Slot};
use super::{Known, Level};
use crate::connection::{Id, Timestamp};
use crate::edge_store::{KeyValue, NotSet};
use crate::redis::Keyspace;

/// The edge cache.
pub(super) struct EdgeCache<Store> {
    pub(super) store: Store,
    pub(super) keyspace: Keyspace,
    pub(super) slots: NonZeroU32,
    pub(super) ttl: Duration,
    /// How long one refresh keeps others from beginning.
    pub(super) refresh: Duration,
}

/// The moment before a read of Redis.
#[derive(Clone)]
pub(super) struct ReadStart {
    at: Timestamp,
    /// The number that the last write left, if there was one.
    write: Option<Vec<u8>>,
}

impl<Store: KeyValue> EdgeCache<Store> {
    /// Returns what the slot says of a connection at `now`. A time in the future is that of a clock
    /// that was set back since: it says nothing.
    pub(super) async fn get(&self, id: Id, now: Timestamp) -> Known {
        let nothing = |written| Known::Nothing { written };
        let Some(bytes) = self.store.get(&self.key(id, "slot")).await else {
            return nothing(false);
        };
        match Slot::decode(id, &bytes) {
            Some(Slot::Kept {
                answer,
                from,
                until,
            }) if from <= now && now < until => match answer {
                Answer::NotFound(_) => Known::NotFound,
                Answer::Summary(summary) => Known::Summary {
                    summary: summary.at(now),
                    level: Level::Edge,
                    due: now.micros() - from.micros() > until.micros() - now.micros(),
                },
            },
            Some(Slot::Written(_)) => nothing(true),
            Some(Slot::Kept { .. }) | None => nothing(false),
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
    pub(super) async fn keep(
        &self,
        start: ReadStart,
        id: Id,
        answer: Answer,
        lifetime: Option<Duration>,
    ) {
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
        let kept = self.store.set(&key, &slot.encode()).await;
        if kept.is_ok() && self.last_write(id).await != start.write {
            let _logged = self.store.set(&key, &Slot::Written(id).encode()).await;
        }
    }

    /// Drops a connection that was written. Reads that are under way will not bring it back, because
    /// no other write has this number.
    pub(super) async fn forget(&self, id: Id, number: u64) -> Result<(), NotSet> {
        let number = number.to_be_bytes();
        self.store.set(&self.key(id, "write"), &number).await?;
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
