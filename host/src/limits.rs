//! How much memory an instance may have, and an answer it asked for.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use wasmtime::ResourceLimiter;

/// Answers of Redis or a key-value store that take more memory than this are refused.
const MAX_BUFFERED_BYTES: usize = 128 << 20;

/// An error, in Spin's words, if an answer of so many bytes is too large.
pub(crate) fn check_buffered(bytes: usize) -> Result<(), String> {
    if bytes > MAX_BUFFERED_BYTES {
        return Err(format!(
            "query result exceeds limit of {MAX_BUFFERED_BYTES} bytes"
        ));
    }
    Ok(())
}

/// Refuses an instance more memory than it may have, as Spin's `--max-instance-memory` does. What
/// the component makes of that is its own affair; Rust gives up.
pub(crate) struct Limits {
    /// In bytes; without a value there is no limit.
    pub(crate) max_instance_memory: Option<usize>,
    /// The most that any instance of the component had, in bytes.
    pub(crate) peak: Arc<AtomicUsize>,
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grows = self.max_instance_memory.is_none_or(|max| desired <= max);
        if grows {
            self.peak.fetch_max(desired, Relaxed);
        }
        Ok(grows)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_be_as_large_as_the_limit() {
        assert_eq!(check_buffered(MAX_BUFFERED_BYTES), Ok(()));
        let error = "query result exceeds limit of 134217728 bytes".to_owned();
        assert_eq!(check_buffered(MAX_BUFFERED_BYTES + 1), Err(error));
    }
}
