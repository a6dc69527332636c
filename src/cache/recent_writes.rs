//! What this instance wrote recently. A replica lags behind. Connections written here are read from
//! the primary, so that no answer is older than a write before it.

use std::cell::RefCell;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::num::NonZeroUsize;

use lru::LruCache;

use crate::connection::Id;

/// The keys are UUIDs, and few. A fixed hash is enough, and needs nothing from the host.
type Hasher = BuildHasherDefault<DefaultHasher>;

/// After this many other writes, the replica has caught up.
const MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

/// The connections written last.
pub(super) struct RecentWrites(RefCell<LruCache<Id, (), Hasher>>);

impl RecentWrites {
    pub(super) fn new() -> Self {
        let mut ids = LruCache::unbounded_with_hasher(Hasher::default());
        ids.resize(MAX);
        Self(RefCell::new(ids))
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        self.0.borrow().contains(&id)
    }

    pub(super) fn insert(&self, id: Id) {
        self.0.borrow_mut().put(id, ());
    }
}
