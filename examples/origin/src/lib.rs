//! A reference origin for the cache's read-through: the database behind it, with the little HTTP
//! service that an application would put in front. It can also fail, in the ways that a cache
//! has to survive.

mod connection;
mod database;
mod fault;
mod generate;
mod origin;
mod received;
mod service;

pub use fault::Fault;
pub use origin::{Options, Origin};
