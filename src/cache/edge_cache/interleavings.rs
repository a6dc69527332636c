//! Every order in which the store can carry out what reads and writes of one connection send to it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::slot::{Answer, Slot};
use super::{EdgeCache, Known};
use crate::connection::{Id, Timestamp, entry};
use crate::edge_store::{KeyValue, NotSet};
use crate::redis::Keyspace;

const NOW: Timestamp = Timestamp::MIN;

fn id() -> Id {
    Id::parse("id", "0192f3a4-5b6c-7d8e-9f00-000000000001").unwrap()
}

/// Waits until the schedule gives the actor its next turn.
async fn turn() {
    let mut waited = false;
    poll_fn(|_| match std::mem::replace(&mut waited, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// The store of the host: each call is one turn.
#[derive(Default)]
struct Store {
    values: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Whether it says of an answer that it did not take it, although it did: it was too slow.
    is_slow: Cell<bool>,
}

impl KeyValue for Store {
    async fn get(&self, key: &str) -> Option<Vec<u8>> {
        turn().await;
        self.values.borrow().get(key).cloned()
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), NotSet> {
        turn().await;
        let mut values = self.values.borrow_mut();
        values.insert(key.to_owned(), value.to_vec());
        let is_answer = matches!(Slot::decode(id(), value, NOW), Some(Slot::Kept { .. }));
        match is_answer && self.is_slow.get() {
            true => Err(NotSet),
            false => Ok(()),
        }
    }
}

/// Redis and the store, and who acts on them.
struct World {
    edge: EdgeCache<Store>,
    id: Id,
    /// How many writes Redis holds the last of.
    redis: Cell<u64>,
    /// How many writes have been acknowledged.
    acknowledged: Cell<u64>,
}

type Actor = Pin<Box<dyn Future<Output = ()>>>;

impl World {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            edge: EdgeCache {
                store: Store::default(),
                keyspace: Keyspace::new(""),
                slots: NonZeroU32::MIN,
                ttl: Duration::from_secs(60),
                refresh: Duration::from_secs(1),
            },
            id: id(),
            redis: Cell::new(0),
            acknowledged: Cell::new(0),
        })
    }

    /// The answer after so many writes.
    fn answer(&self, writes: u64) -> Answer {
        let text = format!(
            r#"{{"id":"{0}","user_id":"{0}","provider_id":"{0}","provider_slug":"bank",
            "status":"pending","alias":"{writes}","created_at":"2026-01-01T00:00:00+00:00",
            "updated_at":"2026-01-01T00:00:00+00:00"}}"#,
            self.id
        );
        let connection = entry::decode_stored(self.id, text.as_bytes()).unwrap();
        Answer::Summary(Box::new(connection.summarize(NOW)))
    }

    /// A lookup that misses: it reads Redis, and keeps what it read.
    fn read(self: &Rc<Self>) -> Actor {
        let world = Rc::clone(self);
        Box::pin(async move {
            let start = world.edge.begin(world.id, NOW).await;
            turn().await;
            let answer = world.answer(world.redis.get());
            world.edge.keep(start, world.id, answer, None).await;
        })
    }

    /// A write: Redis carries it out, the store takes note, and the caller learns of it.
    fn write(self: &Rc<Self>, number: u64) -> Actor {
        let world = Rc::clone(self);
        Box::pin(async move {
            turn().await;
            let writes = world.redis.get() + 1;
            world.redis.set(writes);
            world.edge.forget(world.id, NOW, number).await.unwrap();
            world.acknowledged.set(world.acknowledged.get().max(writes));
        })
    }

    /// How many writes the answer in the slot is from, if there is one.
    fn kept(&self) -> Option<u64> {
        let mut get = Box::pin(self.edge.get(self.id, NOW));
        let mut known = None;
        for _ in 0..2 {
            if let Poll::Ready(done) = poll(get.as_mut()) {
                known = Some(done);
                break;
            }
        }
        match known? {
            Known::Summary { summary, .. } => summary.alias?.into_inner().parse().ok(),
            _ => None,
        }
    }

    /// Returns true if the slot answers what was before an acknowledged write.
    fn is_too_old(&self) -> bool {
        self.kept()
            .is_some_and(|writes| writes < self.acknowledged.get())
    }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What the schedules of a scenario led to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    schedules: usize,
    /// Schedules after which the slot answered too old for ever.
    too_old_at_the_end: usize,
    /// Schedules in which it did so for some turns.
    too_old_for_a_while: usize,
}

