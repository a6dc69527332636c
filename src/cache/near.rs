//! The near cache: summaries that were read of late, in the memory of the instance.
//! Credentials are never in it.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use lru::LruCache;
use spin_sdk::wasip3::clocks::monotonic_clock;

use crate::config::NearCacheConfig;
use crate::connection::{Id, Summary};
use crate::deadline::nanoseconds;

/// The keys are UUIDs, and few: a fixed hash is enough, and needs nothing of the host.
pub type Hasher = BuildHasherDefault<DefaultHasher>;

/// Summaries, each for a short while; if there are too many, the least recently used goes.
pub struct NearCache {
    summaries: RefCell<LruCache<Id, Kept, Hasher>>,
    ttl: Duration,
    /// How many writes went through this instance: what was read before one is not kept
    /// after it.
    writes: Cell<u64>,
}

struct Kept {
    summary: Summary,
    until: u64,
}

/// The moment before a read was sent.
#[derive(Clone, Copy)]
pub struct Begun {
    at: u64,
    writes: u64,
}

impl NearCache {
    /// An empty one.
    pub fn new(config: &NearCacheConfig) -> Self {
        // Not with its capacity at once: most instances end before they have read as many.
        let mut summaries = LruCache::unbounded_with_hasher(Hasher::default());
        summaries.resize(config.entries);
        Self {
            summaries: RefCell::new(summaries),
            ttl: config.ttl,
            writes: Cell::new(0),
        }
    }

    /// The summary, if it is there and its time has not run out.
    pub fn get(&self, id: Id) -> Option<Summary> {
        let mut summaries = self.summaries.borrow_mut();
        let kept = summaries.get(&id)?;
        if monotonic_clock::now() < kept.until {
            Some(kept.summary.clone())
        } else {
            summaries.pop(&id);
            None
        }
    }

    /// To be called before a read whose result is to be kept.
    pub fn begin(&self) -> Begun {
        Begun {
            at: monotonic_clock::now(),
            writes: self.writes.get(),
        }
    }

    /// Keeps what a read found, but not beyond the lifetime of the entry.
    pub fn keep(&self, begun: Begun, summary: &Summary, remaining: Option<Duration>) {
        if begun.writes != self.writes.get() {
            return;
        }
        let ttl = remaining.map_or(self.ttl, |remaining| remaining.min(self.ttl));
        let kept = Kept {
            summary: summary.clone(),
            until: begun.at.saturating_add(nanoseconds(ttl)),
        };
        self.summaries.borrow_mut().put(summary.id, kept);
    }

    /// Forgets a connection that was written.
    pub fn forget(&self, id: Id) {
        self.writes.update(|writes| writes + 1);
        self.summaries.borrow_mut().pop(&id);
    }
}
