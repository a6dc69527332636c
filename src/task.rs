//! Tasks of their own, beside the request that starts them.

use std::cell::Cell;
use std::future::Future;

thread_local! {
    static SPAWNED: Cell<u64> = const { Cell::new(0) };
}

/// Runs `work` beside the current request, which may be answered before it ends. It is
/// first polled when the current task yields.
pub fn spawn(work: impl Future<Output = ()> + 'static) {
    SPAWNED.set(spawned() + 1);
    spin_sdk::wasip3::spawn(work);
}

/// How many were started in this instance so far.
pub fn spawned() -> u64 {
    SPAWNED.get()
}
