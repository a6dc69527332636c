//! Values that an instance makes once and keeps between its calls.

use std::cell::OnceCell;
use std::future::Future;
use std::rc::Rc;
use std::thread::LocalKey;

/// Returns the value in the cell. The first call makes it.
pub async fn once<T>(
    cell: &'static LocalKey<OnceCell<Rc<T>>>,
    make: impl Future<Output = T>,
) -> Rc<T> {
    if let Some(value) = cell.with(|cell| cell.get().cloned()) {
        return value;
    }
    let value = Rc::new(make.await);
    // Another call may have made one while this one waited. The first to come here wins, so that
    // an instance has one set of connections.
    cell.with(|cell| Rc::clone(cell.get_or_init(|| value)))
}
