//! Room for so many things at a time: who finds too little of it waits.

use std::cell::{Cell, RefCell};

use spin_sdk::wasip3::wit_stream;
use spin_sdk::wit_bindgen::rt::async_support::StreamWriter;

/// What is left of the room, and who waits for more.
pub struct Room {
    left: Cell<usize>,
    /// Dropping a writer wakes its reader: see [`crate::flight`].
    waiting: RefCell<Vec<StreamWriter<u8>>>,
}

/// A part of the room, which is given back when this is dropped.
pub struct Taken<'a> {
    room: &'a Room,
    count: usize,
}

impl Room {
    /// Room for `count` things.
    pub fn of(count: usize) -> Self {
        Self {
            left: Cell::new(count),
            waiting: RefCell::new(Vec::new()),
        }
    }

    /// Takes room for `count` things, which must be no more than there is room for at all.
    /// Whoever comes first when there is enough of it has it: nobody here waits for long.
    pub async fn take(&self, count: usize) -> Taken<'_> {
        while self.left.get() < count {
            let (writer, mut reader) = wit_stream::new();
            self.waiting.borrow_mut().push(writer);
            reader.next().await;
        }
        self.left.update(|left| left - count);
        Taken { room: self, count }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.room.left.update(|left| left + self.count);
        self.room.waiting.borrow_mut().clear();
    }
}
