//! Reading through: asks the origin for what is not cached, once, and stores the answer.
//!
//! [`ReadThrough::read`] completes a lookup. Where there is no entry, one instance asks the origin and
//! the others wait for it: [`lease`] decides which one, and [`publish`] stores the answer for all.
//! [`breaker`] leaves an origin that is down alone.
//! [`refresh`] asks again for an entry that gets old, after the lookup has been answered.

mod breaker;
mod lease;
mod publish;
mod refresh;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use self::breaker::{Breaker, Decision};
use self::lease::Turn;
use self::publish::Publication;
use super::lookup::{Entry, Forward, Lookup, Outcome};
use super::marker::{self, Marker, Owner, Verdict};
use super::stored_value::{Content, StoredValue};
use crate::config::{OriginPolicy, Ttl};
use crate::connection::Id;
use crate::origin::{self, Origin};
use crate::redis::{AuxiliaryKeys, Keyspace, ReadOptions, Redis};
use crate::rt::random;
use crate::rt::singleflight::Singleflight;
use crate::stats::Stats;

/// Reads through Redis to the origin.
pub(super) struct ReadThrough {
    redis: Rc<Redis>,
    keyspace: Keyspace,
    origin: Origin,
    breaker: Breaker,
    policy: OriginPolicy,
    default_ttl: Ttl,
    /// The lifetime of a lease: enough to ask the origin and to store its answer.
    lease: Duration,
    /// How many requests to the origin have begun, for lookups.
    begun: Cell<u64>,
    /// The requests in flight.
    forwards: Singleflight<Id, Lookup<Rc<Entry>>>,
    stats: Rc<Stats>,
}

/// The parts of a [`ReadThrough`].
pub(super) struct Parts {
    pub(super) redis: Rc<Redis>,
    pub(super) keyspace: Keyspace,
    pub(super) origin: Origin,
    pub(super) policy: OriginPolicy,
    pub(super) default_ttl: Ttl,
    /// The limit of one request to the origin.
    pub(super) origin_timeout: Duration,
    /// The limit of one Redis command.
    pub(super) redis_timeout: Duration,
    pub(super) stats: Rc<Stats>,
}

impl ReadThrough {
    pub(super) fn new(parts: Parts) -> Rc<Self> {
        let lease = parts.origin_timeout + 2 * parts.redis_timeout;
        let keys = parts.keyspace.origin_breaker();
        Rc::new(Self {
            breaker: Breaker::new(
                Rc::clone(&parts.redis),
                keys,
                lease,
                parts.origin.is_shared(),
            ),
            redis: parts.redis,
            keyspace: parts.keyspace,
            origin: parts.origin,
            policy: parts.policy,
            default_ttl: parts.default_ttl,
            lease,
            begun: Cell::new(0),
            forwards: Singleflight::default(),
            stats: parts.stats,
        })
    }

    /// Returns true if reads must find out whether it is time for a refresh.
    pub(super) fn refreshes(&self) -> bool {
        self.policy.refresh_ahead.is_some() || self.policy.stale_if_error.is_some()
    }

    /// Returns the auxiliary keys that a write of these entries, with this lifetime, changes.
    pub(super) fn auxiliary_keys(&self, ids: &[Id], ttl: Ttl) -> AuxiliaryKeys {
        let keys = |wanted: bool, key: &dyn Fn(Id) -> String| {
            let ids = ids.iter().filter(|_| wanted);
            ids.map(|id| key(*id)).collect()
        };
        let share = self.policy.refresh_ahead;
        let copies = self.policy.stale_if_error.is_some();
        AuxiliaryKeys {
            fresh: keys(share.is_some(), &|id| self.keyspace.fresh(id)),
            fresh_for: share.map_or(Duration::ZERO, |share| share.of(ttl.duration())),
            stale: keys(copies, &|id| self.keyspace.stale(id)),
        }
    }

    /// Keeps new callers from joining requests for these connections, which were written.
    pub(super) fn forget(&self, ids: &[Id]) {
        self.forwards.forget(|id| ids.contains(&id));
    }

    /// Returns how many requests to the origin this instance has begun for lookups.
    pub(super) fn requests_begun(&self) -> u64 {
        self.begun.get()
    }

    /// Counts a request that begins. Returns its number.
    fn begin_request(&self) -> u64 {
        let number = self.begun.get() + 1;
        self.begun.set(number);
        number
    }

    /// Completes a lookup that found this value in Redis.
    pub(super) async fn read(self: &Rc<Self>, id: Id, stored: StoredValue) -> Lookup<Rc<Entry>> {
        match stored.content {
            Content::Entry(entry) => {
                if self.policy.refresh_ahead.is_some() && !stored.fresh {
                    self.refresh_in_background(id, stored.bytes);
                }
                Lookup::Hit(entry)
            }
            Content::Marker(Marker::NotFound) => Lookup::NotFound,
            // In a box, for hits would carry it along.
            _ => {
                let forward = Box::pin(self.forward(id, stored));
                Lookup::shared(self.forwards.share(id, forward).await)
            }
        }
    }

