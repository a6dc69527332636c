//! The key-value store of the host.

use std::cell::OnceCell;
use std::hint::black_box;
use std::rc::Rc;

use spin_sdk::key_value::{Error, Store};
use spin_sdk::wasip3::http::types::ErrorCode;

use crate::shared::shared;

thread_local! {
    static STORE: OnceCell<Rc<Store>> = const { OnceCell::new() };
}

/// As much as the edge cache keeps of a connection.
const VALUE: [u8; 700] = [b'x'; 700];

/// Reads a value. The first time, stores it.
pub async fn visit(key: &str) -> Result<(), ErrorCode> {
    let store = shared(&STORE, async {
        Store::open_default().await.map_err(failed)
    })
    .await?;
    match black_box(store.get(key).await.map_err(failed)?) {
        Some(_) => Ok(()),
        None => store.set(key, VALUE).await.map_err(failed),
    }
}

fn failed(_: Error) -> ErrorCode {
    ErrorCode::InternalError(None)
}
