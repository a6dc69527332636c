//! Reading through: what is not cached is asked of the origin, once, and stored.
//!
//! [`ReadThrough::read`] is what becomes of a lookup. Where there is no entry, one instance asks
//! and the others wait ([`ReadThrough::turn`]); an entry that gets old, and one that answers
//! beyond its time because the origin fails, is asked for again when the answer has gone out
//! ([`ReadThrough::refresh`]).

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;

use super::held::{Held, Kind};
use super::keys::Names;
use super::lookup::{Absence, Entry, Forward, Lookup, Outcome};
use super::marker::{self, Marker, Owner};
use crate::config::{CacheConfig, MAX_TTL_SECONDS, ReadThroughConfig, Ttl};
use crate::connection::{Id, ProviderConnection};
use crate::deadline::{Timer, nanoseconds};
use crate::entry;
use crate::flight::Flights;
use crate::origin::{Answer, Failure, Freshness, Origin};
use crate::random;
use crate::redis::{self, Companions, Copy, Read, Redis, Replacement};
use crate::stats::Stats;
use crate::task::spawn;

/// How long those who wait for somebody else's answer have to read what came of it, if it is no
/// entry: in seconds.
const OUTCOME_TTL: u32 = 1;

/// The longest that a lease may last, by any configuration: what says that it lasts longer, or
/// for ever, is none.
const LONGEST_LEASE: Duration = Duration::from_secs(180);

/// How often those who wait look for the answer: after 5 ms, then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(40);

/// The origin, and what is kept of its answers in Redis.
pub struct ReadThrough {
    redis: Rc<Redis>,
    names: Names,
    origin: Origin,
    config: ReadThroughConfig,
    default_ttl: Ttl,
    /// How long a lease lasts: for as long as it takes to ask the origin and to store its answer.
    lease: Duration,
    /// The requests in flight, by connection.
    forwards: Flights<Id, Lookup<Rc<Entry>>>,
    stats: Rc<Stats>,
}

/// How a read goes on that found no entry.
enum Turn {
    /// Ask the origin, and store what it says: this lease is ours.
    Lead(Vec<u8>),
    /// Ask the origin, and store nothing.
    Alone,
    /// There is an entry by now: of somebody who asked while we `waited`, or it had come before us.
    Found { entry: Rc<Entry>, waited: bool },
    /// There is word by now that there is no such connection. Likewise.
    NotFound { waited: bool },
    /// The origin failed somebody who asked while we waited.
    Failed(Outcome<Rc<Entry>>),
}

impl ReadThrough {
    /// Reads through to this origin, over this Redis.
    pub fn new(
        cache: &CacheConfig,
        config: ReadThroughConfig,
        redis: Rc<Redis>,
        timer: Rc<Timer>,
        stats: Rc<Stats>,
    ) -> Rc<Self> {
        Rc::new(Self {
            redis,
            names: Names::new(&cache.key_prefix),
            origin: Origin {
                url: config.url.clone(),
                token: config.token.clone(),
                timeout: config.timeout,
                timer,
                stats: Rc::clone(&stats),
                failure: Cell::new(None),
            },
            stats,
            default_ttl: cache.default_ttl,
            lease: config.timeout + 2 * cache.timeout,
            config,
            forwards: Flights::default(),
        })
    }

    /// Whether reads are to say if it is time to ask the origin again.
    pub fn refreshes(&self) -> bool {
        self.config.refresh_ahead.is_some() || self.keeps_copies()
    }

    /// The keys beside these entries, which a write with this lifetime concerns too.
    pub fn companions(&self, ids: &[Id], ttl: Ttl) -> Companions {
        let names = |wanted: bool, name: &dyn Fn(Id) -> String| {
            let ids = ids.iter().filter(|_| wanted);
            ids.map(|id| name(*id)).collect()
        };
        let share = self.config.refresh_ahead;
        Companions {
            fresh: names(share.is_some(), &|id| self.names.fresh(id)),
            fresh_for: share.map_or(Duration::ZERO, |share| share.of(ttl.duration())),
            stale: names(self.keeps_copies(), &|id| self.names.stale(id)),
        }
    }

