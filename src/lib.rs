//! The provider connection cache: a WebAssembly component that answers "is this
//! provider connection usable?" next to the caller, from Redis.
//!
//! The path of a lookup, top to bottom: [`http`] (or [`component`], for callers that
//! are components themselves) parses the request, [`cache`] carries it out over
//! [`redis`], [`entry`] reads what Redis holds, [`connection`] says what it means. What is not
//! there is asked of the [`origin`], if there is one.
//! No module knows one above it.

pub mod cache;
pub mod clock;
pub mod config;
pub mod connection;
pub mod deadline;
pub mod entry;
pub mod flight;
#[cfg(feature = "http")]
pub mod http;
pub mod instance;
pub mod json;
pub mod log;
#[cfg(feature = "middleware")]
pub mod next;
pub mod origin;
pub mod random;
pub mod redis;
pub mod room;
pub mod stats;
pub mod stream;
pub mod task;
pub mod timestamp;
#[cfg(feature = "http")]
pub mod tokens;
pub mod trace;

#[cfg(all(feature = "component", target_family = "wasm"))]
pub mod component;
#[cfg(all(feature = "middleware", target_family = "wasm"))]
pub mod middleware;
