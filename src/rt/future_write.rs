//! A write to a future of the component model that a cancelled call may leave undone.
//!
//! A writer that is dropped writes its default. In wit-bindgen 0.57, which the SDK pins, that goes on in the
//! background, and the task of a call that its caller cancels meanwhile traps (`docs/upstream.md`, 15).

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};

use spin_sdk::wit_bindgen::rt::async_support::{FutureWrite, FutureWriteCancel, FutureWriter};

/// A write that is under way.
pub(crate) struct Write<T: 'static>(Option<Pin<Box<FutureWrite<T>>>>);

impl<T> Write<T> {
    pub(crate) fn new(writer: FutureWriter<T>, value: T) -> Self {
        Self(Some(Box::pin(writer.write(value))))
    }

    /// Writes while the work goes on, and returns what that returns.
    pub(crate) async fn beside<W: Future>(mut self, work: W) -> W::Output {
        let mut work = pin!(work);
        let done = poll_fn(|context| {
            if let Some(write) = &mut self.0
                && write.as_mut().poll(context).is_ready()
            {
                self.0 = None;
            }
            work.as_mut().poll(context)
        });
        let done = done.await;
        // Nobody has cancelled it, so the rest may be written in the background.
        drop(self.0.take());
        done
    }
}

impl<T> Drop for Write<T> {
    fn drop(&mut self) {
        if let Some(write) = &mut self.0
            && let FutureWriteCancel::Cancelled(_, writer) = write.as_mut().cancel()
        {
            // It would write its default. The instance keeps a handle for each that is forgotten.
            mem::forget(writer);
        }
    }
}
