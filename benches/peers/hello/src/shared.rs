//! Values that an instance makes once, for all its requests.

use std::cell::OnceCell;
use std::future::Future;
use std::rc::Rc;
use std::thread::LocalKey;

use spin_sdk::wasip3::http::types::ErrorCode;

/// Returns the value in the cell. A request that finds none makes it; one that fails to leaves that to
/// the next.
pub async fn shared<T>(
    cell: &'static LocalKey<OnceCell<Rc<T>>>,
    make: impl Future<Output = Result<T, ErrorCode>>,
) -> Result<Rc<T>, ErrorCode> {
    if let Some(value) = cell.with(|cell| cell.get().cloned()) {
        return Ok(value);
    }
    let value = Rc::new(make.await?);
    Ok(cell.with(|cell| Rc::clone(cell.get_or_init(|| value))))
}
