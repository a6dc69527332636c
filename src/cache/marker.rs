//! What stands under the key of a connection while there is no entry: who asks the origin, or
//! what came of it. No I/O.
//!
//! It is there and nowhere else so that any `SET` or `DEL` of that key, by whomever, takes it
//! away: what is stored over it only if it is still there cannot be older than that write. The
//! existing application reads it as a miss, for it has no `id`.

use std::fmt;

use crate::connection::{Id, ProviderConnection};
use crate::entry;
use crate::json::{self, Node, Object};
use crate::origin::Failure;

/// What every marker begins with, and no entry.
pub const PREFIX: &[u8] = b"{\"origin\":";

/// Who asks the origin: a number that nobody else drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(pub u64);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// The origin is being asked, by this one. What came of it for the one before is told to those
    /// who waited for that, and did not look in time.
    Lease(Owner, Option<Outcome>),
    /// The origin said that there is no such connection.
    NotFound,
    /// What came of it: of interest to those who waited for this one, and to nobody else.
    Outcome(Owner, Outcome),
}

/// What came of asking the origin, if it is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is no such connection.
    NotFound,
    /// There is one, but it must not be stored.
    NotStored,
    /// It did not say.
    Failed(Failure),
}

impl Marker {
    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        let (origin, owner, outcome) = match self {
            Self::Lease(owner, before) => ("asked", Some(owner), before),
            Self::NotFound => ("not-found", None, None),
            Self::Outcome(owner, outcome) => ("told", Some(owner), Some(outcome)),
        };
        let mut text = format!(r#"{{"origin":"{origin}""#);
        if let Some(owner) = owner {
            text.push_str(&format!(r#","owner":"{owner}""#));
        }
        match outcome {
            None => {}
            Some(Outcome::NotFound) => text.push_str(r#","told":"not-found""#),
            Some(Outcome::NotStored) => text.push_str(r#","told":"not-stored""#),
            Some(Outcome::Failed(Failure::Status(status))) => {
                text.push_str(&format!(r#","status":"{status}""#));
            }
            Some(Outcome::Failed(failure)) => {
                text.push_str(&format!(r#","told":"{}""#, failure.name()));
            }
        }
        text.push('}');
        text.into_bytes()
    }

    /// Reads one; none if these bytes are anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(PREFIX) {
            return None;
        }
        let Some(Node::Object(object)) = json::decode(bytes) else {
            return None;
        };
        let owner = text(&object, "owner").and_then(|owner| u64::from_str_radix(owner, 16).ok());
        let told = match (text(&object, "told"), text(&object, "status")) {
            (Some("not-found"), _) => Some(Outcome::NotFound),
            (Some("not-stored"), _) => Some(Outcome::NotStored),
            (Some(name), _) => Some(Outcome::Failed(Failure::named(name)?)),
            (None, Some(status)) => Some(Outcome::Failed(Failure::Status(status.parse().ok()?))),
            (None, None) => None,
        };
        match (text(&object, "origin")?, owner.map(Owner), told) {
            ("asked", Some(owner), before) => Some(Self::Lease(owner, before)),
            ("not-found", None, None) => Some(Self::NotFound),
            ("told", Some(owner), Some(outcome)) => Some(Self::Outcome(owner, outcome)),
            _ => None,
        }
    }
}

/// The entry that may answer although its lifetime is over, if there is one in this marker: that of
/// a failure, to which Redis adds it, as the last member.
pub fn stale_entry(id: Id, bytes: &[u8]) -> Option<ProviderConnection> {
    let Some(Node::Object(marker)) = json::decode(bytes) else {
        return None;
    };
    match marker.get("stale") {
        Node::Object(object) => entry::read_stored(id, object).ok(),
        _ => None,
    }
}

fn text<'a>(object: &'a Object<'_>, name: &'static str) -> Option<&'a str> {
    match object.get(name) {
        Node::Text(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::connection::Id;
    use crate::entry;

    fn all() -> Vec<Marker> {
        let owner = Owner(0x00ab_cdef_0123_4567);
        let outcomes = [
            Outcome::NotFound,
            Outcome::NotStored,
            Outcome::Failed(Failure::Timeout),
            Outcome::Failed(Failure::Unreachable),
            Outcome::Failed(Failure::NotAllowed),
            Outcome::Failed(Failure::TooLarge),
            Outcome::Failed(Failure::CutOff),
            Outcome::Failed(Failure::Unreadable),
            Outcome::Failed(Failure::Status(503)),
        ];
        let told = outcomes.map(|outcome| Marker::Outcome(owner, outcome));
        let after = outcomes.map(|outcome| Marker::Lease(owner, Some(outcome)));
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
