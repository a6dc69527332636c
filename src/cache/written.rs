//! What this instance wrote of late. A replica follows with a delay: what was written here
//! is read from the primary, so that no answer is older than a write that it follows.

use std::cell::RefCell;
use std::num::NonZeroUsize;

use lru::LruCache;

use super::near::Hasher;
use crate::connection::Id;

/// By the time that so many others were written, the replica has followed.
const MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

/// The connections that were written last.
pub struct Written(RefCell<LruCache<Id, (), Hasher>>);

impl Written {
    /// None yet.
    pub fn new() -> Self {
        let mut ids = LruCache::unbounded_with_hasher(Hasher::default());
        ids.resize(MAX);
        Self(RefCell::new(ids))
    }

    /// Whether the connection is one of them.
    pub fn contains(&self, id: Id) -> bool {
        self.0.borrow().contains(&id)
    }

    /// Adds a connection.
    pub fn insert(&self, id: Id) {
        self.0.borrow_mut().put(id, ());
    }
}
