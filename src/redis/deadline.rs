//! The time by which an operation must have ended.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;

/// A host timer that runs from the moment it is made, because nothing below it has a
/// time-out: Spin waits for Redis for ever.
pub struct Deadline(Pin<Box<dyn Future<Output = ()>>>);

impl Deadline {
    /// The deadline `timeout` from now.
    pub fn after(timeout: Duration) -> Self {
        let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Self(Box::pin(monotonic_clock::wait_for(nanoseconds)))
    }

    /// What `work` comes to, or none if the deadline comes first; then the work is dropped.
    pub async fn race<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => self.0.as_mut().poll(context).map(|()| None),
        })
        .await
    }
}
