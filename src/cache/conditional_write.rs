//! Conditional writes: each reads the value, decides, and takes effect only if the key still holds what
//! was read. So of two writers who read the same entry, one wins.

use super::stored_value::{Content, StoredValue};
use crate::connection::{Id, Revision};
use crate::redis::{AuxiliaryKeys, Change, Error, Redis};

/// A condition on the revision of the entry. None means that there is no entry: the key does not exist,
/// or holds a corrupt value or a marker.
pub type Condition<'a> = dyn Fn(Option<Revision>) -> bool + 'a;

/// The result of a conditional removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The entry existed, corrupt or not, and is removed.
    Removed,
    /// There was no entry. The condition did not matter.
    Absent,
    /// The condition does not hold. Nothing was changed.
    PreconditionFailed,
}

/// The result of a conditional write.
pub(super) enum Written {
    /// It took effect.
    Done {
        /// Whether there was an entry before, corrupt or not.
        existed: bool,
    },
    /// The condition does not hold. Nothing was changed.
    PreconditionFailed,
}

/// A conditional write.
pub(super) struct ConditionalWrite<'a> {
    pub(super) redis: &'a Redis,
    pub(super) id: Id,
    pub(super) key: String,
    pub(super) auxiliary: AuxiliaryKeys,
    pub(super) change: Change,
    pub(super) condition: &'a Condition<'a>,
}

impl ConditionalWrite<'_> {
    /// Carries it out. A condition on the removal of nothing is ignored (RFC 9110, section 13.2.1), but a
    /// marker goes, as in any removal.
    pub(super) async fn run(self) -> Result<Written, Error> {
        let deadline = self.redis.deadline();
        // Whether a write was sent whose reply was lost: it may have taken effect.
        let mut lost = false;
        loop {
            let found = self.redis.get_to_change(&self.key, &deadline).await;
            let stored = StoredValue::decode(self.id, found);
            let (existed, revision) = match stored.content {
                Content::Entry(entry) => (true, Some(Revision::of(&entry.connection))),
                Content::Corrupt(_) => (true, None),
                Content::Nothing | Content::Marker(_) => (false, None),
                Content::Unavailable(error) => return Err(error),
            };
            let present = stored.bytes.as_deref();
            let depends = match &self.change {
                Change::Set(value, _) if lost && present == Some(value) => {
                    return Ok(Written::Done { existed });
                }
                Change::Set(..) => true,
                Change::Delete => existed,
            };
            if depends && !(self.condition)(revision) {
                // If it took effect, another write did after it.
                return match lost {
                    true => Err(Error::ConnectionLost),
                    false => Ok(Written::PreconditionFailed),
                };
            }
            let changed = self.redis.change_if_unchanged(
                &self.key,
                present,
                &self.change,
                &self.auxiliary,
                &deadline,
            );
            match changed.await {
                Ok(true) => return Ok(Written::Done { existed }),
                // A command that is sent with no time left would look like a Redis that does not answer.
                Ok(false) if deadline.is_half_over() => return Err(Error::Timeout),
                Ok(false) => {}
                Err(Error::ConnectionLost) if !lost => lost = true,
                Err(error) => return Err(error),
            }
        }
    }
}
