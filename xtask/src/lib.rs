//! What `cargo run -p xtask` makes and a test looks at too.

pub mod interface;
