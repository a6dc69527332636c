//! Leases: of all instances that miss an entry at the same time, one asks the origin.
//!
//! The lease is a marker under the key of the entry. If its owner dies, the lease expires, and one of
//! the instances that wait takes the next one.

use std::rc::Rc;
use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;

use super::breaker::Decision;
use super::{ReadThrough, failed};
use crate::cache::lookup::{Absence, Entry, Outcome};
use crate::cache::marker::{Marker, Owner, Verdict};
use crate::cache::stored_value::{Content, StoredValue};
use crate::connection::Id;
use crate::origin;
use crate::rt::deadline::nanoseconds;

/// No configuration makes a lease live longer. A value that claims to is not a lease.
const LONGEST_LEASE: Duration = Duration::from_secs(180);

/// An instance that waits looks again after 5 ms, and then after twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(40);

/// How a read goes on that found no entry.
pub(super) enum Turn {
    /// Ask the origin if it is not left alone, and store its answer. These are the bytes of our lease, and
    /// the decision that came with it.
    Lead(Vec<u8>, Option<Decision>),
    /// Ask the origin, and store nothing.
    Bypass,
    /// There is an entry by now. If we `waited`, another instance asked for it.
    Found { entry: Rc<Entry>, waited: bool },
    /// The connection is known not to exist by now. If we `waited`, another instance asked.
    NotFound { waited: bool },
    /// The origin failed another instance while we waited.
    Failed(Outcome<Rc<Entry>>),
}

/// The next step towards a [`Turn`].
#[cfg_attr(test, derive(Debug, PartialEq))]
enum Step {
    Lead,
    Bypass,
    Found(Rc<Entry>),
    NotFound,
    Failed(origin::Error),
    /// Wait for the owner of a lease.
    Wait(Owner),
    /// Try to take the lease. It passes on the verdict of the owner before.
    TakeLease(Option<Verdict>),
}

/// Decides the next step of `owner`, which has `waited_for` another owner or for none.
fn next_step(stored: &StoredValue, owner: Owner, waited_for: Option<Owner>) -> Step {
    let verdict = match &stored.content {
        Content::Entry(entry) => return Step::Found(Rc::clone(entry)),
        Content::Marker(Marker::NotFound) => return Step::NotFound,
        Content::Unavailable(_) => return Step::Bypass,
        // The command that took our lease was sent twice.
        Content::Marker(Marker::Lease(of, _)) if *of == owner => return Step::Lead,
        // This concerns who comes now, too: it is a moment old.
        Content::Marker(Marker::Told(_, Verdict::Failed(error))) if stored.is_brief() => {
            return Step::Failed(*error);
        }
        Content::Marker(Marker::Told(_, verdict)) => Some(*verdict),
        // The owner we waited for got this verdict, and another one asks again.
        Content::Marker(Marker::Lease(of, before)) if waited_for != Some(*of) => *before,
        Content::Marker(Marker::Lease(..)) | Content::Nothing | Content::Corrupt(_) => None,
    };
    match verdict.filter(|_| waited_for.is_some()) {
        Some(Verdict::NotFound) => return Step::NotFound,
        Some(Verdict::NotStored) => return Step::Bypass,
        Some(Verdict::Failed(error)) => return Step::Failed(error),
        None => {}
    }
    match stored.content {
        Content::Marker(Marker::Lease(of, _)) if waited_for != Some(of) || is_lease(stored) => {
            Step::Wait(of)
        }
        _ => Step::TakeLease(verdict),
    }
}

fn is_lease(stored: &StoredValue) -> bool {
    stored
        .remaining
        .is_some_and(|remaining| remaining <= LONGEST_LEASE)
}

impl ReadThrough {
    /// Takes the lease, or waits for the instance that has it. There is time for two leases, because
    /// the owner of the first may die.
    ///
    /// Corrects `because`: a first read of two keys (MGET) cannot tell a value of another type from
    /// none.
    pub(super) async fn turn(
        &self,
        id: Id,
        owner: Owner,
        mut stored: StoredValue,
        because: &mut Absence,
    ) -> Turn {
        let patience = monotonic_clock::now().saturating_add(nanoseconds(2 * self.lease));
        let mut waited_for = None;
        let mut pause = FIRST_PAUSE;
        while monotonic_clock::now() < patience {
            if let Content::Corrupt(_) = stored.content {
                *because = stored.absence();
            }
            let waited = waited_for.is_some();
            match next_step(&stored, owner, waited_for) {
                Step::Lead => return Turn::Lead(stored.bytes.unwrap_or_default(), None),
                Step::Bypass => return Turn::Bypass,
                Step::Found(entry) => return Turn::Found { entry, waited },
                Step::NotFound => return Turn::NotFound { waited },
                Step::Failed(error) => {
                    return Turn::Failed(failed(id, error, stored.bytes.as_deref()));
                }
                Step::Wait(of) => {
                    waited_for = Some(of);
                    monotonic_clock::wait_for(nanoseconds(pause)).await;
                    pause = LONGEST_PAUSE.min(2 * pause);
                }
                Step::TakeLease(before) => {
                    if let Some(turn) = self.take_lease(id, owner, before, &stored).await {
                        return turn;
                    }
                }
            }
            stored = self.look(id).await;
        }
        Turn::Bypass
    }

