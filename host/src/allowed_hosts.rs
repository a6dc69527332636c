//! Which addresses a component may open: `allowed_outbound_hosts`, with Spin's rules.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    ops::Range,
};

use anyhow::{Context as _, Result, bail, ensure};
use url::{Host, Url};

use crate::template;

/// The resolved `allowed_outbound_hosts` of one component.
pub(crate) struct AllowedHosts(Vec<AllowedHost>);

impl AllowedHosts {
    /// Resolves and parses the items of `allowed_outbound_hosts`. A template that resolves to
    /// nothing is skipped, so that an endpoint can be optional; an empty literal is an error.
    pub(crate) fn new(items: &[String], variables: &BTreeMap<String, String>) -> Result<Self> {
        let mut hosts = Vec::new();
        for item in items {
            let resolved = template::resolve(item, variables)?;
            let empty = matches!(resolved.as_str(), "" | "http://" | "https://");
            if empty && !template::is_literal(item) {
                continue;
            }
            // Not the resolved text: a variable in it may be secret.
            let host = AllowedHost::parse(&resolved)
                .with_context(|| format!("allowed_outbound_hosts has the invalid item {item:?}"))?;
            hosts.push(host);
        }
        Ok(Self(hosts))
    }

    /// Whether `address` may be opened. What is not a URL is read as `{scheme}://{address}`.
    pub(crate) fn allows(&self, address: &str, scheme: &str) -> bool {
        Target::parse(address, scheme)
            .is_some_and(|target| self.0.iter().any(|host| host.allows(&target)))
    }
}

/// The parts of an address that the allow-list looks at.
struct Target {
    scheme: String,
    host: Host,
    port: Option<u16>,
}

impl Target {
    fn parse(address: &str, scheme: &str) -> Option<Self> {
        let address = without_user_info(address);
        let url = match Url::parse(&address) {
            Ok(url) if url.has_host() => url,
            // `localhost:6379` parses too, as the scheme `localhost`.
            _ => Url::parse(&format!("{scheme}://{address}")).ok()?,
        };
        Some(Self {
            scheme: url.scheme().to_owned(),
            // For schemes the URL standard does not know, Url keeps the host as it was written.
            host: Host::parse(url.host_str()?).ok()?,
            port: url.port().or_else(|| well_known_port(url.scheme())),
        })
    }
}

/// User names and passwords may contain what a URL may not, such as `#`, and do not matter here.
fn without_user_info(address: &str) -> String {
    let start = address.find("://").map_or(0, |end| end + 3);
    let (scheme, rest) = address.split_at(start);
    match (rest.find('@'), rest.find('/')) {
        (Some(at), slash) if slash.is_none_or(|slash| at < slash) => {
            format!("{scheme}{}", &rest[at + 1..])
        }
        _ => address.to_owned(),
    }
}

/// One item: `scheme://host[:port]`.
struct AllowedHost {
    scheme: Option<String>,
    host: HostRule,
    port: Option<Range<u32>>,
}

impl AllowedHost {
    fn parse(item: &str) -> Result<Self> {
        let (scheme, rest) = item.trim().split_once("://").context(
            "it does not have the form <scheme>://<host>[:<port>], with '*' allowed for each",
        )?;
        let (host, port) = match rest.rsplit_once(':') {
            None => (rest, ""),
            Some((host, "")) => (host, ""),
            // The colon may be one within an IPv6 address.
            Some(_) if HostRule::parse(rest).is_ok() => (rest, ""),
            Some((host, port)) => (host, port.strip_suffix('/').unwrap_or(port)),
        };
        ensure!(
            scheme == "*" || scheme.chars().all(char::is_alphabetic),
            "its scheme may contain only letters, or be '*'"
        );
        Ok(Self {
            scheme: (scheme != "*").then(|| scheme.to_owned()),
            host: HostRule::parse(host)?,
            port: parse_port(port, scheme)?,
        })
    }

