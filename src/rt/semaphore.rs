//! A semaphore: limits how much is in memory at a time.

use std::cell::Cell;

use super::notify::Waiters;

/// Hands out permits. A task that finds too few of them waits.
pub(crate) struct Semaphore {
    free: Cell<usize>,
    waiters: Waiters,
}

/// Gives its permits back when it is dropped.
pub(crate) struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

impl Semaphore {
    pub(crate) fn new(permits: usize) -> Self {
        Self {
            free: Cell::new(permits),
            waiters: Waiters::default(),
        }
    }

    /// Takes `count` permits. There must be as many in all.
    ///
    /// There is no queue: the first task to ask when enough permits are free gets them. No task
    /// here waits for long.
    pub(crate) async fn acquire(&self, count: usize) -> Permit<'_> {
        while self.free.get() < count {
            self.waiters.wait().await;
        }
        self.free.update(|free| free - count);
        Permit {
            semaphore: self,
            count,
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.free.update(|free| free + self.count);
        self.semaphore.waiters.wake_all();
    }
}
