//! Tasks beside the request that starts them.

use std::future::Future;
use std::pin::Pin;

use super::trace;

/// Runs `work` beside the current request and on behalf of its caller, who may get an answer before
/// the work ends. The work is first polled when the current task yields.
pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    // It ends up in a box anyway. Boxed here, `within` is compiled once and not for each kind of
    // work.
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    spin_sdk::wasip3::spawn(trace::within(trace::caller(), work));
}
