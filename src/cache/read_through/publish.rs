//! Publishing: stores the answer of the origin for all instances, in place of a lease or an entry, and
//! only if that is still there.

use std::rc::Rc;
use std::time::Duration;

use super::ReadThrough;
use crate::cache::lookup::{Entry, Outcome};
use crate::cache::marker::{Marker, Owner, Verdict};
use crate::config::{MAX_TTL_SECONDS, OriginPolicy, Ttl};
use crate::connection::{Id, ProviderConnection, entry};
use crate::origin::{Error, Fetched, Freshness};
use crate::redis::{Replacement, StaleCopy};

/// Instances that wait have this many seconds to read a verdict. For as long, a connection for which the
/// origin failed is not asked for again.
const VERDICT_TTL: u32 = 1;

/// What may be stored of an answer of the origin.
pub(super) enum Publication {
    Entry(ProviderConnection, StoredFor),
    /// There is a connection, but it must not be stored.
    NotStored(ProviderConnection),
    /// There is no connection. This is remembered for a time, or not at all.
    NotFound(Option<Ttl>),
    Failed(Error),
    /// The origin failed other requests in this way, and was not asked.
    LeftAlone(Error),
}

/// For how long an entry is stored.
pub(super) struct StoredFor {
    ttl: Ttl,
    /// For how long after that it may answer while the origin fails. None if the origin forbids it, or
    /// no entry may.
    stale_if_error: Option<Ttl>,
}

impl Publication {
    /// Decides what may be stored. A random `jitter` keeps entries that were stored at the same time
    /// from expiring at the same time.
    pub(super) fn new(
        fetched: Result<Fetched, Error>,
        policy: &OriginPolicy,
        default_ttl: Ttl,
        jitter: impl FnOnce(Duration) -> Duration,
    ) -> Self {
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(error) => return Self::Failed(error),
        };
        let cache_control = fetched.cache_control;
        let ttl = lifetime(cache_control.freshness, default_ttl, jitter);
        match (fetched.connection, ttl) {
            (Some(connection), Some(ttl)) => {
                let said = cache_control.stale_if_error;
                let shorter = policy.stale_if_error.map(|longest| {
                    let longest = longest.duration();
                    said.map_or(longest, |said| said.min(longest)).as_secs()
                });
                let shorter = shorter.and_then(|seconds| u32::try_from(seconds).ok());
                let stale_if_error = shorter.and_then(Ttl::from_seconds);
                Self::Entry(
                    connection,
                    StoredFor {
                        ttl,
                        stale_if_error,
                    },
                )
            }
            (Some(connection), None) => Self::NotStored(connection),
            (None, longest) => {
                let seconds = policy.negative_ttl.zip(longest);
                let shorter = seconds.map(|(ttl, longest)| ttl.seconds().min(longest.seconds()));
                Self::NotFound(shorter.and_then(Ttl::from_seconds))
            }
        }
    }

    /// Returns the outcome if it can be published.
    pub(super) fn outcome(self) -> Outcome<Rc<Entry>> {
        match self {
            Self::Entry(connection, stored) => Outcome::Stored(Rc::new(Entry {
                connection,
                remaining: Some(stored.ttl.duration()),
            })),
            Self::NotStored(connection) => Outcome::Passed(Rc::new(Entry::expired(connection))),
            Self::NotFound(_) => Outcome::NotFound,
            Self::Failed(error) | Self::LeftAlone(error) => Outcome::Failed(error),
        }
    }

    /// Returns true if it is the result of a request that had asked before.
    pub(super) fn is_of_another_request(&self) -> bool {
        matches!(self, Self::LeftAlone(_))
    }

    /// Returns the new value of the entry's key.
    fn replacement(&self, owner: Owner, policy: &OriginPolicy) -> Replacement {
        let verdict = match self {
            Self::Entry(connection, stored) => {
                let stale = stored.stale_if_error.map_or(Duration::ZERO, Ttl::duration);
                return Replacement {
                    value: entry::encode(connection),
                    ttl: stored.ttl,
                    fresh: policy
                        .refresh_ahead
                        .map(|share| share.of(stored.ttl.duration())),
                    copy: copies(policy, StaleCopy::Replaced(stale)),
                };
            }
            Self::NotFound(Some(ttl)) => return marker(Marker::NotFound, *ttl, policy),
            Self::NotFound(None) => Verdict::NotFound,
            Self::NotStored(_) => Verdict::NotStored,
            Self::Failed(error) | Self::LeftAlone(error) => Verdict::Failed(*error),
        };
        marker(Marker::Told(owner, verdict), verdict_ttl(), policy)
    }
}

