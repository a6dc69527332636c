//! Shared work: calls for the same key at the same time share one attempt.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use super::notify::Waiters;

/// An attempt in flight. One task makes it; other tasks of the instance wait for its result.
pub(crate) struct Flight<T> {
    result: RefCell<Option<T>>,
    waiters: Waiters,
    over: Cell<bool>,
}

/// Makes the attempt. Dropping the leader, with a result or without one, wakes all tasks that wait.
pub(crate) struct Leader<T>(Rc<Flight<T>>);

impl<T: Clone> Flight<T> {
    pub(crate) fn start() -> (Leader<T>, Rc<Self>) {
        let flight = Rc::new(Self {
            result: RefCell::new(None),
            waiters: Waiters::default(),
            over: Cell::new(false),
        });
        (Leader(Rc::clone(&flight)), flight)
    }

    /// Returns true once the attempt has ended, with a result or without one.
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Waits for the result. Returns none if the leader gave up.
    pub(crate) async fn result(&self) -> Option<T> {
        if !self.is_over() {
            self.waiters.wait().await;
        }
        self.result.borrow().clone()
    }
}

impl<T> Leader<T> {
    pub(crate) fn complete(self, result: T) {
        *self.0.result.borrow_mut() = Some(result);
    }
}

impl<T> Drop for Leader<T> {
    fn drop(&mut self) {
        self.0.over.set(true);
        self.0.waiters.wake_all();
    }
}

/// The attempts in flight, at most one for each key. They are few, so a list is enough.
pub(crate) struct Singleflight<K, T>(RefCell<Vec<(K, Rc<Flight<T>>)>>);

impl<K: Eq + Copy, T: Clone> Default for Singleflight<K, T> {
    fn default() -> Self {
        Self(RefCell::new(Vec::new()))
    }
}

impl<K: Eq + Copy, T: Clone> Singleflight<K, T> {
    /// Returns the result of `work`, or of the attempt that is in flight for the same key. The flag
    /// is true if this caller joined another's attempt. The caller pins the work, or this future would
    /// hold it several times.
    pub(crate) async fn share(&self, key: K, work: impl Future<Output = T> + Unpin) -> (T, bool) {
        while let Some(flight) = self.find(key) {
            // There is no result if the leader was cancelled: the first task to come here leads.
            if let Some(result) = flight.result().await {
                return (result, true);
            }
        }
        let (leader, flight) = Flight::start();
        self.0.borrow_mut().push((key, Rc::clone(&flight)));
        let listed = Listed { all: self, flight };
        let result = work.await;
        drop(listed);
        leader.complete(result.clone());
        (result, false)
    }

    /// Keeps new callers from joining the attempts whose keys are `outdated`.
    pub(crate) fn forget(&self, outdated: impl Fn(K) -> bool) {
        self.0.borrow_mut().retain(|(key, _)| !outdated(*key));
    }

    fn find(&self, key: K) -> Option<Rc<Flight<T>>> {
        let flights = self.0.borrow();
        let flight = flights.iter().find(|(of, _)| *of == key);
        flight.map(|(_, flight)| Rc::clone(flight))
    }
}

/// Takes a flight off the list when it is over, however it ends.
struct Listed<'a, K, T> {
    all: &'a Singleflight<K, T>,
    flight: Rc<Flight<T>>,
}

impl<K, T> Drop for Listed<'_, K, T> {
    fn drop(&mut self) {
        let mut flights = self.all.0.borrow_mut();
        flights.retain(|(_, flight)| !Rc::ptr_eq(flight, &self.flight));
    }
}
