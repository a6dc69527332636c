//! How the counts of this instance come to Redis: when its answers have gone out, at most once a
//! second, in one command, and if that fails, not at all.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;

use super::history::Hour;
use super::keys::Names;
use crate::clock::now;
use crate::config::Ttl;
use crate::deadline::nanoseconds;
use crate::redis::Redis;
use crate::stats::Stats;
use crate::task::spawn;

/// How long an hour is kept: 48 hours.
const KEPT: u32 = 172_800;

/// The shortest time between two reports.
const PAUSE: Duration = Duration::from_secs(1);

/// How long nothing must have happened for the instance to be taken for idle.
const QUIET: Duration = Duration::from_millis(20);

/// Hands on what an instance has counted.
struct Reporter {
    /// Which holds this.
    stats: Weak<Stats>,
    redis: Rc<Redis>,
    names: Names,
    runs: Cell<bool>,
    /// Before this moment there is no report, by the monotonic clock.
    not_before: Cell<u64>,
}

/// From now on what is counted is handed on to this Redis.
pub fn to(redis: Rc<Redis>, names: Names, stats: &Rc<Stats>) {
    let reporter = Rc::new(Reporter {
        stats: Rc::downgrade(stats),
        redis,
        names,
        runs: Cell::new(false),
        not_before: Cell::new(0),
    });
    stats.listen(move || reporter.wake());
}

impl Reporter {
    fn wake(self: &Rc<Self>) {
        if !self.runs.replace(true) {
            spawn(Rc::clone(self).run());
        }
    }

    /// Reports until there is nothing to report. While Redis is away that is left to whatever is
    /// counted next.
    async fn run(self: Rc<Self>) {
        // Ended with its request, it leaves the rest to the next one.
        let _stopped = Stop(&self.runs);
        let Some(stats) = self.stats.upgrade() else {
            return;
        };
        while !stats.is_empty() && self.redis.is_well() {
            self.wait(&stats).await;
            if self.redis.is_well() {
                self.report(&stats).await;
            }
        }
    }

    /// Waits until the instance is idle, for at most a second. What waits keeps it alive, and an
    /// instance that has served its last request, such as one of 128 within 50 ms, should go.
    async fn wait(&self, stats: &Stats) {
        let begun = monotonic_clock::now();
        let latest = begun.saturating_add(nanoseconds(PAUSE));
        loop {
            let operations = stats.begun();
            let early = self.not_before.get().saturating_sub(monotonic_clock::now());
            monotonic_clock::wait_for(early.max(nanoseconds(QUIET))).await;
            let is_idle = stats.is_quiet() && stats.begun() == operations;
            if is_idle || monotonic_clock::now() >= latest {
                return;
            }
        }
    }

    async fn report(&self, stats: &Stats) {
        let sent = monotonic_clock::now();
        self.not_before.set(sent.saturating_add(nanoseconds(PAUSE)));
        let now = now();
        let keys = [self.names.stats(Hour::of(now)), self.names.stats_in_all()];
        let ttl = Ttl::from_seconds(KEPT).unwrap_or(Ttl::DEFAULT);
        let (since, _) = now.parts();
        self.redis.add(&keys, &stats.take(), since, ttl).await;
    }
}

struct Stop<'a>(&'a Cell<bool>);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