    fn allows(&self, target: &Target) -> bool {
        let scheme = self.scheme.as_ref();
        scheme.is_none_or(|scheme| *scheme == target.scheme)
            && self.host.allows(&target.host)
            && match &self.port {
                None => true,
                Some(ports) => target
                    .port
                    .is_some_and(|port| ports.contains(&u32::from(port))),
            }
    }
}

fn parse_port(port: &str, scheme: &str) -> Result<Option<Range<u32>>> {
    let number = |text: &str| -> Result<u32> {
        let number: u16 = text
            .parse()
            .context("its port is not a number from 0 to 65535")?;
        Ok(number.into())
    };
    Ok(match (port, port.split_once("..")) {
        ("*", _) => None,
        ("", _) => {
            let port = well_known_port(scheme).context(
                "it has no port, and its scheme no default port; add one, such as :6379",
            )?;
            Some(port.into()..u32::from(port) + 1)
        }
        (_, Some((start, end))) => Some(number(start)?..number(end)?),
        (_, None) => Some(number(port)?..number(port)? + 1),
    })
}

/// `rediss` has none: Spin allows it only with a port.
fn well_known_port(scheme: &str) -> Option<u16> {
    Some(match scheme {
        "postgres" => 5432,
        "mysql" => 3306,
        "redis" => 6379,
        "mqtt" => 1883,
        "http" => 80,
        "https" => 443,
        _ => return None,
    })
}

enum HostRule {
    Any,
    /// With the leading dot.
    Subdomain(String),
    Literal(Host),
    Network(IpAddr, u32),
    /// `self`: matches only HTTP requests without a host, which this host does not serve.
    ToSelf,
}

impl HostRule {
    fn parse(host: &str) -> Result<Self> {
        let host = host.trim();
        match host {
            "*" => return Ok(Self::Any),
            "self" | "self.alt" => return Ok(Self::ToSelf),
            _ => {}
        }
        if let Some(network) = parse_network(host) {
            return Ok(network);
        }
        let host = host.strip_suffix('/').unwrap_or(host);
        ensure!(!host.contains('/'), "it must not include a path");
        if let Some(domain) = host.strip_prefix("*.") {
            ensure!(!domain.contains('*'), "'*.' is allowed only at its start");
            return match Host::parse(domain)? {
                Host::Domain(domain) => Ok(Self::Subdomain(format!(".{domain}"))),
                _ => bail!("'*.' must be followed by a domain"),
            };
        }
        ensure!(!host.contains('*'), "'*' is allowed only as a subdomain");
        Ok(Self::Literal(Host::parse(host)?))
    }

    fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Subdomain(suffix), Host::Domain(domain)) => domain.ends_with(suffix),
            (Self::Literal(literal), host) => literal == host,
            (Self::Network(network, bits), Host::Ipv4(ip)) => {
                network.is_ipv4() && prefix(*network, *bits) == prefix((*ip).into(), *bits)
            }
            (Self::Network(network, bits), Host::Ipv6(ip)) => {
                network.is_ipv6() && prefix(*network, *bits) == prefix((*ip).into(), *bits)
            }
            (Self::Subdomain(_) | Self::Network(..) | Self::ToSelf, _) => false,
        }
    }
}

/// Reads `10.0.0.0/8` or `2001:db8::/32`.
fn parse_network(text: &str) -> Option<HostRule> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u32 = bits.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some(HostRule::Network(address, bits))
}

