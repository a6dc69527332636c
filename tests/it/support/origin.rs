//! The reference origin of `examples/origin`, and how a cache is told of it.

use provider_connection_origin::{Options, Origin};

use super::connection::entry;
use super::secrets::ORIGIN_TOKEN;

/// An origin that asks for the token, and has the connections of the tests whose numbers are
/// these, and no other.
pub async fn origin_with(numbers: &[usize]) -> Origin {
    let options = Options {
        connections: 0,
        token: Some(ORIGIN_TOKEN.to_owned()),
        ..Options::default()
    };
    let origin = Origin::start(options).await.expect("the origin starts");
    for number in numbers {
        let entry = entry(&super::connection::id(*number));
        origin.insert(&entry).expect("a connection");
    }
    origin
}

/// The variables of a cache that reads through to an origin, and then `more`, which may say
/// otherwise. Lifetimes are not cut short, so that tests can tell what they are.
pub fn reading_through(origin: &Origin, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let address = format!("http://{}", origin.address());
    let common = [
        ("origin_url", origin.url()),
        ("origin_address", address),
        ("origin_token", ORIGIN_TOKEN.to_owned()),
        ("origin_timeout_ms", "30000".to_owned()),
        ("ttl_jitter", "0".to_owned()),
    ];
    let common = common.map(|(name, value)| (name.to_owned(), value));
    let more = more
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    common.into_iter().chain(more).collect()
}

/// Borrowed, as services and caches take variables.
pub fn borrowed(variables: &[(String, String)]) -> Vec<(&str, &str)> {
    variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
