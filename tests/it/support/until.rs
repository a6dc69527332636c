//! Waiting for what happens in its own time.

use std::time::{Duration, Instant};
use std::{future, thread};

/// A busy machine takes less.
const STUCK: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    until_answered(what, || future::ready(is_so())).await;
}

/// Waits until it is so, where finding out takes a call.
pub async fn until_answered(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < STUCK, "not yet: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Blocks the thread until it is so.
pub fn block_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < STUCK, "not yet: {what}");
        thread::sleep(PAUSE);
    }
}
