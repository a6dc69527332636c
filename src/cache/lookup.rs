//! What a read came to.

use std::time::Duration;

use crate::connection::ProviderConnection;
use crate::entry::Corrupt;
use crate::origin;
use crate::redis;
use crate::stats::{Tallied, Tally};

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It is cached.
    Hit(T),
    /// It is not cached, and there is no origin to ask.
    Absent(Absence),
    /// It is cached that there is no such connection.
    NotFound,
    /// It is not cached, and the origin was asked.
    Forwarded(Forward<T>),
}

/// Why Redis has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It is not there.
    Miss,
    /// What is there is not it.
    Corrupt(Corrupt),
    /// Redis did not say.
    Unavailable(redis::Failure),
}

/// What came of asking the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward<T> {
    /// Why it was asked.
    pub because: Absence,
    /// What it said.
    pub outcome: Outcome<T>,
    /// Whether somebody else had asked it already, whose answer this is.
    pub collapsed: bool,
    /// Whether there was a write meanwhile, than which this may be older.
    pub overtaken: bool,
}

/// What the origin said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It is this, and now it is stored.
    Stored(T),
    /// It is this, but it is not stored: Redis is away, or the origin forbids it.
    Passed(T),
    /// There is no such connection.
    NotFound,
    /// Nothing; but this was cached until not long ago.
    Stale(T, origin::Failure),
    /// Nothing.
    Failed(origin::Failure),
}

impl<T> Outcome<T> {
    fn found(self) -> Option<T> {
        match self {
            Self::Stored(found) | Self::Passed(found) | Self::Stale(found, _) => Some(found),
            Self::NotFound | Self::Failed(_) => None,
        }
    }

    /// The same, if it could not be stored.
    pub fn not_stored(self) -> Self {
        match self {
            Self::Stored(found) => Self::Passed(found),
            outcome => outcome,
        }
    }

    fn as_ref(&self) -> Outcome<&T> {
        match self {
            Self::Stored(found) => Outcome::Stored(found),
            Self::Passed(found) => Outcome::Passed(found),
            Self::NotFound => Outcome::NotFound,
            Self::Stale(found, failure) => Outcome::Stale(found, *failure),
            Self::Failed(failure) => Outcome::Failed(*failure),
        }
    }

    /// The same with `f` done to what was found.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Stored(found) => Outcome::Stored(f(found)),
            Self::Passed(found) => Outcome::Passed(f(found)),
            Self::NotFound => Outcome::NotFound,
            Self::Stale(found, failure) => Outcome::Stale(f(found), failure),
            Self::Failed(failure) => Outcome::Failed(failure),
        }
    }
}

impl<T> Lookup<T> {
    /// What was found, if anything: every reason for nothing is the same.
    pub fn hit(self) -> Option<T> {
        match self {
            Self::Hit(found) => Some(found),
            Self::Absent(_) | Self::NotFound => None,
            Self::Forwarded(forward) => forward.outcome.found(),
        }
    }

    /// The same if what was found is wanted; otherwise as if there were no such connection, where
    /// an origin says so (`reads_through`), and where none does.
    pub fn filter(self, reads_through: bool, wanted: impl FnOnce(&T) -> bool) -> Self {
        let found = match &self {
            Self::Hit(found) => Some(found),
            Self::Absent(_) | Self::NotFound => None,
            Self::Forwarded(forward) => forward.outcome.as_ref().found(),
        };
        if found.is_none_or(wanted) {
            return self;
        }
        match self {
            Self::Forwarded(forward) => Self::Forwarded(Forward {
                outcome: Outcome::NotFound,
                ..forward
            }),
            _ if reads_through => Self::NotFound,
            _ => Self::Absent(Absence::Miss),
        }
    }

    /// The same with `f` done to what was found.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Self::Hit(found) => Lookup::Hit(f(found)),
            Self::Absent(absence) => Lookup::Absent(absence),
            Self::NotFound => Lookup::NotFound,
            Self::Forwarded(forward) => Lookup::Forwarded(Forward {
                because: forward.because,
                outcome: forward.outcome.map(f),
                collapsed: forward.collapsed,
                overtaken: forward.overtaken,
            }),
        }
    }

    /// Whether somebody else had asked the origin already, whose answer this is.
    pub fn is_collapsed(&self) -> bool {
        matches!(self, Self::Forwarded(forward) if forward.collapsed)
    }

    /// Whether this may be older than a write that had come before the one who shares it.
    pub fn is_too_old_to_share(&self) -> bool {
        matches!(self, Self::Forwarded(forward) if forward.collapsed && forward.overtaken)
    }

    /// What came of an attempt, and whether it was joined while somebody else made it.
    pub fn shared((lookup, joined): (Self, bool)) -> Self {
        match lookup {
            Self::Forwarded(forward) => Self::Forwarded(Forward {
                collapsed: forward.collapsed || joined,
                ..forward
            }),
            lookup => lookup,
        }
    }
}

/// Who is told by the cache that there is no such connection does not ask the database either: that
/// is a hit. What Redis could not answer is a miss, and an error besides.
impl<T> Tallied for Lookup<T> {
    fn tally(&self) -> Tally {
        let because = match self {
            Self::Hit(_) | Self::NotFound => {
                return Tally {
                    hits: 1,
                    ..Tally::default()
                };
            }
            Self::Absent(absence) => absence,
            Self::Forwarded(forward) => &forward.because,
        };
        Tally {
            misses: 1,
            errors: matches!(because, Absence::Unavailable(_)).into(),
            ..Tally::default()
        }
    }
}

/// A connection and the rest of its lifetime in the cache.
#[derive(Clone)]
pub struct Entry {
    /// The connection.
    pub connection: ProviderConnection,
    /// The rest of its lifetime; none if it has no end, or if it was not asked for.
    pub remaining: Option<Duration>,
}

impl Entry {
    /// The entry of a connection that is not stored, or no more.
    pub fn gone(connection: ProviderConnection) -> Self {
        Self {
            connection,
            remaining: Some(Duration::ZERO),
        }
    }
}
