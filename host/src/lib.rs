//! A small host for one Spin application, with Spin's own semantics, for tests, benchmarks and
//! machines without Spin. See the README for what it leaves out.
//!
//! [`App`] loads a manifest or a bare component; [`serve()`] answers HTTP requests with it, and
//! [`App::new_store`] with [`App::linker`] lets a test call the component's own exports.

mod allowed_hosts;
mod app;
mod bindings;
mod capabilities;
mod component;
mod compose;
mod counted;
mod dependency;
mod key_value;
mod limits;
mod log;
mod manifest;
mod outbound_http;
mod redis;
mod request;
mod route;
mod runtime;
mod runtime_config;
mod serve;
mod sqlite;
mod state;
mod template;
mod variables;
mod waiting;
mod workers;

pub use app::{App, AppOptions, Grants};
pub use log::LogSink;
pub use runtime_config::StateDir;
pub use serve::{serve, serve_with};
pub use state::HostState;
/// The version of Wasmtime that the types in this crate's interface come from.
pub use wasmtime;
/// The same for HTTP.
pub use wasmtime_wasi_http;
pub use workers::InstanceReuse;
