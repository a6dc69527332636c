//! What a key was found to hold.

use std::rc::Rc;
use std::time::Duration;

use super::lookup::{Absence, Entry, Lookup};
use super::marker::Marker;
use crate::connection::Id;
use crate::entry::{self, Corrupt};
use crate::log;
use crate::redis::{Failure, Stored};
use crate::stats::{Event, Stats};

/// What Redis holds under the key of a connection, and its bytes.
pub struct Held {
    /// What it is.
    pub kind: Kind,
    /// Its bytes; none if there are none, or if they were not read.
    pub bytes: Option<Vec<u8>>,
    /// The rest of its lifetime; none if it has no end, or was not asked for.
    pub remaining: Option<Duration>,
    /// Whether it is too early to refresh it, as far as is known.
    pub fresh: bool,
}

/// What a key holds.
pub enum Kind {
    /// The entry of the connection.
    Entry(Rc<Entry>),
    /// Nothing.
    Nothing,
    /// Word of the origin.
    Marker(Marker),
    /// What is no entry.
    Corrupt(Corrupt),
    /// Redis did not say.
    Unavailable(Failure),
}

impl Held {
    /// Reads what Redis found under the key of `id`.
    pub fn decode(id: Id, found: Result<Option<Stored>, Failure>) -> Self {
        let of = |kind| Self {
            kind,
            bytes: None,
            remaining: None,
            fresh: false,
        };
        match found {
            Ok(Some(stored)) => Self {
                kind: decode(id, &stored),
                bytes: Some(stored.value),
                remaining: stored.remaining,
                fresh: stored.fresh,
            },
            Ok(None) => of(Kind::Nothing),
            Err(Failure::WrongType) => of(Kind::Corrupt(Corrupt::NotAString)),
            Err(failure) => of(Kind::Unavailable(failure)),
        }
    }

    /// As [`Held::decode`], for a lookup: what is corrupt is counted, and logged.
    pub fn of_lookup(id: Id, found: Result<Option<Stored>, Failure>, stats: &Stats) -> Self {
        let held = Self::decode(id, found);
        if let Kind::Corrupt(corrupt) = &held.kind {
            stats.happen(Event::CorruptEntry);
            log::event(
                log::Event::CorruptEntry,
                &[("id", &id), ("reason", corrupt)],
            );
        }
        held
    }

    /// What a read comes to that goes no further.
    pub fn lookup(self) -> Lookup<Rc<Entry>> {
        match self.kind {
            Kind::Entry(entry) => Lookup::Hit(entry),
            Kind::Marker(Marker::NotFound) => Lookup::NotFound,
            _ => Lookup::Absent(self.absence()),
        }
    }

    /// Why there is no entry. Word of the origin is none.
    pub fn absence(&self) -> Absence {
        match &self.kind {
            Kind::Entry(_) | Kind::Nothing | Kind::Marker(_) => Absence::Miss,
            Kind::Corrupt(corrupt) => Absence::Corrupt(*corrupt),
            Kind::Unavailable(failure) => Absence::Unavailable(failure.clone()),
        }
    }
}

fn decode(id: Id, stored: &Stored) -> Kind {
    if let Some(marker) = Marker::decode(&stored.value) {
        return Kind::Marker(marker);
    }
    match entry::decode_stored(id, &stored.value) {
        Ok(connection) => Kind::Entry(Rc::new(Entry {
            connection,
            remaining: stored.remaining,
        })),
        Err(corrupt) => Kind::Corrupt(corrupt),
    }
}
