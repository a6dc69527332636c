//! The library of the provider connection cache. It answers "is this provider connection usable?" next
//! to the caller, from Redis. The components in `components/` export it.
//!
//! A lookup begins in [`http`], which parses the request (or in `components/cache`, for callers that are
//! components). [`cache`] reads from [`redis`], and [`connection`] says what an entry means. What is not
//! cached comes from the [`origin`], if there is one. [`rt`] is what all of them need of an async
//! runtime.
//!
//! No module knows one above it: `tests/layers.rs` checks that.

pub mod cache;
pub mod config;
pub mod connection;
pub mod edge_store;
pub mod http;
pub mod instance;
pub mod log;
pub mod origin;
pub mod redis;
pub mod rt;
pub mod stats;
