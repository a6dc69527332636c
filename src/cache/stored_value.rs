//! The value that Redis holds under the key of a connection.

use std::rc::Rc;
use std::time::Duration;

use super::lookup::{Absence, Entry, Lookup};
use super::marker::{self, Marker};
use crate::connection::Id;
use crate::connection::entry::{self, DecodeError};
use crate::log;
use crate::redis::{Error, RawValue};
use crate::stats::{Counter, Stats};

/// The content of a key, and its bytes.
pub(super) struct StoredValue {
    pub(super) content: Content,
    /// None if the key does not exist, or was not read.
    pub(super) bytes: Option<Vec<u8>>,
    /// The rest of its lifetime. None if it does not expire, or if the read did not ask.
    pub(super) remaining: Option<Duration>,
    /// Whether it is known to be too early for a refresh.
    pub(super) fresh: bool,
}

/// The content of a key.
pub(super) enum Content {
    Entry(Rc<Entry>),
    Nothing,
    /// A marker left by an origin request.
    Marker(Marker),
    Corrupt(DecodeError),
    /// Redis did not answer.
    Unavailable(Error),
}

impl StoredValue {
    /// Decodes the value that Redis found under the key of `id`.
    pub(super) fn decode(id: Id, found: Result<Option<RawValue>, Error>) -> Self {
        let without_bytes = |content| Self {
            content,
            bytes: None,
            remaining: None,
            fresh: false,
        };
        match found {
            Ok(Some(raw)) => Self {
                content: decode(id, &raw),
                bytes: Some(raw.value),
                remaining: raw.remaining,
                fresh: raw.fresh,
            },
            Ok(None) => without_bytes(Content::Nothing),
            Err(Error::WrongType) => without_bytes(Content::Corrupt(DecodeError::NotAString)),
            Err(error) => without_bytes(Content::Unavailable(error)),
        }
    }

    /// Decodes a value for a lookup: counts and logs a corrupt one.
    pub(super) fn decode_for_lookup(
        id: Id,
        found: Result<Option<RawValue>, Error>,
        stats: &Stats,
    ) -> Self {
        let stored = Self::decode(id, found);
        if let Content::Corrupt(corrupt) = &stored.content {
            stats.increment(Counter::CorruptEntries);
            log::event(
                log::Event::CorruptEntry,
                &[("id", &id), ("reason", corrupt)],
            );
        }
        stored
    }

    /// Returns the lookup that ends with this value, without the origin.
    pub(super) fn lookup(self) -> Lookup<Rc<Entry>> {
        match self.content {
            Content::Entry(entry) => Lookup::Hit(entry),
            Content::Marker(Marker::NotFound) => Lookup::NotFound,
            _ => Lookup::Absent(self.absence()),
        }
    }

    /// Returns for how long Redis knows that there is no such connection. None if it does not, or not for
    /// a time that was read.
    pub(super) fn not_found_for(&self) -> Option<Duration> {
        match self.content {
            Content::Marker(Marker::NotFound) => self.remaining,
            _ => None,
        }
    }

    /// Returns true unless it is a marker with a stale entry in it, and lives as long as that.
    pub(super) fn is_brief(&self) -> bool {
        let bytes = self.bytes.as_deref().unwrap_or_default();
        !bytes
            .windows(marker::STALE.len())
            .any(|part| part == marker::STALE)
    }

    /// Returns why there is no entry. A marker is not one.
    pub(super) fn absence(&self) -> Absence {
        match &self.content {
            Content::Entry(_) | Content::Nothing | Content::Marker(_) => Absence::Miss,
            Content::Corrupt(corrupt) => Absence::Corrupt(*corrupt),
            Content::Unavailable(error) => Absence::Unavailable(error.clone()),
        }
    }
}

fn decode(id: Id, raw: &RawValue) -> Content {
    if let Some(marker) = Marker::decode(&raw.value) {
        return Content::Marker(marker);
    }
    match entry::decode_stored(id, &raw.value) {
        Ok(connection) => Content::Entry(Rc::new(Entry {
            connection,
            remaining: raw.remaining,
        })),
        Err(corrupt) => Content::Corrupt(corrupt),
    }
}
