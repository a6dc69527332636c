//! Tasks beside the request that starts them.

use std::future::Future;
use std::pin::Pin;

use spin_sdk::wasip3::clocks::monotonic_clock;

use super::trace;

/// By now the answer of a request has left, in nanoseconds.
const ANSWERED: u64 = 2_000_000;

/// Runs `work` beside the current request and on behalf of its caller, who may get an answer before
/// the work ends. The work is first polled when the current task yields.
pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    // It ends up in a box anyway. Boxed here, `within` is compiled once and not for each kind of
    // work.
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    spin_sdk::wasip3::spawn(trace::within(trace::caller(), work));
}

/// Runs `work` when the answer of the current request has left.
///
/// The store of the host blocks its thread. Before that, this would part the head of the answer from
/// its body, and the body would wait for 40 ms (`docs/upstream.md`).
pub(crate) fn spawn_after_answer(work: impl Future<Output = ()> + 'static) {
    spawn(async move {
        monotonic_clock::wait_for(ANSWERED).await;
        work.await;
    });
}
