//! Markers: values under the key of a connection that are not entries. A marker says who asks the
//! origin, or what the origin answered. No I/O.
//!
//! Any `SET` or `DEL` of the key removes the marker, whoever sends it. An instance stores the answer
//! of the origin only in place of its own marker, so the answer cannot be older than such a write.
//! The existing application reads a marker as a miss, because it has no `id`.

use std::fmt;

use crate::connection::json::{self, Node};
use crate::connection::{Id, ProviderConnection, entry};
use crate::origin::Error;

/// Every marker begins with these bytes, and no entry does.
pub(super) const PREFIX: &[u8] = b"{\"origin\":";

/// The marker of a failure has this in it, before the stale entry that may answer.
pub(super) const STALE: &[u8] = b",\"stale\":";

/// Identifies one request to the origin: a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner(pub(super) u64);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// The owner asks the origin. The verdict is that of the owner before, for the instances that
    /// waited for it and did not look in time.
    Lease(Owner, Option<Verdict>),
    /// There is no such connection.
    NotFound,
    /// The owner's request ended without an entry. This concerns only the instances that
    /// waited for it, except a failure, which for a moment keeps all from asking again.
    Told(Owner, Verdict),
}

/// How an origin request ended that left no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is no such connection.
    NotFound,
    /// There is one, but it must not be stored.
    NotStored,
    /// The origin failed.
    Failed(Error),
}

impl Marker {
    pub(super) fn encode(self) -> Vec<u8> {
        let (origin, owner, verdict) = match self {
            Self::Lease(owner, before) => ("asked", Some(owner), before),
            Self::NotFound => ("not-found", None, None),
            Self::Told(owner, verdict) => ("told", Some(owner), Some(verdict)),
        };
        let mut text = format!(r#"{{"origin":"{origin}""#);
        if let Some(owner) = owner {
            text.push_str(&format!(r#","owner":"{owner}""#));
        }
        match verdict {
            None => {}
            Some(Verdict::NotFound) => text.push_str(r#","told":"not-found""#),
            Some(Verdict::NotStored) => text.push_str(r#","told":"not-stored""#),
            Some(Verdict::Failed(Error::Status(status))) => {
                text.push_str(&format!(r#","status":"{status}""#));
            }
            Some(Verdict::Failed(error)) => {
                let name = error.name().unwrap_or_default();
                text.push_str(&format!(r#","told":"{name}""#));
            }
        }
        text.push('}');
        text.into_bytes()
    }

    /// Returns none if the bytes are anything else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(PREFIX) {
            return None;
        }
        let Ok(Node::Object(object)) = json::decode(bytes) else {
            return None;
        };
        let owner = object
            .text("owner")
            .and_then(|owner| u64::from_str_radix(owner, 16).ok());
        let told = match (object.text("told"), object.text("status")) {
            (Some("not-found"), _) => Some(Verdict::NotFound),
            (Some("not-stored"), _) => Some(Verdict::NotStored),
            (Some(name), _) => Some(Verdict::Failed(name.parse().ok()?)),
            (None, Some(status)) => Some(Verdict::Failed(Error::Status(status.parse().ok()?))),
            (None, None) => None,
        };
        match (object.text("origin")?, owner.map(Owner), told) {
            ("asked", Some(owner), before) => Some(Self::Lease(owner, before)),
            ("not-found", None, None) => Some(Self::NotFound),
            ("told", Some(owner), Some(verdict)) => Some(Self::Told(owner, verdict)),
            _ => None,
        }
    }
}

/// Returns the expired entry in the marker of a failure, if there is one. Redis adds it to the marker
/// as the last member.
pub(super) fn stale_entry(id: Id, bytes: &[u8]) -> Option<ProviderConnection> {
    let Ok(Node::Object(marker)) = json::decode(bytes) else {
        return None;
    };
    match marker.get("stale") {
        Node::Object(object) => entry::read_stored(id, object).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> Vec<Marker> {
        let owner = Owner(0x00ab_cdef_0123_4567);
        let verdicts = [
            Verdict::NotFound,
            Verdict::NotStored,
            Verdict::Failed(Error::Timeout),
            Verdict::Failed(Error::Unreachable),
            Verdict::Failed(Error::NotAllowed),
            Verdict::Failed(Error::TooLarge),
            Verdict::Failed(Error::CutOff),
            Verdict::Failed(Error::Unreadable),
            Verdict::Failed(Error::Encoded),
            Verdict::Failed(Error::Status(503)),
        ];
        let told = verdicts.map(|verdict| Marker::Told(owner, verdict));
        let after = verdicts.map(|verdict| Marker::Lease(owner, Some(verdict)));
        let others = [Marker::Lease(owner, None), Marker::NotFound];
        others.into_iter().chain(told).chain(after).collect()
    }

    #[test]
    fn each_is_read_as_it_was_written() {
        for marker in all() {
            let bytes = marker.encode();
            assert_eq!(Marker::decode(&bytes), Some(marker));
            assert!(bytes.starts_with(PREFIX));
        }
    }

    #[test]
    fn none_is_an_entry_for_this_component_or_the_existing_application() {
        let id = Id::parse("id", "0192f3a4-5b6c-7d8e-9f00-000000000001").expect("an id");
        for marker in all() {
            let bytes = marker.encode();
            assert!(entry::decode_stored(id, &bytes).is_err());
            // As the rows "missing id" and "empty object" of reference-decoding.json: a miss.
            let value: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
            assert!(value.is_object() && value.get("id").is_none());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Marker::decode(&[PREFIX, &bytes].concat());
        }
    }

    #[test]
    fn nothing_else_is_one() {
        for text in [
            "",
            "{}",
            r#"{"origin":"#,
            r#"{"origin":"asked"}"#,
            r#"{"origin":"asked","owner":"x"}"#,
            r#"{"origin":"told","owner":"1"}"#,
            r#"{"origin":"told","told":"not-found"}"#,
            r#"{"origin":"told","owner":"1","told":"x"}"#,
            r#"{"origin":"told","owner":"1","status":"x"}"#,
            r#"{"origin":"other","owner":"1"}"#,
            r#"{"origin":1}"#,
            r#"{"origin":"not-found"} x"#,
        ] {
            assert_eq!(Marker::decode(text.as_bytes()), None, "{text}");
        }
    }
}
