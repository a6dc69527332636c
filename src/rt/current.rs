//! Values that stand beside the task that is polled: the tasks of an instance take turns, so a value in a
//! thread-local alone would be another task's by the next turn.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::thread::LocalKey;

/// Does the work. Each time that it is polled, the cell holds the value. The caller pins the work, or this
/// future would hold it twice.
pub(super) async fn with_current<T, V: Clone>(
    cell: &'static LocalKey<RefCell<V>>,
    value: V,
    mut work: impl Future<Output = T> + Unpin,
) -> T {
    poll_fn(|context| {
        let before = cell.replace(value.clone());
        let polled = Pin::new(&mut work).poll(context);
        cell.set(before);
        polled
    })
    .await
}
