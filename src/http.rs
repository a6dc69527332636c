//! The HTTP service. An [`action::Action`] is parsed from a request by the table [`route::ROUTES`], the
//! caller's token checked. `handlers` carries it out, and returns an [`answer::Answer`].

pub mod access;
pub mod action;
pub mod answer;
pub mod body;
mod cache_status;
mod handlers;
mod metrics;
pub mod preconditions;
pub mod problem;
pub mod query;
pub mod readiness_json;
pub mod request;
pub mod route;
mod server_timing;
pub mod service;
pub mod stats_json;
pub mod tokens;
