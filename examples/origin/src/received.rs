//! What was asked, so that a test can tell what a cache saved.

use std::collections::{HashMap, VecDeque};

use hyper::HeaderMap;

const TARGETS: usize = 1_000;

/// The lookups of connections, answered or not.
#[derive(Default)]
pub(crate) struct Received {
    total: u64,
    by_id: HashMap<String, u64>,
    targets: VecDeque<String>,
    headers: HeaderMap,
}

impl Received {
    pub(crate) fn record(&mut self, id: &str, target: &str, headers: &HeaderMap) {
        self.headers = headers.clone();
        self.total += 1;
        *self.by_id.entry(id.to_owned()).or_default() += 1;
        if self.targets.len() == TARGETS {
            self.targets.pop_front();
        }
        self.targets.push_back(target.to_owned());
    }

    /// Those of the last of them.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn of(&self, id: &str) -> u64 {
        self.by_id.get(id).copied().unwrap_or_default()
    }

    /// The last of them, oldest first.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.targets.iter().cloned().collect()
    }
}
