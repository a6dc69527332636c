//! The built components, in the embedded host, against a real Redis.
//!
//! `support` has what the tests share. `make build` makes the components they test.

#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used)]

mod support;

mod application;
mod cancellation;
mod coalescing;
mod conformance;
mod connections;
mod consumers;
mod contract;
mod deadline;
mod dependencies;
mod deploy;
mod documents;
mod edge_cache;
mod effort;
mod entries;
mod explorer;
mod fail_open;
mod hostile;
mod http;
mod in_flight;
mod interface;
mod interleavings;
mod key_value;
mod login;
mod make;
mod memory;
mod middleware;
mod misconfigured;
mod model;
mod observability;
mod outage;
mod package;
mod packets;
mod properties;
mod read_through;
mod refusals;
mod replica;
mod soak;
mod templates;
mod wit;
