//! The near cache: summaries in the memory of the instance, without credentials.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use lru::LruCache;
use spin_sdk::wasip3::clocks::monotonic_clock;

use crate::config::NearCacheConfig;
use crate::connection::{Id, Summary};
use crate::rt::deadline::nanoseconds;

/// The keys are UUIDs, and few. A fixed hash is enough, and needs nothing from the host.
pub(in crate::cache) type Hasher = BuildHasherDefault<DefaultHasher>;

/// Keeps each summary for a short while. If there are too many, drops the least recently used.
pub(super) struct NearCache {
    summaries: RefCell<LruCache<Id, Kept, Hasher>>,
    ttl: Duration,
    /// Counts the writes of this instance. A read from before a write is not kept after it.
    writes: Cell<u64>,
}

struct Kept {
    summary: Summary,
    until: u64,
}

/// The moment before a read was sent.
#[derive(Clone, Copy)]
pub(super) struct ReadStart {
    at: u64,
    writes: u64,
}

impl NearCache {
    pub(super) fn new(config: &NearCacheConfig) -> Self {
        // Most instances end before they have read `entries` summaries, so the capacity is not
        // allocated at once.
        let mut summaries = LruCache::unbounded_with_hasher(Hasher::default());
        summaries.resize(config.entries);
        Self {
            summaries: RefCell::new(summaries),
            ttl: config.ttl,
            writes: Cell::new(0),
        }
    }

    pub(super) fn get(&self, id: Id) -> Option<Summary> {
        let mut summaries = self.summaries.borrow_mut();
        let kept = summaries.get(&id)?;
        if monotonic_clock::now() < kept.until {
            Some(kept.summary.clone())
        } else {
            summaries.pop(&id);
            None
        }
    }

    /// Marks the moment before a read whose result will be kept.
    pub(super) fn begin(&self) -> ReadStart {
        ReadStart {
            at: monotonic_clock::now(),
            writes: self.writes.get(),
        }
    }

    /// Keeps the result of a read, but not beyond the lifetime of the entry.
    pub(super) fn keep(&self, start: ReadStart, summary: &Summary, remaining: Option<Duration>) {
        if start.writes != self.writes.get() {
            return;
        }
        let ttl = remaining.map_or(self.ttl, |remaining| remaining.min(self.ttl));
        let kept = Kept {
            summary: summary.clone(),
            until: start.at.saturating_add(nanoseconds(ttl)),
        };
        self.summaries.borrow_mut().put(summary.id, kept);
    }

    /// Drops a connection that was written.
    pub(super) fn forget(&self, id: Id) {
        self.writes.update(|writes| writes + 1);
        self.summaries.borrow_mut().pop(&id);
    }
}
