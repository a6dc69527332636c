//! Deadlines. The host has no time-outs: it waits for Redis, and for the rest of a request, for
//! ever.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;

use super::notify::{self, Notifier};
use super::task::spawn;

/// The host timer runs for at most 20 ms at a time: it outlives the request that started it, and
/// keeps the instance alive. A deadline may be late by as much.
const TICK: u64 = 20_000_000;

/// One host timer for everything that an instance has in flight. A timer for each operation would
/// be the most expensive part of a lookup, because setting one wakes a thread of the host.
#[derive(Default)]
pub(crate) struct Timer {
    alarms: RefCell<Vec<Alarm>>,
    /// How many alarms were set so far: the number of the next one.
    count: Cell<u64>,
    runs: Cell<bool>,
}

/// A task to wake.
struct Alarm {
    number: u64,
    /// When, by the monotonic clock, in nanoseconds.
    until: u64,
    _wakes: Notifier,
}

/// A moment that an operation must not outlast.
pub(crate) struct Deadline {
    timer: Rc<Timer>,
    begun: u64,
    at: u64,
}

impl Timer {
    /// Returns the deadline `timeout` from now.
    pub(crate) fn deadline(self: &Rc<Self>, timeout: Duration) -> Deadline {
        let now = monotonic_clock::now();
        Deadline {
            timer: Rc::clone(self),
            begun: now,
            at: after(now, timeout),
        }
    }

    /// Wakes all tasks that wait, to look whether they still should.
    pub(crate) fn ring(&self) {
        self.alarms.borrow_mut().clear();
    }

    /// Wakes tasks when their time has come, until no task waits.
    async fn run(self: Rc<Self>) {
        // If the host ends this task with its request, all tasks wake: the first of them runs the
        // timer again.
        let _stops = StopsTimer(Rc::clone(&self));
        loop {
            let now = monotonic_clock::now();
            let next = {
                let mut alarms = self.alarms.borrow_mut();
                alarms.retain(|alarm| alarm.until > now);
                alarms.iter().map(|alarm| alarm.until).min()
            };
            let Some(next) = next else {
                return;
            };
            monotonic_clock::wait_for(TICK.min(next - now)).await;
        }
    }
}

struct StopsTimer(Rc<Timer>);

impl Drop for StopsTimer {
    fn drop(&mut self) {
        self.0.runs.set(false);
        self.0.alarms.borrow_mut().clear();
    }
}

impl Deadline {
    /// Returns when the operation began, by the monotonic clock, in nanoseconds.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// Returns true if less than half of the time is left.
    pub(crate) fn is_half_over(&self) -> bool {
        monotonic_clock::now() > self.begun + (self.at - self.begun) / 2
    }

    /// Returns this deadline or `timeout` from now, whichever comes first.
    pub(crate) fn at_most(&self, timeout: Duration) -> Self {
        let now = monotonic_clock::now();
        Self {
            timer: Rc::clone(&self.timer),
            begun: self.begun,
            at: self.at.min(after(now, timeout)),
        }
    }

    /// Returns the same deadline for an operation that begins only now.
    pub(crate) fn restarted(self) -> Self {
        Self {
            begun: monotonic_clock::now(),
            ..self
        }
    }

    /// Returns the result of `work`. If the deadline comes first, drops the work and returns none. The
    /// caller pins the work, or this future would hold it twice.
    pub(crate) fn race<T>(
        &self,
        work: impl Future<Output = T> + Unpin,
    ) -> impl Future<Output = Option<T>> {
        self.race_unless(|| false, work)
    }

    /// Does the same, and also drops the work if [`Timer::ring`] wakes it and it `is_futile`.
    pub(crate) async fn race_unless<T>(
        &self,
        is_futile: impl Fn() -> bool,
        mut work: impl Future<Output = T> + Unpin,
    ) -> Option<T> {
        let mut bell = None;
        poll_fn(|context| {
            if let Poll::Ready(result) = Pin::new(&mut work).poll(context) {
                return Poll::Ready(Some(result));
            }
            loop {
                let bell_now = bell.get_or_insert_with(|| self.bell(context));
                match bell_now.rings.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) if monotonic_clock::now() >= self.at || is_futile() => {
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
        let (notifier, notified) = notify::pair();
        timer.alarms.borrow_mut().push(Alarm {
            number,
            until: self.at,
            _wakes: notifier,
        });
        if !timer.runs.replace(true) {
            spawn(Rc::clone(&timer).run());
            // The host polls a new task when it polls this one, and not before.
            context.waker().wake_by_ref();
        }
        Bell {
            rings: Box::pin(notified.wait()),
            number,
            timer,
        }
    }
}

/// Waits for an alarm, which also goes off when the timer stops. Dropping the bell clears it.
struct Bell {
    rings: Pin<Box<dyn Future<Output = ()>>>,
    number: u64,
    timer: Rc<Timer>,
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut alarms = self.timer.alarms.borrow_mut();
        alarms.retain(|alarm| alarm.number != self.number);
    }
}

fn after(now: u64, timeout: Duration) -> u64 {
    now.saturating_add(nanoseconds(timeout))
}

/// Converts a duration to nanoseconds, which the host's clock counts in.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
