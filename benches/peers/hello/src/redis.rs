//! One connection for all requests.

use std::cell::OnceCell;
use std::rc::Rc;

use spin_sdk::redis::{Connection, Error};
use spin_sdk::wasip3::http::types::ErrorCode;

thread_local! {
    static CONNECTION: OnceCell<Rc<Connection>> = const { OnceCell::new() };
}

pub async fn connection() -> Result<Rc<Connection>, ErrorCode> {
    if let Some(connection) = CONNECTION.with(|cell| cell.get().cloned()) {
        return Ok(connection);
    }
    let address = spin_sdk::variables::get("redis_address").await;
    let address = address.map_err(|_| ErrorCode::InternalError(None))?;
    let opened = Connection::open(address).await.map_err(failed)?;
    Ok(CONNECTION.with(|cell| Rc::clone(cell.get_or_init(|| Rc::new(opened)))))
}

pub fn failed(_: Error) -> ErrorCode {
    ErrorCode::InternalError(None)
}
