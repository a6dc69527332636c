//! The circuit breaker of the origin: an outage costs a request now and then, and not one for each
//! lookup.
//!
//! Its state is in Redis, for all instances and hosts: one that begins learns of an outage without a
//! request, and one whose own network is broken does not cut off the others, because their successes
//! end the row of its failures. While Redis takes no note of it, an instance goes by what it saw itself.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;

use crate::log;
use crate::origin::{Error, Failure, Fetched, Health};
use crate::redis::{self, BreakerKeys, FailedRequest, Permission, Redis};
use crate::rt::deadline::nanoseconds;

pub(super) struct Breaker {
    redis: Rc<Redis>,
    keys: BreakerKeys,
    /// The lifetime of a lease, in which a probe ends.
    longest: Duration,
    /// Whether it ever opens: not if each host has an origin of its own.
    opens: bool,
    /// An outage that Redis took no note of.
    seen: RefCell<Option<SeenOutage>>,
}

/// To let a request through, or why the origin is left alone.
pub(super) type Decision = Result<Permission, Error>;

/// An outage that this instance saw.
struct SeenOutage {
    cause: Error,
    /// When to ask again, by the monotonic clock, in nanoseconds.
    until: u64,
}

/// An instance that goes by what it saw leaves the origin alone for this long, or for longer if the
/// origin asks for it.
const PAUSE: Duration = Duration::from_secs(1);

impl Breaker {
    pub(super) fn new(redis: Rc<Redis>, keys: BreakerKeys, longest: Duration, opens: bool) -> Self {
        Self {
            redis,
            keys,
            longest,
            opens,
            seen: RefCell::new(None),
        }
    }

    /// Decides on a request.
    pub(super) async fn decide(&self) -> Decision {
        if !self.opens {
            return Ok(Permission::Granted);
        }
        let sees_none = self.seen.borrow().is_none();
        if sees_none
            && let Ok(permission) = self.redis.origin_permission(&self.keys, self.longest).await
        {
            return self.decide_by(permission);
        }
        self.decide_without_redis()
    }

    /// Takes a lease, as [`Redis::take_lease`] does, and decides on its request. Returns none if another
    /// instance was faster.
    pub(super) async fn take_lease(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        lease: Vec<u8>,
    ) -> Result<Option<Decision>, redis::Error> {
        let (redis, keys) = (&self.redis, &self.keys);
        let taken = redis.take_lease(key, keys, expected, lease, self.longest);
        Ok(taken.await?.map(|permission| self.decide_by(permission)))
    }

    /// Lets a request through unless the cause of a pause is known: somebody else wrote it.
    fn decide_by(&self, permission: Permission) -> Decision {
        let Permission::Refused(cause) = permission else {
            return Ok(permission);
        };
        match Error::from_code(&cause) {
            Some(error) if self.opens => Err(error),
            _ => Ok(Permission::Granted),
        }
    }

    fn decide_without_redis(&self) -> Decision {
        let mut seen = self.seen.borrow_mut();
        let now = monotonic_clock::now();
        match &mut *seen {
            Some(outage) if now < outage.until => Err(outage.cause),
            Some(outage) => {
                outage.until = now.saturating_add(nanoseconds(self.longest));
                Ok(Permission::Probe)
            }
            None => Ok(Permission::Granted),
        }
    }

    /// Notes the result of a request that was let through.
    pub(super) async fn note(&self, permission: &Permission, result: &Result<Fetched, Failure>) {
        if !self.opens {
            return;
        }
        let failure = result.as_ref().err();
        match failure.map_or(Health::Up, |failure| failure.error.health()) {
            Health::Unknown => {}
            Health::Up => self.succeeded(permission).await,
            Health::Down => {
                if let Some(failure) = failure {
                    self.failed(permission, failure).await;
                }
            }
        }
    }

    async fn succeeded(&self, permission: &Permission) {
        *self.seen.borrow_mut() = None;
        if *permission == Permission::Granted {
            return;
        }
        let probe = *permission == Permission::Probe;
        if self.redis.origin_succeeded(&self.keys, probe).await == Ok(true) {
            log::event(log::Event::OriginBreakerClosed, &[]);
        }
    }

    async fn failed(&self, permission: &Permission, failure: &Failure) {
        let retry_after = failure.retry_after.unwrap_or_default();
        let failed = FailedRequest {
            cause: &failure.error.code(),
            probe: *permission == Permission::Probe,
            retry_after,
        };
        let noted = self.redis.origin_failed(&self.keys, failed).await;
        if noted == Ok(true) {
            log::event(
                log::Event::OriginBreakerOpened,
                &[("reason", &failure.error)],
            );
        }
        let pause = nanoseconds(PAUSE.max(retry_after));
        *self.seen.borrow_mut() = noted.is_err().then(|| SeenOutage {
            cause: failure.error,
            until: monotonic_clock::now().saturating_add(pause),
        });
    }
}
