//! How long the parts of a lookup take, for those who want to know.
//!
//! The record stands beside the task that is polled, as the caller does in [`super::trace`]. If nobody
//! wants to know there is none, and a part of the work looks for it once and reads no clock.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use spin_sdk::wasip3::clocks::monotonic_clock;

use super::current::with_current;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Timings>>> = const { RefCell::new(None) };
}

/// A part of the work.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// The whole lookup.
    Lookup,
    /// Commands of Redis, and connecting to it.
    Redis,
    /// Requests to the origin.
    Origin,
}

/// How long the parts of one piece of work took together, in nanoseconds. None if there was none.
#[derive(Default)]
pub(crate) struct Timings([Cell<Option<u64>>; 3]);

impl Timings {
    /// Returns the time of a part.
    pub(crate) fn of(&self, part: Part) -> Option<u64> {
        self.0[part as usize].get()
    }

    fn add(&self, part: Part, took: u64) {
        self.0[part as usize].update(|sum| Some(sum.unwrap_or(0).saturating_add(took)));
    }
}

/// Does the work, and records how long its parts take. Tasks that it starts are not among them. The caller
/// pins the work, or this future would hold it twice.
pub(crate) async fn record<T>(work: impl Future<Output = T> + Unpin) -> (T, Rc<Timings>) {
    let timings = Rc::<Timings>::default();
    let result = with_current(&CURRENT, Some(Rc::clone(&timings)), work);
    (result.await, timings)
}

/// Begins a part of the work, which ends when the result is dropped.
#[inline(never)]
pub(crate) fn begin(part: Part) -> Option<UnderWay> {
    let timings = CURRENT.with_borrow(Option::clone)?;
    Some(UnderWay {
        timings,
        part,
        since: monotonic_clock::now(),
    })
}

/// A part of the work that has not ended.
pub(crate) struct UnderWay {
    timings: Rc<Timings>,
    part: Part,
    since: u64,
}

impl Drop for UnderWay {
    #[inline(never)]
    fn drop(&mut self) {
        let took = monotonic_clock::now().saturating_sub(self.since);
        self.timings.add(self.part, took);
    }
}