    fn keeps_copies(&self) -> bool {
        self.config.stale_if_error.is_some()
    }

    /// From now on nobody joins the requests for these connections, which were written.
    pub fn forget(&self, ids: &[Id]) {
        self.forwards.forget(|id| ids.contains(&id));
    }

    /// What becomes of a read that found this in Redis.
    pub async fn read(self: &Rc<Self>, id: Id, held: Held) -> Lookup<Rc<Entry>> {
        match held.kind {
            Kind::Entry(entry) => {
                if self.config.refresh_ahead.is_some() && !held.fresh {
                    self.refresh_in_background(id, held.bytes);
                }
                Lookup::Hit(entry)
            }
            Kind::Marker(Marker::NotFound) => Lookup::NotFound,
            _ => Lookup::shared(self.forwards.share(id, self.forward(id, held)).await),
        }
    }

    /// Has the origin asked, unless somebody else does.
    async fn forward(self: &Rc<Self>, id: Id, held: Held) -> Lookup<Rc<Entry>> {
        let mut forward = Forward {
            because: held.absence(),
            outcome: Outcome::NotFound,
            collapsed: true,
            overtaken: false,
        };
        if let Some(stale) = self.stale_while_error(id, &held) {
            forward.outcome = stale;
            return Lookup::Forwarded(forward);
        }
        let owner = Owner(random::number());
        match self.turn(id, owner, held, &mut forward.because).await {
            Turn::Lead(lease) => {
                (forward.outcome, forward.overtaken) = self.lead(id, owner, &lease).await;
                forward.collapsed = false;
            }
            Turn::Alone => {
                forward.outcome = self.alone(id).await;
                forward.collapsed = false;
            }
            Turn::Found { entry, waited } if waited => forward.outcome = Outcome::Stored(entry),
            Turn::Found { entry, .. } => return Lookup::Hit(entry),
            Turn::NotFound { waited } if waited => {}
            Turn::NotFound { .. } => return Lookup::NotFound,
            Turn::Failed(outcome) => forward.outcome = outcome,
        }
        Lookup::Forwarded(forward)
    }

    /// The stale entry, if the origin failed not long ago. Whether it still does is found out when
    /// this has been answered.
    fn stale_while_error(self: &Rc<Self>, id: Id, held: &Held) -> Option<Outcome<Rc<Entry>>> {
        let Kind::Marker(Marker::Outcome(_, marker::Outcome::Failed(failure))) = held.kind else {
            return None;
        };
        let stale @ Outcome::Stale(..) = failed(id, failure, held.bytes.as_deref()) else {
            return None;
        };
        if !held.fresh {
            self.refresh_in_background(id, held.bytes.clone());
        }
        Some(stale)
    }

    /// Takes the lease, or waits for what comes of the one who has it. If that one has died, its
    /// lease runs out, and one of those who wait takes the next: so there is time for two.
    ///
    /// A first read that asks for two keys (MGET) tells no value of another type from none: then
    /// `because` is put right here.
    async fn turn(&self, id: Id, owner: Owner, mut held: Held, because: &mut Absence) -> Turn {
        let key = self.names.entry(id);
        let patience = monotonic_clock::now().saturating_add(nanoseconds(2 * self.lease));
        let mut waited_for = None;
        let mut pause = FIRST_PAUSE;
        while monotonic_clock::now() < patience {
            let waited = waited_for.is_some();
            if let Kind::Corrupt(_) = held.kind {
                *because = held.absence();
            }
            let told = match held.kind {
                Kind::Entry(entry) => return Turn::Found { entry, waited },
                Kind::Marker(Marker::NotFound) => return Turn::NotFound { waited },
                Kind::Unavailable(_) => return Turn::Alone,
                // The command that took it was sent twice.
                Kind::Marker(Marker::Lease(of, _)) if of == owner => {
                    return Turn::Lead(held.bytes.unwrap_or_default());
                }
                Kind::Marker(Marker::Outcome(_, told)) => Some(told),
                // The one that was waited for was told this, and somebody else asks again.
                Kind::Marker(Marker::Lease(of, told)) if waited_for != Some(of) => told,
                _ => None,
            };
            if let Some(told) = told.filter(|_| waited) {
                return match told {
                    marker::Outcome::NotFound => Turn::NotFound { waited },
                    marker::Outcome::NotStored => Turn::Alone,
                    marker::Outcome::Failed(failure) => {
                        Turn::Failed(failed(id, failure, held.bytes.as_deref()))
                    }
                };
            }
            match held.kind {
                Kind::Marker(Marker::Lease(of, _))
                    if waited_for != Some(of) || held.remaining.is_some_and(is_lease) =>
                {
                    waited_for = Some(of);
                    monotonic_clock::wait_for(nanoseconds(pause)).await;
                    pause = LONGEST_PAUSE.min(2 * pause);
                }
                _ => match self.take(&key, owner, told, &held).await {
                    Ok(Some(lease)) => return Turn::Lead(lease),
                    Ok(None) => {}
                    Err(_) => return Turn::Alone,
                },
            }
            held = self.look(id).await;
        }
        Turn::Alone
    }

