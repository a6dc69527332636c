//! Tasks beside the request that starts them.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;

use super::trace;

thread_local! {
    static SPAWNED: Cell<u64> = const { Cell::new(0) };
}

/// Runs `work` beside the current request and on behalf of its caller, who may get an answer before
/// the work ends. The work is first polled when the current task yields.
pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    SPAWNED.set(spawned() + 1);
    // It ends up in a box anyway. Boxed here, `within` is compiled once and not for each kind of
    // work.
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    spin_sdk::wasip3::spawn(trace::within(trace::caller(), work));
}

/// Returns how many tasks this instance has started so far.
pub fn spawned() -> u64 {
    SPAWNED.get()
}
