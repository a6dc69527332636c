//! JSON as `serde_json` reads it.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// What bytes are.
pub enum Judged {
    /// An object.
    Object {
        value: Value,
        /// Whether two members of one object in it have the same name.
        repeats: bool,
    },
    /// Other JSON.
    Other,
    /// No JSON, or more than is read of it.
    NotJson,
}

pub fn judge(bytes: &[u8]) -> Judged {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) if value.is_object() => {
            let repeats = serde_json::from_slice::<Repeats>(bytes);
            let repeats = repeats.expect("it is JSON").0;
            Judged::Object { value, repeats }
        }
        Ok(_) => Judged::Other,
        Err(_) => Judged::NotJson,
    }
}

/// Whether a value has an object in it that names a member twice.
struct Repeats(bool);

impl<'de> Deserialize<'de> for Repeats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self(false))
    }
}

impl<'de> Visitor<'de> for Repeats {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let (mut names, mut repeats) = (BTreeSet::new(), false);
        while let Some((name, Self(within))) = map.next_entry::<String, Self>()? {
            repeats |= within || !names.insert(name);
        }
        Ok(Self(repeats))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        let mut repeats = false;
        while let Some(Self(within)) = seq.next_element()? {
            repeats |= within;
        }
        Ok(Self(repeats))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| self)
    }
}
