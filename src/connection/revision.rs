//! Revisions of a connection.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::entry;
use super::fields::ProviderConnection;

/// Identifies the content of a connection: it changes with every field, and with nothing else. It does
/// not depend on how the entry is spelt in Redis, nor on the time of day.
///
/// Another version of this component may compute another revision from the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u64);

impl Revision {
    /// Returns the revision of a connection.
    pub fn of(connection: &ProviderConnection) -> Self {
        Self::of_encoded(&entry::encode(connection))
    }

    /// Returns the revision of the connection that [`entry::encode`] wrote.
    pub(crate) fn of_encoded(entry: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        entry.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
