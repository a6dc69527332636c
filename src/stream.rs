//! Bytes that arrive one chunk after the other.

use spin_sdk::wit_bindgen::rt::async_support::{StreamReader, StreamResult};

/// Reads a stream to its end; none, and no further, if it is longer than `most` bytes.
pub async fn read(mut stream: StreamReader<u8>, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let (result, chunk) = stream.read(Vec::with_capacity(16 * 1024)).await;
        bytes.extend(chunk);
        if bytes.len() > most {
            return None;
        }
        if let StreamResult::Dropped | StreamResult::Cancelled = result {
            return Some(bytes);
        }
    }
}
