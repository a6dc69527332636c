//! What the keys are called.

use crate::connection::Id;
use crate::redis::Keys;

/// The names of keys, under a prefix.
#[derive(Clone)]
pub struct Names(String);

impl Names {
    /// The names under this prefix, if it is not empty.
    pub fn new(prefix: &str) -> Self {
        Self(match prefix {
            "" => String::new(),
            prefix => format!("{prefix}:"),
        })
    }

    /// The entry of a connection.
    pub fn entry(&self, id: Id) -> String {
        format!("{}provider:conn:{id}", self.0)
    }

    /// The entries of connections.
    pub fn entries(&self, ids: &[Id]) -> Vec<String> {
        ids.iter().map(|id| self.entry(*id)).collect()
    }

    /// What is there as long as the entry needs no refreshing.
    pub fn fresh(&self, id: Id) -> String {
        format!("{}provider:conn-fresh:{id}", self.0)
    }

    /// The stale copy of the entry.
    pub fn stale(&self, id: Id) -> String {
        format!("{}provider:conn-stale:{id}", self.0)
    }

    /// All of a connection.
    pub fn all(&self, id: Id) -> Keys {
        Keys {
            entry: self.entry(id),
            fresh: self.fresh(id),
            stale: self.stale(id),
        }
    }
}
