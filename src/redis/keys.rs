//! The names of keys.

use crate::connection::Id;
use crate::stats::Hour;

/// The keys under one prefix.
#[derive(Clone)]
pub(crate) struct Keyspace(String);

/// The keys of one connection.
pub(crate) struct ConnectionKeys {
    pub(super) entry: String,
    pub(super) fresh: String,
    pub(super) stale: String,
}

/// The keys of the circuit breaker of the origin.
pub(crate) struct BreakerKeys {
    /// Exists while the origin is left alone.
    pub(super) pause: String,
    /// The failures in a row.
    pub(super) failures: String,
}

impl Keyspace {
    pub(crate) fn new(prefix: &str) -> Self {
        Self(match prefix {
            "" => String::new(),
            prefix => format!("{prefix}:"),
        })
    }

    pub(crate) fn entry(&self, id: Id) -> String {
        format!("{}provider:conn:{id}", self.0)
    }

    pub(crate) fn entries(&self, ids: &[Id]) -> Vec<String> {
        ids.iter().map(|id| self.entry(*id)).collect()
    }

    /// Returns the key that exists while the entry needs no refreshing.
    pub(crate) fn fresh(&self, id: Id) -> String {
        format!("{}provider:conn-fresh:{id}", self.0)
    }

    /// Returns keys beside those of entries that never exist: readiness tries commands on them.
    pub(crate) fn probes(&self) -> [String; 2] {
        ["a", "b"].map(|name| format!("{}provider:conn:ready-{name}", self.0))
    }

    /// Returns a key, which never exists, of each kind that reading through has besides entries.
    pub(crate) fn probes_of_reading_through(&self) -> [String; 3] {
        ["fresh", "stale", "origin"].map(|kind| format!("{}provider:conn-{kind}:ready", self.0))
    }

    /// Returns the key of the stale copy: the entry, for a while longer than it lives.
    pub(crate) fn stale(&self, id: Id) -> String {
        format!("{}provider:conn-stale:{id}", self.0)
    }

    pub(crate) fn origin_breaker(&self) -> BreakerKeys {
        BreakerKeys {
            pause: format!("{}provider:conn-origin:pause", self.0),
            failures: format!("{}provider:conn-origin:failures", self.0),
        }
    }

    /// Returns a key of a slot in the store of the host.
    pub(crate) fn edge(&self, kind: &str, slot: u32) -> String {
        format!("{}provider:conn-edge:{kind}:{slot}", self.0)
    }

    /// Returns the key of the counts of an hour.
    pub(crate) fn stats(&self, hour: Hour) -> String {
        format!("{}provider:conn-stats:{hour}", self.0)
    }

    /// Returns the key of all counts since counting began.
    pub(crate) fn total_stats(&self) -> String {
        format!("{}provider:conn-stats:total", self.0)
    }

    /// Returns the connection whose entry has this key.
    pub(crate) fn id_of(&self, key: &str) -> Option<Id> {
        let id = key.strip_prefix(&self.0)?.strip_prefix("provider:conn:")?;
        let parsed = Id::parse("id", id).ok()?;
        // Another spelling of the id is another key.
        (parsed.to_string() == id).then_some(parsed)
    }

    /// Returns a pattern for SCAN that matches the keys of all entries and no auxiliary key.
    pub(crate) fn entries_pattern(&self) -> String {
        let mut pattern = String::new();
        for letter in self.0.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        // As long as an id, and with its hyphens.
        pattern + "provider:conn:????????-????-????-????-????????????"
    }

    pub(crate) fn connection(&self, id: Id) -> ConnectionKeys {
        ConnectionKeys {
            entry: self.entry(id),
            fresh: self.fresh(id),
            stale: self.stale(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_known_by_its_key() {
        let id = Id::parse("id", "0192f3a4-5b6c-7d8e-9f00-000000000001").unwrap();
        for prefix in ["", "a", "a:b", "*"] {
            let keyspace = Keyspace::new(prefix);
            assert_eq!(keyspace.id_of(&keyspace.entry(id)), Some(id), "{prefix}");
            for other in [
                keyspace.fresh(id),
                keyspace.stale(id),
                keyspace.total_stats(),
                keyspace.probes()[0].clone(),
                keyspace.entry(id).to_uppercase(),
                format!("{}x", keyspace.entry(id)),
                format!("x:{}", keyspace.entry(id)),
                keyspace.entry(id).replace('-', ""),
                String::new(),
            ] {
                assert_eq!(keyspace.id_of(&other), None, "{other}");
            }
        }
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        assert!(
            Keyspace::new(r"a*[b]?\")
                .entries_pattern()
                .starts_with(r"a\*\[b\]\?\\:provider:conn:????????-")
        );
    }
}
