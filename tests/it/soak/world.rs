//! What the tasks of a run share: keys with their histories, losses, counts, violations.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use provider_connection_origin::Origin;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::model::{Effect, History, Loss, Moment, Outcome, Read, Seen, Violation};
use crate::support::connection::{entry, id};

/// A key is replaced by a fresh one after so many operations, or so many since one of which
/// it is not known whether it took effect.
const LONGEST_HISTORY: usize = 200;
const LONGEST_SINCE_UNKNOWN: usize = 3;

/// A key under test.
pub struct Key {
    /// The id of the connection.
    pub id: String,
    history: Mutex<History>,
}

impl Key {
    /// Never written. If there is an origin, its database does not have it.
    fn new(number: usize, reads_through: bool, now: Moment) -> Arc<Self> {
        let id = id(number);
        let mut history = History::new(id.clone());
        if reads_through {
            history.say(None, now);
        }
        let history = Mutex::new(history);
        Arc::new(Self { id, history })
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    fn is_spent(&self) -> bool {
        let history = self.history();
        history.len() >= LONGEST_HISTORY
            || history
                .since_unknown()
                .is_some_and(|count| count >= LONGEST_SINCE_UNKNOWN)
    }
}

/// The connection that holds a value: in its alias, and in its credentials.
pub fn entry_of(id: &str, value: &str) -> Value {
    let mut entry = entry(id);
    entry["alias"] = value.into();
    entry["credentials"]["encrypted_data"] = value.into();
    entry
}

/// One run.
pub struct World {
    began: Instant,
    keys: Vec<Mutex<Arc<Key>>>,
    keys_made: AtomicUsize,
    values_made: AtomicUsize,
    losses: Mutex<Vec<Loss>>,
    violations: Mutex<Vec<String>>,
    is_over: watch::Sender<bool>,
    staleness: Duration,
    origin: Option<Origin>,
    /// How often what happened.
    pub counts: Counts,
}

impl World {
    /// So many keys, never written. Answers may be older by `staleness`.
    pub fn new(keys: usize, staleness: Duration, origin: Option<Origin>) -> Self {
        let new_key = |number| Key::new(number, origin.is_some(), Moment::ZERO);
        Self {
            began: Instant::now(),
            keys: (0..keys)
                .map(|number| Mutex::new(new_key(number)))
                .collect(),
            keys_made: AtomicUsize::new(keys),
            values_made: AtomicUsize::new(0),
            losses: Mutex::default(),
            violations: Mutex::default(),
            is_over: watch::Sender::new(false),
            staleness,
            origin,
            counts: Counts::default(),
        }
    }

    /// The moment.
    pub fn now(&self) -> Moment {
        self.began.elapsed()
    }

    /// Ends the run.
    pub fn end(&self) {
        self.is_over.send_replace(true);
    }

    /// Whether the run has ended.
    pub fn is_over(&self) -> bool {
        *self.is_over.borrow()
    }

    /// Waits for so long, or until the run has ended.
    pub async fn wait(&self, time: Duration) {
        let mut is_over = self.is_over.subscribe();
        let _ = timeout(time, is_over.wait_for(|is_over| *is_over)).await;
    }

    /// How many keys there are at a time.
    pub fn slots(&self) -> usize {
        self.keys.len()
    }

    /// The key that has this place now.
    pub fn key(&self, slot: usize) -> Arc<Key> {
        Arc::clone(&self.keys[slot].lock().unwrap())
    }

    /// Puts a fresh key in the place of one that can tell little more.
    pub fn replace_if_spent(&self, slot: usize) {
        let mut key = self.keys[slot].lock().unwrap();
        if key.is_spent() {
            let number = self.keys_made.fetch_add(1, Ordering::Relaxed);
            *key = Key::new(number, self.origin.is_some(), self.now());
        }
    }

    /// A value that no other operation writes.
    pub fn fresh_value(&self) -> String {
        format!("value {}", self.values_made.fetch_add(1, Ordering::Relaxed))
    }

    /// The origin, if there is one.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The database of the origin, if there is one, says this from now on; none if it has no such
    /// connection. What it said before may be read up to the end of this call, and no write of the key
    /// begins before that.
    pub fn say(&self, key: &Key, value: Option<&str>) {
        let Some(origin) = &self.origin else {
            return;
        };
        let mut history = key.history();
        history.say(value.map(str::to_owned), self.now());
        let said = match value {
            Some(value) => origin.insert(&entry_of(&key.id, value)),
            None => origin.remove(&key.id).map(drop),
        };
        said.expect("the database takes it");
        self.counts.changes.add();
    }

    /// An operation is about to be sent.
    pub fn begin(&self, key: &Key, effect: Effect) -> Moment {
        let mut history = key.history();
        let start = self.now();
        history.begin(effect, start);
        start
    }

    /// It has ended.
    pub fn end_operation(&self, key: &Key, outcome: Outcome) {
        let mut history = key.history();
        // A key has one writer.
        let last = history.len() - 1;
        history.end(last, outcome, self.now());
    }

    /// Checks what was seen between `start` and now.
    pub fn check(&self, key: &Key, start: Moment, seen: Seen) {
        let end = self.now();
        // Nor is an answer through the host of a write always newer (docs/edge-cache.md).
        let host = None;
        let read = Read {
            start,
            end,
            seen,
            host,
        };
        let (history, losses) = (key.history(), self.losses.lock().unwrap());
        if !history.explains(&read, &losses, self.staleness) {
            let violation = Violation {
                read: &read,
                history: &history,
                losses: &losses,
            };
            self.violation(violation.to_string());
        }
    }

    /// Ends the run with what must not be.
    pub fn violation(&self, violation: String) {
        self.violations.lock().unwrap().push(violation);
        self.end();
    }

    /// What must not be, and was.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    /// Ends Redis, which keeps nothing.
    pub fn lose(&self, end_redis: impl FnOnce()) {
        let (start, end) = (self.now(), None);
        self.losses.lock().unwrap().push(Loss { start, end });
        end_redis();
        if let Some(loss) = self.losses.lock().unwrap().last_mut() {
            loss.end = Some(self.now());
        }
    }
}

macro_rules! counts {
    ($($name:ident: $shown:literal,)*) => {
        /// How often what happened.
        #[derive(Default)]
        pub struct Counts {
            $(#[doc = $shown] pub $name: Count,)*
        }

        impl fmt::Display for Counts {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:>10} {}", self.$name.get(), $shown)?;)*
                Ok(())
            }
        }
    };
}

counts! {
    hits: "reads: hits",
    misses: "reads: misses",
    failed_open: "reads: failed open",
    not_found: "reads: not found (origin)",
    read_through: "reads: from the origin",
    stale: "reads: stale",
    origin_failed: "reads: the origin failed",
    stored: "writes: acknowledged",
    not_stored: "writes: unknown (503)",
    refused: "writes: refused (400)",
    deleted: "deletes: acknowledged",
    not_deleted: "deletes: unknown (503)",
    changes: "origin: database changed",
    kills: "faults: Redis killed",
    restarts: "faults: Redis restarted",
    pauses: "faults: Redis paused",
    disconnections: "faults: clients killed",
    failovers: "faults: failed over",
    origin_errors: "faults: origin answers 5xx",
    origin_hangs: "faults: origin hangs",
    origin_cuts: "faults: origin cuts its answers",
    origin_delays: "faults: origin is slow",
    origin_garbage: "faults: origin answers nonsense",
}

/// A number that tasks count up together.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many by now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