/// Returns the fate of stale copies, if there are any.
fn copies(policy: &OriginPolicy, fate: StaleCopy) -> StaleCopy {
    policy.stale_if_error.map_or(StaleCopy::Kept, |_| fate)
}

fn marker(marker: Marker, ttl: Ttl, policy: &OriginPolicy) -> Replacement {
    Replacement {
        value: marker.encode(),
        ttl,
        fresh: None,
        copy: copies(policy, StaleCopy::Removed),
    }
}

fn verdict_ttl() -> Ttl {
    Ttl::from_seconds(VERDICT_TTL).unwrap_or(Ttl::DEFAULT)
}

/// Returns how long an answer may be stored, or none if it must not be.
fn lifetime(
    freshness: Freshness,
    default_ttl: Ttl,
    jitter: impl FnOnce(Duration) -> Duration,
) -> Option<Ttl> {
    let longest = match freshness {
        Freshness::Unsaid => default_ttl.duration(),
        Freshness::MaxAge(age) => age.min(Duration::from_secs(MAX_TTL_SECONDS.into())),
        Freshness::NoStore => return None,
    };
    let lifetime = longest - jitter(longest);
    let seconds = lifetime.as_millis().div_ceil(1_000);
    Ttl::from_seconds(u32::try_from(seconds).unwrap_or(MAX_TTL_SECONDS))
}

impl ReadThrough {
    /// Puts the publication in the place of `expected`. Returns false if that was not there any more,
    /// and none if Redis did not confirm it.
    pub(super) async fn publish(
        &self,
        id: Id,
        expected: &[u8],
        owner: Owner,
        publication: &Publication,
    ) -> Option<bool> {
        let keys = self.keyspace.connection(id);
        let replacement = publication.replacement(owner, &self.policy);
        let may_answer = match publication {
            Publication::Failed(error) => error.allows_stale().then_some(true),
            // Nothing was heard of this connection: its copy stays, even if it may not answer now.
            Publication::LeftAlone(error) => Some(error.allows_stale()),
            _ => None,
        };
        let may_answer = may_answer.filter(|_| self.policy.stale_if_error.is_some());
        let published = match may_answer {
            Some(may_answer) => {
                // Redis moves the stale copy into the marker. There, too, any write removes it.
                let (mut open, ttl) = (replacement.value, replacement.ttl);
                open.pop();
                let redis = &self.redis;
                let publish = redis.publish_failure(&keys, expected, open, ttl, may_answer);
                publish.await
            }
            None => self.redis.replace(&keys, expected, replacement).await,
        };
        published.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Share;
    use crate::origin::CacheControl;

    const ENTRY: &[u8] = br#"{"id":"0192f3a4-5b6c-7d8e-9f00-000000000001",
        "user_id":"0192f3a4-5b6c-7d8e-9f00-000000000002",
        "provider_id":"0192f3a4-5b6c-7d8e-9f00-000000000003","provider_slug":"bank",
        "status":"pending","created_at":"2026-01-27T05:17:19Z","updated_at":"2026-01-27T05:17:19Z"}"#;

    fn ttl(seconds: u32) -> Ttl {
        Ttl::from_seconds(seconds).expect("a lifetime")
    }

    const POLICY: OriginPolicy = OriginPolicy {
        negative_ttl: None,
        refresh_ahead: None,
        stale_if_error: None,
        ttl_jitter: Share::thousandths(0),
    };

    fn connection() -> ProviderConnection {
        entry::decode_given(ENTRY).expect("an entry")
    }

    fn publication(
        connection: Option<ProviderConnection>,
        freshness: Freshness,
        policy: &OriginPolicy,
    ) -> Publication {
        let fetched = Fetched {
            connection,
            cache_control: CacheControl {
                freshness,
                stale_if_error: None,
            },
        };
        Publication::new(Ok(fetched), policy, ttl(300), |_| Duration::ZERO)
    }

