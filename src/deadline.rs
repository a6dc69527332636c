//! The time by which something must have ended. Nothing below has a time-out: the host waits
//! for Redis, and for the rest of a request, for ever.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;
use spin_sdk::wasip3::wit_stream;
use spin_sdk::wit_bindgen::rt::async_support::StreamWriter;

use crate::task::spawn;

/// The host timer runs for no longer than this at a time, for it outlives the request that
/// started it, and with it the instance: 20 ms. It is also how late it may ring.
const TICK: u64 = 20_000_000;

/// One host timer, shared by all that an instance has in flight. A timer for each
/// operation would be the dearest part of a lookup: to set one wakes a thread of the host.
#[derive(Default)]
pub struct Timer {
    /// Those who wait, by when they must be woken. Dropping a writer wakes its reader:
    /// see [`crate::flight`].
    waiting: RefCell<Vec<Waiting>>,
    /// How many waited so far.
    count: Cell<u64>,
    runs: Cell<bool>,
}

struct Waiting {
    number: u64,
    until: u64,
    _wakes: StreamWriter<u8>,
}

/// A moment that an operation must not outlast.
pub struct Deadline {
    timer: Rc<Timer>,
    begun: u64,
    at: u64,
}

impl Timer {
    /// The deadline `timeout` from now.
    pub fn deadline(self: &Rc<Self>, timeout: Duration) -> Deadline {
        let now = monotonic_clock::now();
        Deadline {
            timer: Rc::clone(self),
            begun: now,
            at: after(now, timeout),
        }
    }

    /// Wakes those whose time has come, until nobody waits.
    async fn run(self: Rc<Self>) {
        // Ended with its request, it wakes all: the first of them runs the timer again.
        let _stopped = Stop(Rc::clone(&self));
        loop {
            let now = monotonic_clock::now();
            let next = {
                let mut waiting = self.waiting.borrow_mut();
                waiting.retain(|one| one.until > now);
                waiting.iter().map(|one| one.until).min()
            };
            let Some(next) = next else {
                return;
            };
            monotonic_clock::wait_for(TICK.min(next - now)).await;
        }
    }
}

struct Stop(Rc<Timer>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.runs.set(false);
        self.0.waiting.borrow_mut().clear();
    }
}

impl Deadline {
    /// When its operation began, by the monotonic clock, in nanoseconds.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Whether less than half of the time is left.
    pub fn is_half_over(&self) -> bool {
        monotonic_clock::now() > self.begun + (self.at - self.begun) / 2
    }

    /// This deadline, or `timeout` from now, whichever comes first.
    pub fn at_most(&self, timeout: Duration) -> Self {
        let now = monotonic_clock::now();
        Self {
            timer: Rc::clone(&self.timer),
            begun: self.begun,
            at: self.at.min(after(now, timeout)),
        }
    }

    /// This deadline, for an operation that begins only now.
    pub fn from_now(self) -> Self {
        Self {
            begun: monotonic_clock::now(),
            ..self
        }
    }

    /// What `work` comes to, or none if the deadline comes first; then the work is dropped.
    pub async fn race<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut bell = None;
        poll_fn(|context| {
            if let Poll::Ready(result) = work.as_mut().poll(context) {
                return Poll::Ready(Some(result));
            }
            loop {
                let bell_now = bell.get_or_insert_with(|| self.bell(context));
                match bell_now.rings.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) if monotonic_clock::now() >= self.at => {
                        return Poll::Ready(None);
                    }
                    Poll::Ready(()) => bell = None,
                }
            }
        })
        .await
    }

    fn bell(&self, context: &Context<'_>) -> Bell {
        let timer = Rc::clone(&self.timer);
        let number = timer.count.get();
        timer.count.set(number + 1);
        let (writer, mut reader) = wit_stream::new();
        timer.waiting.borrow_mut().push(Waiting {
            number,
            until: self.at,
            _wakes: writer,
        });
        if !timer.runs.replace(true) {
            spawn(Rc::clone(&timer).run());
            // What is spawned is polled when this task is, and not before.
            context.waker().wake_by_ref();
        }
        let rings = Box::pin(async move {
            reader.next().await;
        });
        Bell {
            rings,
            number,
            timer,
        }
    }
}

/// Rings when its moment has come, or when the timer was stopped.
struct Bell {
    rings: Pin<Box<dyn Future<Output = ()>>>,
    number: u64,
    timer: Rc<Timer>,
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut waiting = self.timer.waiting.borrow_mut();
        waiting.retain(|one| one.number != self.number);
    }
}

fn after(now: u64, timeout: Duration) -> u64 {
    now.saturating_add(nanoseconds(timeout))
}

/// A duration as the host's clock counts it: in nanoseconds.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