    /// What the key of a connection holds now.
    async fn look(&self, id: Id) -> Held {
        let key = self.names.entry(id);
        Held::of_lookup(id, self.redis.get(&key, Read::NOW).await, &self.stats)
    }

    /// Takes the lease if nobody else was faster. What is there, and of no use, makes way for it.
    async fn take(
        &self,
        key: &str,
        owner: Owner,
        before: Option<marker::Outcome>,
        held: &Held,
    ) -> Result<Option<Vec<u8>>, redis::Failure> {
        let lease = Marker::Lease(owner, before).encode();
        let (value, lasts) = (lease.clone(), self.lease);
        let taken = match held.kind {
            Kind::Nothing => self.redis.set_if_absent(key, value, lasts).await?,
            _ => {
                let bytes = held.bytes.as_deref().unwrap_or_default();
                self.redis.take(key, bytes, value, lasts).await?
            }
        };
        Ok(taken.then_some(lease))
    }

    /// Asks the origin, and has what it says take the place of the lease. If there was a write
    /// meanwhile, that counts: what was set is the answer. Whether there was.
    async fn lead(&self, id: Id, owner: Owner, lease: &[u8]) -> (Outcome<Rc<Entry>>, bool) {
        let (told, outcome) = match self.origin.ask(id).await {
            Ok(answer) => match (answer.connection, self.lifetime(answer.freshness)) {
                (Some(connection), Some(ttl)) => {
                    let stored = self.store(id, lease, &connection, ttl).await;
                    let remaining = Some(ttl.duration());
                    let entry = Entry {
                        connection,
                        remaining,
                    };
                    (stored, Outcome::Stored(Rc::new(entry)))
                }
                (Some(connection), None) => (
                    self.tell_not_stored(id, lease, owner).await,
                    passed(connection),
                ),
                (None, longest) => {
                    let told = self.tell_not_found(id, lease, owner, longest).await;
                    (told, Outcome::NotFound)
                }
            },
            Err(failure) => {
                let told = self.tell_failed(id, lease, owner, failure).await;
                (told, Outcome::Failed(failure))
            }
        };
        let may_be_stale = self.keeps_copies() && matches!(outcome, Outcome::Failed(_));
        match told {
            None => (outcome.not_stored().map(gone), false),
            Some(true) if !may_be_stale => (outcome, false),
            Some(stands) => {
                // What was written, or our failure with the stale entry in it.
                let held = self.look(id).await;
                match (held.kind, outcome) {
                    (Kind::Entry(written), _) => (Outcome::Stored(written), false),
                    (Kind::Marker(Marker::Outcome(of, _)), Outcome::Failed(failure))
                        if of == owner =>
                    {
                        (failed(id, failure, held.bytes.as_deref()), false)
                    }
                    (_, outcome) => (outcome.not_stored().map(gone), !stands),
                }
            }
        }
    }