fn prefix(address: IpAddr, bits: u32) -> u128 {
    let (address, width) = match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (u128::from(address), Ipv6Addr::BITS),
    };
    address.checked_shr(width - bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(items: &[&str]) -> Result<AllowedHosts> {
        let variables = [("one", "redis://one:1"), ("empty", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let items: Vec<_> = items.iter().map(|item| (*item).to_owned()).collect();
        AllowedHosts::new(&items, &variables)
    }

    #[test]
    fn addresses_are_checked_as_spin_does() -> Result<()> {
        for (item, address, expected) in [
            // The port: the scheme's, or exactly the one given.
            ("redis://localhost", "redis://localhost", true),
            ("redis://localhost", "redis://localhost:6379", true),
            ("redis://localhost:6379", "redis://localhost", true),
            ("redis://localhost:6379", "redis://localhost:6380", false),
            ("redis://localhost:*", "redis://localhost:6380", true),
            (
                "redis://localhost:6000..6380",
                "redis://localhost:6379",
                true,
            ),
            (
                "redis://localhost:6000..6379",
                "redis://localhost:6379",
                false,
            ),
            ("redis://localhost:6379/", "redis://localhost:6379", true),
            ("rediss://localhost:6380", "rediss://localhost:6380", true),
            ("rediss://localhost:6379", "rediss://localhost", false),
            ("rediss://localhost:*", "rediss://localhost", true),
            // The scheme.
            ("redis://localhost:6379", "rediss://localhost:6379", false),
            ("*://localhost:6379", "rediss://localhost:6379", true),
            ("redis://localhost", "localhost:6379", true),
            ("redis://localhost", "localhost", true),
            ("redis://127.0.0.1", "127.0.0.1:6379", true),
            // The host.
            ("redis://localhost", "redis://127.0.0.1", false),
            ("redis://*", "redis://anything", true),
            ("*://*:*", "rediss://anything:1", true),
            ("redis://*.example.com", "redis://a.example.com", true),
            ("redis://*.example.com", "redis://a.b.example.com", true),
            ("redis://*.example.com", "redis://example.com", false),
            ("redis://*.example.com", "redis://myexample.com", false),
            ("redis://Example.COM", "redis://example.com", true),
            ("redis://[::1]", "redis://[::1]:6379", true),
            ("redis://[::1]:1", "redis://[::1]", false),
            ("redis://10.0.0.0/8", "redis://10.1.2.3", true),
            ("redis://10.0.0.0/8", "redis://11.1.2.3", false),
            ("redis://10.0.0.0/8", "redis://ten.example.com", false),
            ("redis://0.0.0.0/0", "redis://11.1.2.3", true),
            ("redis://2001:db8::/32", "redis://[2001:db8::1]", true),
            ("redis://2001:db8::/32:1", "redis://[2001:db8::1]:1", true),
            ("redis://self", "redis://self", false),
            // What the check ignores.
            ("redis://localhost", "redis://:secret@localhost/3", true),
            ("redis://localhost", "redis://user:a#b:c@localhost", true),
            ("redis://localhost", "redis://user:pass@elsewhere", false),
            ("redis://localhost", "redis://localhost@elsewhere", false),
            ("redis://localhost", "redis://elsewhere/@localhost", false),
            ("redis://localhost", "user:pass@localhost:6379", true),
            // What is no address.
            ("*://*:*", "", false),
            ("redis://localhost", "unix:///tmp/redis.sock", false),
        ] {
            assert_eq!(
                allowed(&[item])?.allows(address, "redis"),
                expected,
                "{item} {address}"
            );
        }
        Ok(())
    }

    #[test]
    fn nothing_is_allowed_by_default() -> Result<()> {
        assert!(!allowed(&[])?.allows("redis://localhost", "redis"));
        Ok(())
    }

    #[test]
    fn templates_are_resolved_and_empty_ones_skipped() -> Result<()> {
        let allowed = allowed(&["{{ empty }}", "https://{{ empty }}", "{{ one }}"])?;
        assert_eq!(allowed.0.len(), 1);
        assert!(allowed.allows("redis://one:1", "redis"));
        Ok(())
    }

    #[test]
    fn invalid_items_are_errors() {
        for item in [
            "",
            "*",
            "localhost:6379",
            "rediss://localhost",
            "redis://localhost:port",
            "redis://localhost:99999",
            "redis://localhost/0",
            "redis://localhost:6379/0",
            "redis://user@localhost:6379",
            "redis://*.*.com",
            "redis://a.*.com",
            "redis://*.127.0.0.1",
            "redis+tls://localhost:1",
            "redis://{{ empty }}",
        ] {
            assert!(allowed(&[item]).is_err(), "{item:?}");
        }
    }
}
