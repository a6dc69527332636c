//! One connection for all requests.

use std::cell::OnceCell;
use std::rc::Rc;

use spin_sdk::redis::{Connection, Error};
use spin_sdk::wasip3::http::types::ErrorCode;

use crate::shared::shared;

thread_local! {
    static CONNECTION: OnceCell<Rc<Connection>> = const { OnceCell::new() };
}

pub async fn connection() -> Result<Rc<Connection>, ErrorCode> {
    let open = async {
        let address = spin_sdk::variables::get("redis_address").await;
        let address = address.map_err(|_| ErrorCode::InternalError(None))?;
        Connection::open(address).await.map_err(failed)
    };
    shared(&CONNECTION, open).await
}

pub fn failed(_: Error) -> ErrorCode {
    ErrorCode::InternalError(None)
}