    /// Asks the origin, and stores nothing.
    async fn alone(&self, id: Id) -> Outcome<Rc<Entry>> {
        match self.origin.ask(id).await {
            Ok(Answer {
                connection: Some(connection),
                ..
            }) => passed(connection),
            Ok(_) => Outcome::NotFound,
            Err(failure) => Outcome::Failed(failure),
        }
    }

    fn refresh_in_background(self: &Rc<Self>, id: Id, held: Option<Vec<u8>>) {
        let read_through = Rc::clone(self);
        if let Some(held) = held {
            spawn(async move { read_through.refresh(id, &held).await });
        }
    }

    /// Asks the origin again for what is held, unless somebody else does or did so a moment ago;
    /// what it says takes the place of what is held, unless that was written meanwhile.
    ///
    /// There is an entry, or word that the origin failed: so the lease is not under the same key,
    /// but under that which says for how long the entry is fresh. It runs out by itself, so that an
    /// origin which fails is left alone for a while.
    async fn refresh(&self, id: Id, held: &[u8]) {
        let fresh = self.names.fresh(id);
        let lease = self.redis.set_if_absent(&fresh, Vec::new(), self.lease);
        if lease.await != Ok(true) {
            return;
        }
        let is_entry = !held.starts_with(marker::PREFIX);
        if is_entry && !self.is_due(id, &fresh).await {
            // If the origin fails when its time has come, this is what there is.
            self.keep_stale(id, held).await;
            return;
        }
        let owner = Owner(random::number());
        match self.origin.ask(id).await {
            Ok(answer) => match (answer.connection, self.lifetime(answer.freshness)) {
                (Some(connection), Some(ttl)) => {
                    self.store(id, held, &connection, ttl).await;
                }
                (Some(_), None) if is_entry => {}
                (Some(_), None) => {
                    self.tell_not_stored(id, held, owner).await;
                }
                (None, longest) => {
                    self.tell_not_found(id, held, owner, longest).await;
                }
            },
            Err(_) if is_entry => self.keep_stale(id, held).await,
            // It still fails, which is what is held.
            Err(_) => {}
        }
    }

    /// Whether an entry is old enough to be refreshed, which nothing says of one that the existing
    /// application stored but the rest of its lifetime. If it is not, that is noted.
    async fn is_due(&self, id: Id, fresh: &str) -> bool {
        let remaining = self.redis.remaining(&self.names.entry(id)).await;
        let (Ok(Some(remaining)), Some(share)) = (remaining, self.config.refresh_ahead) else {
            return false;
        };
        let usual = self.default_ttl.duration();
        let from = usual - share.of(usual);
        match remaining.checked_sub(from).filter(|left| !left.is_zero()) {
            None => true,
            Some(left) => {
                // Unnoted, the next hit finds out again.
                let _unnoted = self.redis.set_for(fresh, left).await;
                false
            }
        }
    }

    /// What is held, if it is an entry, stays as the stale copy when its lifetime is over.
    async fn keep_stale(&self, id: Id, held: &[u8]) {
        if let Some(longer) = self.config.stale_if_error {
            let keys = self.names.all(id);
            let _unkept = self.redis.keep_stale(&keys, held, longer.duration()).await;
        }
    }

    /// Has an entry take the place of `expected`. Whether it did; none if Redis did not say.
    async fn store(
        &self,
        id: Id,
        expected: &[u8],
        connection: &ProviderConnection,
        ttl: Ttl,
    ) -> Option<bool> {
        let lifetime = ttl.duration();
        let copy = |longer: Ttl| Copy::Replaced(lifetime + longer.duration());
        let replacement = Replacement {
            value: entry::encode(connection),
            ttl,
            fresh: self.config.refresh_ahead.map(|share| share.of(lifetime)),
            copy: self.config.stale_if_error.map_or(Copy::Left, copy),
        };
        self.replace(id, expected, replacement).await
    }

    /// Has word that the answer is not to be stored take the place of `expected`, and of the stale
    /// copy. Whether it did; none if Redis did not say.
    async fn tell_not_stored(&self, id: Id, expected: &[u8], owner: Owner) -> Option<bool> {
        let told = Marker::Outcome(owner, marker::Outcome::NotStored);
        self.tell(id, expected, told, OUTCOME_TTL).await
    }

