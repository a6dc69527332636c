//! What a guest needs of an async runtime, and the host does not bring: time limits, tasks that
//! wait for each other, and work that many callers share.

pub mod backpressure;
pub mod clock;
mod current;
pub mod deadline;
pub(crate) mod future_write;
mod notify;
pub mod once;
pub(crate) mod random;
pub(crate) mod semaphore;
pub(crate) mod singleflight;
pub(crate) mod stream;
pub(crate) mod task;
pub(crate) mod timings;
pub mod trace;
