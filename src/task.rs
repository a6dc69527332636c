//! Tasks of their own, beside the request that starts them.

use std::future::Future;
use std::pin::Pin;

use crate::trace;

/// Runs `work` beside the current request, and for its caller, who may be answered before it
/// ends. It is first polled when the current task yields.
pub fn spawn(work: impl Future<Output = ()> + 'static) {
    // In a box, as it ends up anyway: then `within` is there once, and not for each kind of work.
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    spin_sdk::wasip3::spawn(trace::within(trace::caller(), work));
}
