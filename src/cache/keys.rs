//! What the keys are called.

use super::history::Hour;
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

    /// What was counted in an hour.
    pub fn stats(&self, hour: Hour) -> String {
        format!("{}provider:conn-stats:{hour}", self.0)
    }

    /// What was counted for as long as something was.
    pub fn stats_in_all(&self) -> String {
        format!("{}provider:conn-stats:total", self.0)
    }

    /// The connection of which this is the entry's key.
    pub fn id_of(&self, key: &str) -> Option<Id> {
        let id = key.strip_prefix(&self.0)?.strip_prefix("provider:conn:")?;
        let parsed = Id::parse("id", id).ok()?;
        // Other spellings than ours are other keys.
        (parsed.to_string() == id).then_some(parsed)
    }

    /// The pattern that the keys of entries match, and no others but those of other ids.
    pub fn entries_pattern(&self) -> String {
        let mut pattern = String::new();
        for letter in self.0.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        // As long as an id, with hyphens where it has them.
        pattern + "provider:conn:????????-????-????-????-????????????"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_known_by_its_key() {
        let id = Id::parse("id", "0192f3a4-5b6c-7d8e-9f00-000000000001").unwrap();
        for prefix in ["", "a", "a:b", "*"] {
            let names = Names::new(prefix);
            assert_eq!(names.id_of(&names.entry(id)), Some(id), "{prefix}");
            for other in [
                names.fresh(id),
                names.stale(id),
                names.stats_in_all(),
                names.entry(id).to_uppercase(),
                format!("{}x", names.entry(id)),
                format!("x:{}", names.entry(id)),
                names.entry(id).replace('-', ""),
                String::new(),
            ] {
                assert_eq!(names.id_of(&other), None, "{other}");
            }
        }
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        assert!(
            Names::new(r"a*[b]?\")
                .entries_pattern()
                .starts_with(r"a\*\[b\]\?\\:provider:conn:????????-")
        );
    }
}
