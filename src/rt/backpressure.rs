//! Backpressure of the component model: keeps further calls out of an instance.

use spin_sdk::wit_bindgen::rt::async_support::{backpressure_dec, backpressure_inc};

/// While one exists, the host begins no other call of an export. Once a call has begun, its arguments
/// take memory, before it can wait for anything.
pub struct Backpressure(());

impl Backpressure {
    /// Lets no further call in.
    #[expect(clippy::new_without_default, reason = "it has an effect")]
    pub fn new() -> Self {
        backpressure_inc();
        Self(())
    }
}

impl Drop for Backpressure {
    fn drop(&mut self) {
        backpressure_dec();
    }
}
