//! Tasks of their own, beside the request that starts them.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;

use crate::trace;

thread_local! {
    static SPAWNED: Cell<u64> = const { Cell::new(0) };
}

/// Runs `work` beside the current request, and for its caller, who may be answered before it
/// ends. It is first polled when the current task yields.
pub fn spawn(work: impl Future<Output = ()> + 'static) {
    SPAWNED.set(spawned() + 1);
    // In a box, as it ends up anyway: then `within` is there once, and not for each kind of work.
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    spin_sdk::wasip3::spawn(trace::within(trace::caller(), work));
}

/// How many were started in this instance so far.
pub fn spawned() -> u64 {
    SPAWNED.get()
}
