//! The URL of a connection at the origin, with a place for the id.

use super::address::{is_host, is_port};
use crate::connection::Id;

/// `http://HOST[:PORT]/…{id}…` or `https://…`. The canonical id replaces `{id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OriginUrl {
    https: bool,
    authority: String,
    before: String,
    after: String,
}

impl OriginUrl {
    /// The rule, after "must be".
    pub(super) const RULE: &str =
        "http:// or https://, a host, and a path or query with {id} in it once";

    /// Reads a URL. It has no user, because that would be a secret in an address, and no fragment,
    /// because that is not sent.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (https, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://")?),
        };
        let (authority, target) = rest.split_at_checked(rest.find('/')?)?;
        // Braces cannot be sent, so the first one must be that of the id.
        let (before, rest) = target.split_once('{')?;
        let after = rest.strip_prefix("id}")?;
        let is_sent = is_sendable(before) && is_sendable(after);
        (is_authority(authority) && is_sent).then(|| Self {
            https,
            authority: authority.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    /// Returns the host, and the port if there is one.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the path and the query for a connection.
    pub(crate) fn target(&self, id: Id) -> String {
        format!("{}{id}{}", self.before, self.after)
    }
}

fn is_authority(text: &str) -> bool {
    if is_host(text) {
        return true;
    }
    let host_and_port = text.rsplit_once(':');
    host_and_port.is_some_and(|(host, port)| is_host(host) && is_port(port))
}

/// Returns true if a part of the path and the query can be sent as it is. Two digits follow each
/// percent sign.
fn is_sendable(part: &str) -> bool {
    let digits = |escape: &str| {
        let two = escape.as_bytes().first_chunk::<2>();
        two.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    part.bytes().all(is_target_byte) && part.split('%').skip(1).all(digits)
}

/// The characters of a path and a query (RFC 3986, sections 3.3 and 3.4).
fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// An accepted URL can neither end the line of its request nor name another host.
        #[test]
        fn any_text_is_refused_or_sent_as_it_is(text in "https?://[a-z.:]{1,9}.{0,9}\\{id\\}.{0,9}") {
            let id = Id::parse("id", "0192f3a4-5b6c-7d8e-9f00-000000000001").expect("an id");
            if let Some(url) = OriginUrl::parse(&text) {
                let target = url.target(id);
                prop_assert!(target.starts_with('/') && target.bytes().all(is_target_byte));
                let sent = format!("://{}{target}", url.authority());
                let whole = text.replace("{id}", &id.to_string());
                prop_assert!(whole.ends_with(&sent));
            }
        }
    }

    #[test]
    fn the_id_takes_its_place_in_canonical_form() {
        let id = Id::parse("id", "{0192F3A4-5B6C-7D8E-9F00-000000000001}").expect("an id");
        let cases = [
            (
                "http://origin/{id}",
                "origin",
                "/0192f3a4-5b6c-7d8e-9f00-000000000001",
            ),
            (
                "https://[::1]:8443/v1/connections/{id}.json?full=1",
                "[::1]:8443",
                "/v1/connections/0192f3a4-5b6c-7d8e-9f00-000000000001.json?full=1",
            ),
            (
                "http://127.0.0.1:8080/connections?id={id}",
                "127.0.0.1:8080",
                "/connections?id=0192f3a4-5b6c-7d8e-9f00-000000000001",
            ),
        ];
        for (text, authority, target) in cases {
            let url = OriginUrl::parse(text).expect(text);
            assert_eq!(
                (url.authority(), url.target(id).as_str()),
                (authority, target)
            );
            assert_eq!(url.is_https(), text.starts_with("https"));
        }
    }

    #[test]
    fn what_is_not_such_a_text_is_refused() {
        for text in [
            "",
            "origin/{id}",
            "ftp://origin/{id}",
            "HTTP://origin/{id}",
            "http:///{id}",
            "http://origin{id}",
            "http://{id}/x",
            "http://origin?id={id}",
            "http://origin/",
            "http://origin/{ID}",
            "http://origin/{id}/{id}",
            "http://origin/{id}#part",
            "http://user@origin/{id}",
            "http://user:secret@origin/{id}",
            "http://origin:0/{id}",
            "http://origin:65536/{id}",
            "http://origin:80:80/{id}",
            "http://ori gin/{id}",
            "http://origin/ {id}",
            "http://origin/\u{e9}/{id}",
            "http://origin/%zz/{id}",
            "http://origin/%4{id}",
            "http://origin/{id}\r\nx: y",
            "http://*/{id}",
        ] {
            assert_eq!(OriginUrl::parse(text), None, "{text}");
        }
    }
}