    /// Asks the origin, unless another instance does.
    async fn forward(self: &Rc<Self>, id: Id, stored: StoredValue) -> Lookup<Rc<Entry>> {
        let mut forward = Forward {
            because: stored.absence(),
            outcome: Outcome::NotFound,
            collapsed: true,
            overtaken: None,
        };
        if let Some(stale) = self.stale_while_failing(id, &stored) {
            forward.outcome = stale;
            return Lookup::Forwarded(forward);
        }
        let owner = Owner(random::number());
        match self.turn(id, owner, stored, &mut forward.because).await {
            Turn::Lead(lease, decision) => {
                forward.overtaken = Some(self.begin_request());
                let publication = self.fetch(id, decision).await;
                self.lead(id, owner, &lease, publication, &mut forward)
                    .await;
            }
            Turn::Bypass => {
                forward.overtaken = Some(self.begin_request());
                let publication = self.fetch(id, None).await;
                forward.collapsed = publication.is_of_another_request();
                forward.outcome = publication.outcome().not_stored().map(expired);
            }
            Turn::Found { entry, waited } if waited => forward.outcome = Outcome::Stored(entry),
            Turn::Found { entry, .. } => return Lookup::Hit(entry),
            Turn::NotFound { waited } if waited => {}
            Turn::NotFound { .. } => return Lookup::NotFound,
            Turn::Failed(outcome) => forward.outcome = outcome,
        }
        Lookup::Forwarded(forward)
    }

    /// Returns the expired entry, if the origin failed recently. Finds out in the background whether
    /// it still fails.
    fn stale_while_failing(
        self: &Rc<Self>,
        id: Id,
        stored: &StoredValue,
    ) -> Option<Outcome<Rc<Entry>>> {
        let Content::Marker(Marker::Told(_, Verdict::Failed(error))) = stored.content else {
            return None;
        };
        let stale @ Outcome::Stale(..) = failed(id, error, stored.bytes.as_deref()) else {
            return None;
        };
        if !stored.fresh {
            self.refresh_in_background(id, stored.bytes.clone());
        }
        Some(stale)
    }

    /// Puts the answer of the origin in the place of the lease. If there was a write in between, the
    /// written entry is the outcome.
    async fn lead(
        &self,
        id: Id,
        owner: Owner,
        lease: &[u8],
        publication: Publication,
        forward: &mut Forward<Rc<Entry>>,
    ) {
        forward.collapsed = publication.is_of_another_request();
        let published = self.publish(id, lease, owner, &publication).await;
        let outcome = publication.outcome();
        let may_be_stale = self.policy.stale_if_error.is_some()
            && matches!(outcome, Outcome::Failed(error) if error.allows_stale());
        if published == Some(true) {
            forward.overtaken = None;
        }
        forward.outcome = match published {
            None => outcome.not_stored().map(expired),
            Some(true) if !may_be_stale => outcome,
            Some(_) => {
                // This is the written entry, or our own failure with the expired entry in it.
                let stored = self.look(id).await;
                match (stored.content, outcome) {
                    (Content::Entry(written), _) => {
                        forward.overtaken = None;
                        Outcome::Stored(written)
                    }
                    (Content::Marker(Marker::Told(of, _)), Outcome::Failed(error))
                        if of == owner =>
                    {
                        failed(id, error, stored.bytes.as_deref())
                    }
                    (_, outcome) => outcome.not_stored().map(expired),
                }
            }
        };
    }

    /// Asks the origin unless it is left alone, and decides what may be stored of its answer.
    async fn fetch(&self, id: Id, decision: Option<Decision>) -> Publication {
        let decision = match decision {
            Some(decision) => decision,
            None => self.breaker.decide().await,
        };
        let permission = match decision {
            Ok(permission) => permission,
            Err(error) => return Publication::LeftAlone(error),
        };
        let fetched = self.origin.fetch(id).await;
        self.breaker.note(&permission, &fetched).await;
        let fetched = fetched.map_err(|failure| failure.error);
        let jitter = |longest| random::below(self.policy.ttl_jitter.of(longest));
        Publication::new(fetched, &self.policy, self.default_ttl, jitter)
    }

    /// Reads the present value of the key of a connection.
    async fn look(&self, id: Id) -> StoredValue {
        let key = self.keyspace.entry(id);
        let found = self.redis.get(&key, ReadOptions::NOW).await;
        StoredValue::decode_for_lookup(id, found, &self.stats)
    }
}

/// Returns the outcome of a failure with this marker: the expired entry in it, if there is one.
fn failed(id: Id, error: origin::Error, marker: Option<&[u8]>) -> Outcome<Rc<Entry>> {
    let marker = marker.filter(|_| error.allows_stale());
    match marker.and_then(|bytes| marker::stale_entry(id, bytes)) {
        Some(connection) => Outcome::Stale(Rc::new(Entry::expired(connection)), error),
        None => Outcome::Failed(error),
    }
}

fn expired(entry: Rc<Entry>) -> Rc<Entry> {
    Rc::new(Entry::expired(Rc::unwrap_or_clone(entry).connection))
}
