//! Addresses of servers.

use std::num::NonZeroU16;

/// The address of a Redis: `redis://HOST:PORT` or `rediss://HOST:PORT`.
///
/// Spin grants an outbound host in this form only, and grants what the variable says. So the
/// variable must not hold more than that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// Parses an address. One with a user, a password or a path is none.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text
            .strip_prefix("redis://")
            .or_else(|| text.strip_prefix("rediss://"))?;
        let (host, port) = rest.rsplit_once(':')?;
        (is_host(host) && is_port(port)).then(|| Self(text.to_owned()))
    }

    /// Returns the address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.0.starts_with("rediss:")
    }
}

/// Returns true for a name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn is_host(text: &str) -> bool {
    match text.strip_prefix('[') {
        Some(v6) => v6
            .strip_suffix(']')
            .is_some_and(|v6| consists_of(v6, b":.")),
        None => consists_of(text, b"-._"),
    }
}

/// Returns true for 1 to 65535.
pub(super) fn is_port(text: &str) -> bool {
    consists_of(text, b"") && text.parse::<NonZeroU16>().is_ok()
}

/// Returns true if the text is letters, digits and `others`, and not empty.
fn consists_of(text: &str, others: &[u8]) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || others.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_scheme_host_and_port_alone() {
        for good in [
            "redis://127.0.0.1:6379",
            "redis://[::1]:6379",
            "rediss://cache-1.example.com:6380",
        ] {
            assert!(Address::parse(good).is_some(), "{good}");
        }
        for bad in [
            "127.0.0.1:6379",
            "http://127.0.0.1:6379",
            "redis://127.0.0.1",
            "redis://127.0.0.1:6379/",
            "redis://127.0.0.1:6379/1",
            "redis://user@127.0.0.1:6379",
            "redis://:secret@127.0.0.1:6379",
            "redis://*:6379",
            "redis://:6379",
            "redis://host:0",
            "redis://host:65536",
            "redis://host:+1",
            "redis://host:6379?a",
            "redis://ho st:6379",
            "redis://[::1:6379",
        ] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }
}