    /// The same of word that there is no such connection, for no longer than `longest`, if at all.
    async fn tell_not_found(
        &self,
        id: Id,
        expected: &[u8],
        owner: Owner,
        longest: Option<Ttl>,
    ) -> Option<bool> {
        let negative_ttl = self.config.negative_ttl.zip(longest);
        let (told, seconds) = match negative_ttl {
            Some((ttl, longest)) => {
                let seconds = ttl.seconds().min(longest.seconds());
                (Marker::NotFound, seconds)
            }
            None => {
                let told = Marker::Outcome(owner, marker::Outcome::NotFound);
                (told, OUTCOME_TTL)
            }
        };
        self.tell(id, expected, told, seconds).await
    }

    async fn tell(&self, id: Id, expected: &[u8], told: Marker, seconds: u32) -> Option<bool> {
        let replacement = Replacement {
            value: told.encode(),
            ttl: Ttl::from_seconds(seconds).unwrap_or(Ttl::DEFAULT),
            fresh: None,
            copy: if self.keeps_copies() {
                Copy::Removed
            } else {
                Copy::Left
            },
        };
        self.replace(id, expected, replacement).await
    }

    /// Has word that the origin failed take the place of `expected`, and the stale copy into it.
    /// Under the key of the entry that, too, goes with any write. Whether it did; none if Redis did
    /// not say.
    async fn tell_failed(
        &self,
        id: Id,
        expected: &[u8],
        owner: Owner,
        failure: Failure,
    ) -> Option<bool> {
        let told = Marker::Outcome(owner, marker::Outcome::Failed(failure));
        let Some(longest) = self.config.stale_if_error else {
            return self.tell(id, expected, told, OUTCOME_TTL).await;
        };
        let mut open = told.encode();
        open.pop();
        let briefly = Ttl::from_seconds(OUTCOME_TTL).unwrap_or(Ttl::DEFAULT);
        // Their clocks are one, but Redis may read it twice in a script.
        let longest = longest.duration() + Duration::from_secs(1);
        let keys = self.names.all(id);
        let told = self.redis.fail(&keys, expected, open, briefly, longest);
        told.await.ok()
    }

    async fn replace(&self, id: Id, expected: &[u8], replacement: Replacement) -> Option<bool> {
        let keys = self.names.all(id);
        self.redis.replace(&keys, expected, replacement).await.ok()
    }

    /// How long to store an answer; none if it must not be. Up to `ttl_jitter` shorter, so that
    /// what was stored at the same time does not run out at the same time.
    fn lifetime(&self, freshness: Freshness) -> Option<Ttl> {
        let longest = match freshness {
            Freshness::Unsaid => self.default_ttl.duration(),
            Freshness::MaxAge(age) => age.min(Duration::from_secs(MAX_TTL_SECONDS.into())),
            Freshness::NoStore => return None,
        };
        let lifetime = longest - random::below(self.config.ttl_jitter.of(longest));
        let seconds = lifetime.as_millis().div_ceil(1_000);
        Ttl::from_seconds(u32::try_from(seconds).unwrap_or(MAX_TTL_SECONDS))
    }
}

/// An answer of the origin that is not stored.
fn passed(connection: ProviderConnection) -> Outcome<Rc<Entry>> {
    Outcome::Passed(Rc::new(Entry::gone(connection)))
}

/// What a failure comes to whose marker is this: the stale entry in it, if there is one.
fn failed(id: Id, failure: Failure, marker: Option<&[u8]>) -> Outcome<Rc<Entry>> {
    match marker.and_then(|bytes| marker::stale_entry(id, bytes)) {
        Some(connection) => Outcome::Stale(Rc::new(Entry::gone(connection)), failure),
        None => Outcome::Failed(failure),
    }
}

fn is_lease(remaining: Duration) -> bool {
    remaining <= LONGEST_LEASE
}

fn gone(entry: Rc<Entry>) -> Rc<Entry> {
    Rc::new(Entry::gone(Rc::unwrap_or_clone(entry).connection))
}
