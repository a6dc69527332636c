//! Flushes the counts of this instance to Redis: after its answers have gone out, at most once in a
//! second, in one command. Counts that Redis did not take go with the next ones. Those that it did not
//! confirm are lost.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;

use crate::config::Ttl;
use crate::redis::{Keyspace, Redis};
use crate::rt::clock::now;
use crate::rt::deadline::{LONGEST_RUN, nanoseconds};
use crate::rt::task::spawn;
use crate::stats::{Hour, Stats};

/// An hour is kept for 48 hours.
const KEPT: u32 = 172_800;

/// The shortest time between two flushes.
const PAUSE: Duration = Duration::from_secs(1);

/// An instance without operations for this long is taken to be idle: 20 ms in nanoseconds.
const QUIET: u64 = 20_000_000;

struct StatsFlush {
    /// `Stats` holds this as its listener.
    stats: Weak<Stats>,
    redis: Rc<Redis>,
    keyspace: Keyspace,
    runs: Cell<bool>,
    /// The earliest moment of the next flush, by the monotonic clock.
    not_before: Cell<u64>,
}

/// Begins to flush counts to this Redis.
pub(super) fn start(redis: Rc<Redis>, keyspace: Keyspace, stats: &Rc<Stats>) {
    let flush = Rc::new(StatsFlush {
        stats: Rc::downgrade(stats),
        redis,
        keyspace,
        runs: Cell::new(false),
        not_before: Cell::new(0),
    });
    stats.listen(move || flush.wake());
}

impl StatsFlush {
    fn wake(self: &Rc<Self>) {
        if !self.runs.replace(true) {
            spawn(Rc::clone(self).run());
        }
    }

    /// Flushes until no counts are left. While Redis takes none, leaves them to the next operation.
    async fn run(self: Rc<Self>) {
        // If the host ends this task with its request, the next request goes on.
        let _stops = StopsFlush(&self.runs);
        let Some(stats) = self.stats.upgrade() else {
            return;
        };
        while !stats.is_empty() && self.redis.takes_writes() {
            self.wait(&stats).await;
            if !self.redis.takes_writes() || !self.flush(&stats).await {
                return;
            }
        }
    }

    /// Waits until the instance is idle, for at most a second. The wait keeps the instance alive, and
    /// one that has served its last request, such as one of 128 within 50 ms, should end.
    async fn wait(&self, stats: &Stats) {
        let begun = monotonic_clock::now();
        let latest = begun.saturating_add(nanoseconds(PAUSE));
        // Looks as often as the timer of the deadlines wakes the instance anyway.
        loop {
            let early = self.not_before.get().saturating_sub(monotonic_clock::now());
            monotonic_clock::wait_for(early.max(nanoseconds(LONGEST_RUN))).await;
            let now = monotonic_clock::now();
            if now >= latest || stats.is_quiet_since(now.saturating_sub(QUIET)) {
                return;
            }
        }
    }

    /// Returns false if Redis did not take the counts.
    async fn flush(&self, stats: &Stats) -> bool {
        let sent = monotonic_clock::now();
        self.not_before.set(sent.saturating_add(nanoseconds(PAUSE)));
        let now = now();
        let keyspace = &self.keyspace;
        let keys = [keyspace.stats(Hour::of(now)), keyspace.total_stats()];
        let ttl = Ttl::from_seconds(KEPT).unwrap_or(Ttl::DEFAULT);
        let (since, _) = now.parts();
        let counts = stats.take();
        let is_taken = self.redis.add(&keys, &counts, since, ttl).await;
        if !is_taken {
            stats.put_back(&counts);
        }
        is_taken
    }
}

struct StopsFlush<'a>(&'a Cell<bool>);

impl Drop for StopsFlush<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
