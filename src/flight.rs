//! One attempt, many who wait for it.

use std::cell::{Cell, RefCell};
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

    /// Its result; none if it was given up.
    pub async fn result(&self) -> Option<T> {
        if !self.over.get() {
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
