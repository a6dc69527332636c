//! How much memory an instance may have.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use wasmtime::ResourceLimiter;

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