    /// Takes the lease in place of the stored value, or goes on without Redis if that fails. Returns none
    /// if another instance was faster.
    async fn take_lease(
        &self,
        id: Id,
        owner: Owner,
        before: Option<Verdict>,
        stored: &StoredValue,
    ) -> Option<Turn> {
        let key = self.keyspace.entry(id);
        let lease = Marker::Lease(owner, before).encode();
        let expected = match stored.content {
            Content::Nothing => None,
            _ => Some(stored.bytes.as_deref().unwrap_or_default()),
        };
        let taken = self.breaker.take_lease(&key, expected, lease.clone());
        match taken.await {
            Ok(decision) => decision.map(|decision| Turn::Lead(lease, Some(decision))),
            Err(_) => Some(Turn::Bypass),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::entry::DecodeError;
    use crate::redis;

    const OWNER: Owner = Owner(1);
    const OTHER: Owner = Owner(2);
    const THIRD: Owner = Owner(3);
    const FAILED: Verdict = Verdict::Failed(origin::Error::Timeout);

    fn step(content: Content, waited_for: Option<Owner>) -> Step {
        let stored = StoredValue {
            content,
            bytes: None,
            remaining: Some(LONGEST_LEASE),
            fresh: false,
        };
        next_step(&stored, OWNER, waited_for)
    }

    #[test]
    fn the_first_to_come_takes_the_lease_and_the_others_wait() {
        assert_eq!(step(Content::Nothing, None), Step::TakeLease(None));
        let corrupt = Content::Corrupt(DecodeError::NotAnObject);
        assert_eq!(step(corrupt, None), Step::TakeLease(None));
        for waited_for in [None, Some(OTHER)] {
            let lease = Content::Marker(Marker::Lease(OTHER, None));
            assert_eq!(step(lease, waited_for), Step::Wait(OTHER));
        }
    }

    #[test]
    fn a_lease_that_was_taken_twice_is_ours() {
        for waited_for in [None, Some(OTHER)] {
            let lease = Content::Marker(Marker::Lease(OWNER, None));
            assert_eq!(step(lease, waited_for), Step::Lead);
        }
    }

    #[test]
    fn a_failure_concerns_all_who_come_in_its_moment() {
        let failed = || Step::Failed(origin::Error::Timeout);
        for waited_for in [None, Some(OTHER)] {
            let marker = Content::Marker(Marker::Told(OTHER, FAILED));
            assert_eq!(step(marker, waited_for), failed());
        }
        // A marker that lives as long as the stale entry in it, which cannot be read.
        let mut bytes = Marker::Told(OTHER, FAILED).encode();
        bytes.splice(bytes.len() - 1.., *br#","stale":{}}"#);
        let stored = StoredValue {
            content: Content::Marker(Marker::Told(OTHER, FAILED)),
            bytes: Some(bytes),
            remaining: None,
            fresh: false,
        };
        assert_eq!(
            next_step(&stored, OWNER, None),
            Step::TakeLease(Some(FAILED))
        );
        assert_eq!(next_step(&stored, OWNER, Some(OTHER)), failed());
    }

    #[test]
    fn another_verdict_concerns_those_who_waited_alone() {
        for (verdict, told) in [
            (Verdict::NotFound, Step::NotFound),
            (Verdict::NotStored, Step::Bypass),
        ] {
            let marker = || Content::Marker(Marker::Told(OTHER, verdict));
            assert_eq!(step(marker(), None), Step::TakeLease(Some(verdict)));
            assert_eq!(step(marker(), Some(OTHER)), told);
        }
    }

    #[test]
    fn a_verdict_reaches_those_who_did_not_look_in_time() {
        let lease = || Content::Marker(Marker::Lease(THIRD, Some(FAILED)));
        let failed = Step::Failed(origin::Error::Timeout);
        assert_eq!(step(lease(), Some(OTHER)), failed);
        assert_eq!(step(lease(), Some(THIRD)), Step::Wait(THIRD));
        assert_eq!(step(lease(), None), Step::Wait(THIRD));
    }

    #[test]
    fn a_lease_that_lasts_too_long_is_taken_over() {
        for remaining in [None, Some(LONGEST_LEASE + Duration::from_millis(1))] {
            let stored = StoredValue {
                content: Content::Marker(Marker::Lease(OTHER, None)),
                bytes: None,
                remaining,
                fresh: false,
            };
            assert_eq!(next_step(&stored, OWNER, None), Step::Wait(OTHER));
            let next = next_step(&stored, OWNER, Some(OTHER));
            assert_eq!(next, Step::TakeLease(None));
        }
    }

    #[test]
    fn without_redis_nobody_waits() {
        let unavailable = Content::Unavailable(redis::Error::Timeout);
        assert_eq!(step(unavailable, Some(OTHER)), Step::Bypass);
    }
}
