//! Wakes a task that waits for another one.
//!
//! A Rust waker cannot wake another task of a component: for that, `wit-bindgen` needs its feature
//! `inter-task-wakeup`, which traps in wasmtime 48. A component-model stream can. Each task that
//! waits reads from a stream of its own, and the read ends when the writer is dropped.

use std::cell::RefCell;

use spin_sdk::wasip3::wit_stream;
use spin_sdk::wit_bindgen::rt::async_support::{StreamReader, StreamWriter};

/// Wakes the task that waits for the other half when it is dropped.
pub(super) struct Notifier {
    _writer: StreamWriter<u8>,
}

/// Ends when its [`Notifier`] is dropped.
pub(super) struct Notified(StreamReader<u8>);

/// Connects the task that will wake with the one that waits.
pub(super) fn pair() -> (Notifier, Notified) {
    let (writer, reader) = wit_stream::new();
    (Notifier { _writer: writer }, Notified(reader))
}

impl Notified {
    pub(super) async fn wait(&mut self) {
        self.0.next().await;
    }
}

/// Tasks that wait for the same thing.
#[derive(Default)]
pub(super) struct Waiters(RefCell<Vec<Notifier>>);

impl Waiters {
    pub(super) async fn wait(&self) {
        let (notifier, mut notified) = pair();
        self.0.borrow_mut().push(notifier);
        notified.wait().await;
    }

    pub(super) fn wake_all(&self) {
        self.0.borrow_mut().clear();
    }
}
