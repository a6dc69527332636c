//! One attempt, many who wait for it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use spin_sdk::wasip3::wit_stream;
use spin_sdk::wit_bindgen::rt::async_support::StreamWriter;

/// An attempt in flight: one task makes it, others of the instance wait for its result.
///
/// A Rust waker cannot wake another task of a component (`wit-bindgen` needs its feature
/// `inter-task-wakeup` for that, which traps in wasmtime 48), but a component-model stream
/// can: each task that waits reads from one of its own, and ends when the other end drops.
pub struct Flight<T> {
    result: RefCell<Option<T>>,
    waiting: RefCell<Vec<StreamWriter<u8>>>,
    over: Cell<bool>,
}

/// What makes the attempt. When it is dropped, with a result or without one, those who
/// wait go on.
pub struct Pilot<T>(Rc<Flight<T>>);

impl<T: Clone> Flight<T> {
    /// A new attempt.
    pub fn start() -> (Pilot<T>, Rc<Self>) {
        let flight = Rc::new(Self {
            result: RefCell::new(None),
            waiting: RefCell::new(Vec::new()),
            over: Cell::new(false),
        });
        (Pilot(Rc::clone(&flight)), flight)
    }

    /// Whether it has ended, with a result or without one.
    pub fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Its result; none if it was given up.
    pub async fn result(&self) -> Option<T> {
        if !self.is_over() {
            let (writer, mut reader) = wit_stream::new();
            self.waiting.borrow_mut().push(writer);
            reader.next().await;
        }
        self.result.borrow().clone()
    }
}

impl<T> Pilot<T> {
    /// Ends the attempt with its result.
    pub fn land(self, result: T) {
        *self.0.result.borrow_mut() = Some(result);
    }
}

impl<T> Drop for Pilot<T> {
    fn drop(&mut self) {
        self.0.over.set(true);
        self.0.waiting.borrow_mut().clear();
    }
}

/// The attempts in flight, at most one for each key. A list, for they are few.
pub struct Flights<K, T>(RefCell<Vec<(K, Rc<Flight<T>>)>>);

impl<K: Eq + Copy, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Self(RefCell::new(Vec::new()))
    }
}

impl<K: Eq + Copy, T: Clone> Flights<K, T> {
    /// The result of `work`, or of the attempt for the same key that is in flight already, and
    /// whether it was that.
    pub async fn share(&self, key: K, work: impl Future<Output = T>) -> (T, bool) {
        while let Some(flight) = self.find(key) {
            // None if its caller was cancelled: the first to come here makes another.
            if let Some(result) = flight.result().await {
                return (result, true);
            }
        }
        let (pilot, flight) = Flight::start();
        self.0.borrow_mut().push((key, Rc::clone(&flight)));
        let listed = Listed {
            flights: self,
            flight,
        };
        let result = work.await;
        drop(listed);
        pilot.land(result.clone());
        (result, false)
    }

    /// From now on nobody joins the attempts that `are` out of date.
    pub fn forget(&self, are: impl Fn(K) -> bool) {
        self.0.borrow_mut().retain(|(key, _)| !are(*key));
    }

    fn find(&self, key: K) -> Option<Rc<Flight<T>>> {
        let flights = self.0.borrow();
        let flight = flights.iter().find(|(of, _)| *of == key);
        flight.map(|(_, flight)| Rc::clone(flight))
    }
}

/// A flight's place in the list, which it leaves when it is over, however it ends.
struct Listed<'a, K, T> {
    flights: &'a Flights<K, T>,
    flight: Rc<Flight<T>>,
}

impl<K, T> Drop for Listed<'_, K, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.borrow_mut();
        flights.retain(|(_, flight)| !Rc::ptr_eq(flight, &self.flight));
    }
}
