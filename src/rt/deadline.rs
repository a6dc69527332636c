//! Deadlines. The host has no time-outs: it waits for Redis, and for the rest of a request, for
//! ever.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;

use super::notify::{self, Notified, Notifier};
use super::task::spawn;

/// The host timer runs for at most 50 ms at a time, because it outlives the request that started it, and
/// keeps the instance alive. Under load the instance has served its 128 requests by then, so that none of them
/// follows the wake-up. On Spin beside other work, with 20 ms, one caller had 16 % fewer lookups per second; on
/// an idle machine it made no difference.
pub(crate) const LONGEST_RUN: Duration = Duration::from_millis(50);

/// A deadline may be late by 20 ms, in nanoseconds.
const LATENESS: u64 = 20_000_000;

/// One host timer for everything that an instance has in flight. A timer for each operation would
/// be the most expensive part of a lookup, because setting one wakes a thread of the host.
#[derive(Default)]
pub(crate) struct Timer {
    waits: RefCell<Vec<Wait>>,
    /// The number of the next wait or run.
    count: Cell<u64>,
    run: Cell<Option<Run>>,
    /// What deadlines that were met leave to the next ones. A new pair takes three calls into the host: on
    /// Spin 2 % of the lookups per second at 16 callers.
    unused: RefCell<Vec<(Notifier, Notified)>>,
}

/// A task to wake.
struct Wait {
    number: u64,
    /// When, by the monotonic clock, in nanoseconds.
    until: u64,
    wakes: Notifier,
}

/// The run of the host timer that counts. Another one ends when it wakes.
#[derive(Clone, Copy)]
struct Run {
    number: u64,
    /// When it ends, by the monotonic clock, in nanoseconds.
    until: u64,
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
        self.waits.borrow_mut().clear();
    }

    fn next_number(&self) -> u64 {
        self.count.replace(self.count.get() + 1)
    }

    fn set_alarm(self: &Rc<Self>, until: u64) -> Alarm {
        let number = self.next_number();
        let (wakes, notified) = self.unused.borrow_mut().pop().unwrap_or_else(notify::pair);
        self.waits.borrow_mut().push(Wait {
            number,
            until,
            wakes,
        });
        Alarm {
            timer: Rc::clone(self),
            number,
            notified: Some(notified),
        }
    }

    /// Runs the timer, unless it ends in time anyway. The host polls a new task when it polls the one in
    /// this context, and not before.
    fn run_until(self: &Rc<Self>, until: u64, context: &Context<'_>) {
        let latest = until.saturating_add(LATENESS);
        if self.run.get().is_none_or(|run| run.until > latest) {
            let number = self.next_number();
            self.run.set(Some(Run { number, until }));
            spawn(Rc::clone(self).run(number));
            context.waker().wake_by_ref();
        }
    }

    /// Wakes tasks when their time has come, until no task waits, or another run does it.
    async fn run(self: Rc<Self>, number: u64) {
        // If the host ends this task with its request, all tasks wake: the first of them runs the
        // timer again.
        let ends = EndsRun(self, number);
        while ends.is_current() {
            let EndsRun(timer, _) = &ends;
            let now = monotonic_clock::now();
            let next = {
                let mut waits = timer.waits.borrow_mut();
                waits.retain(|wait| wait.until > now);
                waits.iter().map(|wait| wait.until).min()
            };
            let Some(next) = next else {
                return;
            };
            let pause = nanoseconds(LONGEST_RUN).min(next - now);
            let until = now + pause;
            timer.run.set(Some(Run { number, until }));
            monotonic_clock::wait_for(pause).await;
        }
    }
}

/// Ends a run of the timer, if it still counts, when it is dropped.
struct EndsRun(Rc<Timer>, u64);

impl EndsRun {
    fn is_current(&self) -> bool {
        let Self(timer, number) = self;
        timer.run.get().is_some_and(|run| run.number == *number)
    }
}

impl Drop for EndsRun {
    fn drop(&mut self) {
        if self.is_current() {
            self.0.run.set(None);
            self.0.waits.borrow_mut().clear();
        }
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

    /// Returns the result of `work`, or none if the deadline comes first.
    pub(crate) async fn race<T>(&self, work: Pin<&mut dyn Future<Output = T>>) -> Option<T> {
        self.race_unless(&|| false, work).await
    }

    /// Does the same, and also gives the work up if [`Timer::ring`] wakes it and it `is_futile`.
    pub(crate) async fn race_unless<T>(
        &self,
        is_futile: &dyn Fn() -> bool,
        mut work: Pin<&mut dyn Future<Output = T>>,
    ) -> Option<T> {
        loop {
            let mut alarm = self.timer.set_alarm(self.at);
            let mut rings: Pin<&mut dyn Future<Output = ()>> = pin!(alarm.rings());
            let result = poll_fn(|context| {
                if let Poll::Ready(result) = work.as_mut().poll(context) {
                    return Poll::Ready(Some(result));
                }
                self.timer.run_until(self.at, context);
                rings.as_mut().poll(context).map(|()| None)
            });
            let result = result.await;
            if result.is_some() || monotonic_clock::now() >= self.at || is_futile() {
                return result;
            }
        }
    }
}

/// An alarm, which also rings when the timer stops. Dropping it clears it.
struct Alarm {
    timer: Rc<Timer>,
    number: u64,
    /// None once it is dropped.
    notified: Option<Notified>,
}

impl Alarm {
    async fn rings(&mut self) {
        if let Some(notified) = &mut self.notified {
            notified.wait().await;
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut waits = self.timer.waits.borrow_mut();
        let position = waits.iter().position(|wait| wait.number == self.number);
        let unused = position.map(|position| waits.swap_remove(position).wakes);
        self.timer
            .unused
            .borrow_mut()
            .extend(unused.zip(self.notified.take()));
    }
}

fn after(now: u64, timeout: Duration) -> u64 {
    now.saturating_add(nanoseconds(timeout))
}

/// Converts a duration to nanoseconds, which the host's clock counts in.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
