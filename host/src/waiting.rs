//! How many calls of a component wait for Redis, or for an answer over HTTP.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The calls that wait at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

/// One of them. Dropping it ends it.
pub(crate) struct Call(Waiting);

impl Waiting {
    pub(crate) fn begin(&self) -> Call {
        self.0.fetch_add(1, Ordering::SeqCst);
        Call(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}
