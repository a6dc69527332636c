//! The values in the slots of the edge cache, as JSON. No I/O.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::connection::json::{self, Node};
use crate::connection::{Id, Summary, Timestamp};

/// The version of the format. A value of another version is not read.
const VERSION: &str = "1";

/// What a slot holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// An answer, and when it may be given.
    Kept {
        answer: Answer,
        /// When Redis was asked.
        from: Timestamp,
        until: Timestamp,
    },
    /// The connection was written, and nothing of it was kept since.
    Written(Id),
}

/// What Redis or the origin said of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Summary(Box<Summary>),
    NotFound(Id),
}

impl Answer {
    fn id(&self) -> Id {
        match self {
            Self::Summary(summary) => summary.id,
            Self::NotFound(id) => *id,
        }
    }
}

impl Slot {
    pub(super) fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }

    /// Reads the value of the slot of `id`, with a summary as of `now`. Returns none if it is another
    /// connection's, of another version, or anything else.
    pub(super) fn decode(id: Id, bytes: &[u8], now: Timestamp) -> Option<Self> {
        let Ok(Node::Object(object)) = json::decode(bytes) else {
            return None;
        };
        if object.text("version")? != VERSION || object.text("id")? != id.to_string() {
            return None;
        }
        let time = |name| object.text(name).and_then(Timestamp::parse);
        let (Some(from), Some(until)) = (time("from"), time("until")) else {
            return Some(Self::Written(id));
        };
        let answer = match object.get("summary") {
            Node::Object(summary) => Answer::Summary(Box::new(Summary::read(summary, now).ok()?)),
            _ => Answer::NotFound(id),
        };
        (answer.id() == id).then_some(Self::Kept {
            answer,
            from,
            until,
        })
    }
}

impl Serialize for Slot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", VERSION)?;
        match self {
            Self::Written(id) => map.serialize_entry("id", id)?,
            Self::Kept {
                answer,
                from,
                until,
            } => {
                map.serialize_entry("id", &answer.id())?;
                map.serialize_entry("from", from)?;
                map.serialize_entry("until", until)?;
                if let Answer::Summary(summary) = answer {
                    map.serialize_entry("summary", summary)?;
                }
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::connection::entry;

    const ID: &str = "0192f3a4-5b6c-7d8e-9f00-000000000001";

    fn id() -> Id {
        Id::parse("id", ID).unwrap()
    }

    fn summary() -> Summary {
        let text = format!(
            r#"{{"id":"{ID}","user_id":"{ID}","provider_id":"{ID}","provider_slug":"bank",
            "status":"active","alias":"Main","credentials":{{"encrypted_data":"ciphertext",
            "credential_type":"oauth2","expires_at":"2026-01-01T00:00:00.5+00:00"}},
            "connected_at":"2026-01-01T00:00:00+01:00","created_at":"2026-01-01T00:00:00+00:00",
            "updated_at":"2026-01-01T00:00:00+00:00"}}"#
        );
        let connection = entry::decode_stored(id(), text.as_bytes()).unwrap();
        connection.summarize(Timestamp::MIN)
    }

    #[test]
    fn each_is_read_as_it_was_written() {
        let kept = |answer| Slot::Kept {
            answer,
            from: Timestamp::MIN,
            until: Timestamp::MAX,
        };
        for slot in [
            kept(Answer::Summary(Box::new(summary()))),
            kept(Answer::NotFound(id())),
            Slot::Written(id()),
        ] {
            let bytes = slot.encode();
            let read = Slot::decode(id(), &bytes, Timestamp::MIN);
            assert_eq!(read, Some(slot));
            let other = Id::parse("id", "0192f3a4-5b6c-7d8e-9f00-000000000002").unwrap();
            let read = Slot::decode(other, &bytes, Timestamp::MIN);
            assert_eq!(read, None, "it is another's");
        }
    }

    #[test]
    fn no_credentials_are_kept() {
        let slot = Slot::Kept {
            answer: Answer::Summary(Box::new(summary())),
            from: Timestamp::MIN,
            until: Timestamp::MAX,
        };
        let text = String::from_utf8(slot.encode()).unwrap();
        assert!(
            !text.contains("encrypted") && !text.contains("ciphertext"),
            "{text}"
        );
    }

    #[test]
    fn another_version_is_not_read() {
        let text = String::from_utf8(Slot::Written(id()).encode()).unwrap();
        let other = text.replace("\"1\"", "\"2\"");
        assert_eq!(Slot::decode(id(), other.as_bytes(), Timestamp::MIN), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Slot::decode(id(), &bytes, Timestamp::MIN);
        }
    }
}
