//! Bytes that arrive in chunks.

use spin_sdk::wit_bindgen::rt::async_support::{StreamReader, StreamResult};

/// Reads a stream to its end. Stops and returns none if it is longer than `limit` bytes.
pub(crate) async fn read(stream: &mut StreamReader<u8>, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let (result, chunk) = stream.read(Vec::with_capacity(16 * 1024)).await;
        bytes.extend(chunk);
        if bytes.len() > limit {
            return None;
        }
        if let StreamResult::Dropped | StreamResult::Cancelled = result {
            return Some(bytes);
        }
    }
}