/// Runs every schedule of the actors, depth first, each from the beginning.
fn explore(actors: impl Fn(&Rc<World>) -> Vec<Actor>) -> Found {
    let mut found = Found::default();
    // At each turn, which of the actors that still run has it; in the next run, from the beginning.
    let mut schedule: Vec<usize> = Vec::new();
    loop {
        let world = World::new();
        let mut running = actors(&world);
        for actor in &mut running {
            assert!(poll(actor.as_mut()).is_pending(), "it waits for its turn");
        }
        let mut turns = Vec::new();
        let mut too_old = 0;
        while !running.is_empty() {
            let choice = schedule.get(turns.len()).copied().unwrap_or(0);
            turns.push((choice, running.len()));
            if poll(running[choice].as_mut()).is_ready() {
                drop(running.remove(choice));
            }
            too_old += usize::from(world.is_too_old());
        }
        found.schedules += 1;
        found.too_old_at_the_end += usize::from(world.is_too_old());
        found.too_old_for_a_while += usize::from(too_old > 0);
        let last = turns.iter().rposition(|(choice, of)| choice + 1 < *of);
        let Some(last) = last else {
            return found;
        };
        schedule = turns[..last].iter().map(|(choice, _)| *choice).collect();
        schedule.push(turns[last].0 + 1);
    }
}

#[test]
fn a_read_beside_a_write_leaves_no_older_answer_behind() {
    let found = explore(|world| vec![world.read(), world.write(1)]);
    assert_eq!(found.too_old_at_the_end, 0);
    // Both calls of the write come between the last look of the read and what it sets. The read takes
    // it back with its next two calls.
    assert!(found.too_old_for_a_while > 0);
}

#[test]
fn nor_do_two_reads_beside_a_write_or_a_read_beside_two_writes() {
    for found in [
        explore(|world| vec![world.read(), world.read(), world.write(1)]),
        explore(|world| vec![world.read(), world.write(1), world.write(2)]),
    ] {
        assert_eq!(found.too_old_at_the_end, 0, "{found:?}");
    }
}

/// What the store says of an answer may be wrong. What it says of a write is told to its caller.
#[test]
fn a_read_takes_an_older_answer_back_that_the_store_took_too_late_to_say_so() {
    let found = explore(|world| {
        world.edge.store.is_slow.set(true);
        vec![world.read(), world.write(1)]
    });
    assert_eq!(found.too_old_at_the_end, 0, "{found:?}");
}

/// An instance that ends while it takes an answer back leaves it there, for as long as an answer is
/// kept.
#[test]
fn an_instance_that_ends_in_between_leaves_an_older_answer_until_it_runs_out() {
    let world = World::new();
    let mut read = world.read();
    // Looks for a write, reads Redis, and looks again.
    for _ in 0..4 {
        assert!(poll(read.as_mut()).is_pending());
    }
    let mut write = world.write(1);
    while poll(write.as_mut()).is_pending() {}
    assert!(poll(read.as_mut()).is_pending(), "it set the older answer");
    drop(read);
    assert!(world.is_too_old());
    let later = NOW.after(Duration::from_secs(60));
    let mut get = Box::pin(world.edge.get(world.id, later));
    assert!(poll(get.as_mut()).is_pending());
    assert!(matches!(poll(get.as_mut()), Poll::Ready(Known::Nothing)));
}

/// Without the numbers that writes leave, an older answer stays: these tests can fail.
#[test]
fn a_read_that_does_not_look_for_writes_leaves_an_older_answer_behind() {
    let found = explore(|world| {
        let reader = Rc::clone(world);
        let read = async move {
            turn().await;
            let answer = reader.answer(reader.redis.get());
            let slot = Slot::Kept {
                answer,
                from: NOW,
                until: NOW.after(Duration::from_secs(60)),
            };
            let key = reader.edge.keyspace.edge("slot", 0);
            let _ = reader.edge.store.set(&key, &slot.encode()).await;
        };
        vec![Box::pin(read), world.write(1)]
    });
    assert!(found.too_old_at_the_end > 0, "{found:?}");
}