    #[test]
    fn a_lifetime_is_that_of_the_origin_or_the_default_and_never_beyond_the_longest() {
        let seconds = |freshness| lifetime(freshness, ttl(300), |_| Duration::ZERO);
        let age = |seconds| Freshness::MaxAge(Duration::from_secs(seconds));
        assert_eq!(seconds(Freshness::Unsaid), Some(ttl(300)));
        assert_eq!(seconds(age(7)), Some(ttl(7)));
        assert_eq!(
            seconds(age(u64::from(u32::MAX))),
            Some(ttl(MAX_TTL_SECONDS))
        );
        assert_eq!(seconds(Freshness::NoStore), None);
    }

    #[test]
    fn jitter_cuts_a_lifetime_to_the_next_whole_second() {
        for (cut, left) in [(0, 300), (1, 300), (999, 300), (1_000, 299), (299_999, 1)] {
            let jitter = |_| Duration::from_millis(cut);
            let lifetime = lifetime(Freshness::Unsaid, ttl(300), jitter);
            assert_eq!(lifetime, Some(ttl(left)), "{cut}");
        }
    }

    #[test]
    fn a_missing_connection_is_remembered_for_the_shorter_time_or_not_at_all() {
        let remembering = OriginPolicy {
            negative_ttl: Some(ttl(5)),
            ..POLICY
        };
        let age = |seconds| Freshness::MaxAge(Duration::from_secs(seconds));
        for (policy, freshness, remembered) in [
            (remembering, Freshness::Unsaid, Some(ttl(5))),
            (remembering, age(3), Some(ttl(3))),
            (remembering, Freshness::NoStore, None),
            (POLICY, Freshness::Unsaid, None),
        ] {
            let Publication::NotFound(found) = publication(None, freshness, &policy) else {
                panic!("there is no connection");
            };
            assert_eq!(found, remembered);
        }
    }

    #[test]
    fn an_entry_comes_with_its_auxiliary_keys() {
        let policy = OriginPolicy {
            refresh_ahead: Some(Share::thousandths(800)),
            stale_if_error: Some(ttl(60)),
            ..POLICY
        };
        let replacement = publication(Some(connection()), Freshness::Unsaid, &policy)
            .replacement(Owner(1), &policy);
        assert_eq!(replacement.ttl, ttl(300));
        assert_eq!(replacement.fresh, Some(Duration::from_secs(240)));
        let copy = StaleCopy::Replaced(Duration::from_secs(60));
        assert_eq!(replacement.copy, copy);
    }

    #[test]
    fn the_origin_may_shorten_the_time_for_stale_answers_and_not_lengthen_it() {
        let copies = OriginPolicy {
            stale_if_error: Some(ttl(60)),
            ..POLICY
        };
        let replaced = |seconds| StaleCopy::Replaced(Duration::from_secs(seconds));
        for (policy, said, copy) in [
            (copies, None, replaced(60)),
            (copies, Some(20), replaced(20)),
            (copies, Some(600), replaced(60)),
            (copies, Some(0), replaced(0)),
            (POLICY, Some(20), StaleCopy::Kept),
            (POLICY, None, StaleCopy::Kept),
        ] {
            let fetched = Fetched {
                connection: Some(connection()),
                cache_control: CacheControl {
                    freshness: Freshness::Unsaid,
                    stale_if_error: said.map(Duration::from_secs),
                },
            };
            let publication = Publication::new(Ok(fetched), &policy, ttl(300), |_| Duration::ZERO);
            let replacement = publication.replacement(Owner(1), &policy);
            assert_eq!(replacement.copy, copy, "{said:?}");
        }
    }

    #[test]
    fn a_verdict_is_read_at_once_and_removes_the_stale_copy() {
        let copies = OriginPolicy {
            stale_if_error: Some(ttl(60)),
            ..POLICY
        };
        for (policy, copy) in [(POLICY, StaleCopy::Kept), (copies, StaleCopy::Removed)] {
            let publication = publication(Some(connection()), Freshness::NoStore, &policy);
            let replacement = publication.replacement(Owner(1), &policy);
            let told = Marker::Told(Owner(1), Verdict::NotStored);
            assert_eq!(Marker::decode(&replacement.value), Some(told));
            assert_eq!(replacement.ttl, ttl(VERDICT_TTL));
            assert_eq!((replacement.fresh, replacement.copy), (None, copy));
        }
    }
}
