//! Refreshing: asks the origin again for an entry that gets old, or whether the origin still fails.

use std::rc::Rc;
use std::time::Duration;

use super::ReadThrough;
use super::publish::Publication;
use crate::cache::marker::{self, Owner};
use crate::config::{Share, Ttl};
use crate::connection::Id;
use crate::rt::random;
use crate::rt::task::spawn;

/// Returns how long an entry needs no refreshing yet, or none if it is due.
///
/// All that is known of an entry which the existing application stored is the rest of its lifetime.
/// The whole is taken to be the default.
fn time_until_due(remaining: Duration, default_ttl: Ttl, share: Share) -> Option<Duration> {
    let whole = default_ttl.duration();
    let due_at = whole - share.of(whole);
    remaining.checked_sub(due_at).filter(|left| !left.is_zero())
}

impl ReadThrough {
    /// Refreshes a value after the lookup that found it has been answered.
    pub(super) fn refresh_in_background(self: &Rc<Self>, id: Id, bytes: Option<Vec<u8>>) {
        let read_through = Rc::clone(self);
        if let Some(bytes) = bytes {
            spawn(async move { read_through.refresh(id, &bytes).await });
        }
    }

    /// Asks the origin again, unless another instance does or did a moment ago. The answer replaces
    /// the stored value, unless that was written in between.
    ///
    /// The key of the entry holds an entry or the marker of a failure. So the lease is under the key
    /// that says how long the entry is fresh. It expires by itself, which leaves an origin that fails
    /// alone for a while.
    ///
    /// A refusal takes an entry away, too: the database can answer the caller, and this cache must not
    /// answer what the origin keeps from it.
    async fn refresh(&self, id: Id, stored: &[u8]) {
        let fresh = self.keyspace.fresh(id);
        let lease = self.redis.set_if_absent(&fresh, Vec::new(), self.lease);
        if lease.await != Ok(true) {
            return;
        }
        let is_entry = !stored.starts_with(marker::PREFIX);
        if is_entry && !self.is_due(id, &fresh).await {
            // If the origin fails when the entry expires, this copy can answer.
            self.keep_stale(id, stored).await;
            return;
        }
        let publication = self.fetch(id, None).await;
        match publication {
            Publication::NotStored(_) if is_entry => {}
            Publication::Failed(error) | Publication::LeftAlone(error)
                if is_entry && error.allows_stale() =>
            {
                self.keep_stale(id, stored).await;
            }
            // It says nothing of the connection.
            Publication::Failed(error) if is_entry && !error.is_refusal() => {}
            // The stored marker says so already.
            Publication::Failed(error) if error.allows_stale() => {}
            Publication::LeftAlone(_) => {}
            _ => {
                let owner = Owner(random::number());
                self.publish(id, stored, owner, &publication).await;
            }
        }
    }

    /// Returns true if an entry is due. If it is not, remembers until when.
    async fn is_due(&self, id: Id, fresh: &str) -> bool {
        let remaining = self.redis.remaining(&self.keyspace.entry(id)).await;
        let (Ok(Some(remaining)), Some(share)) = (remaining, self.policy.refresh_ahead) else {
            return false;
        };
        match time_until_due(remaining, self.default_ttl, share) {
            None => true,
            Some(left) => {
                // If this fails, the next hit tries again.
                let _ignored = self.redis.set_for(fresh, left).await;
                false
            }
        }
    }

    /// Copies an entry, to answer after it has expired.
    async fn keep_stale(&self, id: Id, entry: &[u8]) {
        if let Some(longer) = self.policy.stale_if_error {
            let keys = self.keyspace.connection(id);
            let _ignored = self.redis.keep_stale(&keys, entry, longer).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_due_after_its_share_of_the_default_lifetime() {
        let share = Share::thousandths(800);
        for (remaining, left) in [(300, 240), (61, 1), (60, 0), (1, 0), (1_000, 940)] {
            let remaining = Duration::from_secs(remaining);
            let left = Some(Duration::from_secs(left)).filter(|left| !left.is_zero());
            assert_eq!(time_until_due(remaining, Ttl::DEFAULT, share), left);
        }
    }
}
