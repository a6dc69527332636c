//! The result of a lookup.

use std::time::Duration;

use crate::connection::ProviderConnection;
use crate::connection::entry::DecodeError;
use crate::origin;
use crate::redis;
use crate::stats::{Tallied, Tally};

/// The result of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// The connection is cached.
    Hit(T),
    /// The connection is not cached, and there is no origin to ask.
    Absent(Absence),
    /// The cache knows that there is no such connection.
    NotFound,
    /// The connection is not cached, and the origin was asked.
    Forwarded(Forward<T>),
}

/// Why Redis has no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// There is none.
    Miss,
    /// The stored bytes are not the connection.
    Corrupt(DecodeError),
    /// Redis did not answer.
    Unavailable(redis::Error),
}

/// A lookup that asked the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward<T> {
    /// Why the origin was asked.
    pub because: Absence,
    /// The result.
    pub outcome: Outcome<T>,
    /// Whether the result is that of another request, which had asked before.
    pub collapsed: bool,
    /// The number of the request to the origin, unless Redis confirmed that no write came after it had
    /// begun. The result may be older than such a write.
    pub(super) overtaken: Option<u64>,
}

/// The result of asking the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The origin has the connection, and now it is stored.
    Stored(T),
    /// The origin has the connection, but it is not stored: Redis failed, or the origin forbids it.
    Passed(T),
    /// There is no such connection.
    NotFound,
    /// The origin failed, but an entry that expired recently may answer.
    Stale(T, origin::Error),
    /// The origin failed.
    Failed(origin::Error),
}

impl<T> Outcome<T> {
    fn found(self) -> Option<T> {
        match self {
            Self::Stored(found) | Self::Passed(found) | Self::Stale(found, _) => Some(found),
            Self::NotFound | Self::Failed(_) => None,
        }
    }

    /// Corrects the outcome if the connection could not be stored.
    pub(super) fn not_stored(self) -> Self {
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
            Self::Stale(found, error) => Outcome::Stale(found, *error),
            Self::Failed(error) => Outcome::Failed(*error),
        }
    }

    /// Converts the connection by `f`, if there is one.
    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Stored(found) => Outcome::Stored(f(found)),
            Self::Passed(found) => Outcome::Passed(f(found)),
            Self::NotFound => Outcome::NotFound,
            Self::Stale(found, error) => Outcome::Stale(f(found), error),
            Self::Failed(error) => Outcome::Failed(error),
        }
    }
}

impl<T> Lookup<T> {
    /// Returns the connection, if there is one, without the reason if there is none.
    pub fn hit(self) -> Option<T> {
        match self {
            Self::Hit(found) => Some(found),
            Self::Absent(_) | Self::NotFound => None,
            Self::Forwarded(forward) => forward.outcome.found(),
        }
    }

    /// Hides a connection that is not `wanted`. The result is as if it did not exist, with an origin
    /// (`reads_through`) or without one.
    pub(crate) fn filter(self, reads_through: bool, wanted: impl FnOnce(&T) -> bool) -> Self {
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

    /// Converts the connection by `f`, if there is one.
    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Lookup<U> {
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

    /// Returns true if the result is that of another request to the origin.
    pub(super) fn is_collapsed(&self) -> bool {
        matches!(self, Self::Forwarded(forward) if forward.collapsed)
    }

    /// Returns true if the result may be older than a write before the call that shares it, which came
    /// when so many requests to the origin had begun.
    pub(super) fn is_too_old_to_share(&self, begun: u64) -> bool {
        let Self::Forwarded(forward) = self else {
            return false;
        };
        // A failure says nothing of the connection.
        !matches!(forward.outcome, Outcome::Failed(_))
            && forward.overtaken.is_some_and(|request| request <= begun)
    }

    /// Converts the result of [`Singleflight::share`](crate::rt::singleflight::Singleflight::share).
    pub(super) fn shared((lookup, joined): (Self, bool)) -> Self {
        match lookup {
            Self::Forwarded(forward) => Self::Forwarded(Forward {
                collapsed: forward.collapsed || joined,
                ..forward
            }),
            lookup => lookup,
        }
    }
}

/// A connection that is known not to exist is a hit: the caller does not ask the database for it. If
/// Redis cannot answer, that is a miss and an error.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The connection.
    pub connection: ProviderConnection,
    /// None if the entry does not expire, or if the read did not ask.
    pub remaining: Option<Duration>,
}

impl Entry {
    /// Returns the entry of a connection that is not stored, or not any more.
    pub(super) fn expired(connection: ProviderConnection) -> Self {
        Self {
            connection,
            remaining: Some(Duration::ZERO),
        }
    }
}
