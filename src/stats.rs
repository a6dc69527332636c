//! What is counted: how often the cache helped, how it failed, how long it took. No I/O.

mod histogram;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::mem;

use spin_sdk::wasip3::clocks::monotonic_clock;

pub use self::histogram::{BOUNDS, Histogram, Percentiles};

/// Gives the variants of an enum their names.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$of])* $variant,)+ }

        impl $name {
            /// Every one, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

named! {
    /// An operation of the cache, by the name that its function has in WIT.
    #[expect(missing_docs, reason = "wit/cache.wit says what each does")]
    Operation {
        Get = "get",
        GetMany = "get-many",
        GetSummary = "get-summary",
        Exists = "exists",
        Lookup = "lookup",
        Set = "set",
        SetMany = "set-many",
        Delete = "delete",
        DeleteMany = "delete-many",
        Ping = "ping",
    }
}

named! {
    /// What may happen in an operation.
    Event {
        /// What was stored was no connection.
        CorruptEntry = "corrupt-entries",
        /// A command to Redis, or an attempt to connect, had no answer in time.
        Timeout = "timeouts",
        /// A Redis that failed is left alone for a while.
        BreakerOpening = "breaker-openings",
        /// A lookup was answered with what another one found at the same time.
        CoalescedLookup = "coalesced-lookups",
        /// A connection to Redis took the place of one that was lost.
        Reconnection = "reconnections",
        /// The origin was asked.
        OriginRequest = "origin-requests",
        /// The origin did not answer, or not as it should.
        OriginFailure = "origin-failures",
    }
}

/// What an operation came to. As in the existing application a lookup is a hit or a miss; one
/// that Redis could not answer is an error besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were answered from the cache, or known from it not to exist.
    pub hits: u64,
    /// Connections that were not.
    pub misses: u64,
    /// Operations, or lookups in them, that Redis did not carry out.
    pub errors: u64,
}

/// Something that an operation comes to.
pub trait Tallied {
    /// What of it counts.
    fn tally(&self) -> Tally;
}

/// A write, or a ping.
impl<T, E> Tallied for Result<T, E> {
    fn tally(&self) -> Tally {
        Tally {
            errors: self.is_err().into(),
            ..Tally::default()
        }
    }
}

impl<T: Tallied> Tallied for Vec<T> {
    fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        for tally in self.iter().map(Tallied::tally) {
            sum.add(tally);
        }
        sum
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.hits = self.hits.saturating_add(other.hits);
        self.misses = self.misses.saturating_add(other.misses);
        self.errors = self.errors.saturating_add(other.errors);
    }

    /// Lookups: hits and misses.
    pub fn total(self) -> u64 {
        self.hits.saturating_add(self.misses)
    }

    /// Hits among the lookups, in ten-thousandths, rounded; 0 if there were none.
    pub fn hit_rate(self) -> u64 {
        match self.total() {
            0 => 0,
            total => (self.hits as f64 * 10_000.0 / total as f64 + 0.5) as u64,
        }
    }
}

/// What was counted of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationCounts {
    /// What it came to.
    pub tally: Tally,
    /// How often it was called, and how long that took.
    pub latency: Histogram,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    operations: [OperationCounts; Operation::ALL.len()],
    events: [u64; Event::ALL.len()],
}

impl Counts {
    /// What was counted of an operation.
    pub fn of(&self, operation: Operation) -> &OperationCounts {
        &self.operations[operation as usize]
    }

    /// How often something happened.
    pub fn happened(&self, event: Event) -> u64 {
        self.events[event as usize]
    }

    /// What was counted of all lookups together.
    pub fn lookups(&self) -> OperationCounts {
        let mut sum = OperationCounts::default();
        for operation in Operation::ALL.iter().filter(|one| one.is_lookup()) {
            let of = self.of(*operation);
            sum.tally.add(of.tally);
            sum.latency.add(&of.latency);
        }
        sum
    }

    /// The errors of all operations.
    pub fn errors(&self) -> u64 {
        let errors = self.operations.iter().map(|of| of.tally.errors);
        errors.fold(0, u64::saturating_add)
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (sum, of) in self.operations.iter_mut().zip(&other.operations) {
            sum.tally.add(of.tally);
            sum.latency.add(&of.latency);
        }
        for (sum, count) in self.events.iter_mut().zip(&other.events) {
            *sum = sum.saturating_add(*count);
        }
    }

    /// Counts one operation.
    pub fn record(&mut self, operation: Operation, tally: Tally, nanoseconds: u64) {
        let of = &mut self.operations[operation as usize];
        of.tally.add(tally);
        of.latency.record(nanoseconds);
    }

    /// Counts an event.
    pub fn happen(&mut self, event: Event) {
        self.events[event as usize] += 1;
    }

    /// Each count that is not 0, by the name under which it is kept.
    pub fn fields(&self) -> Vec<(String, u64)> {
        let mut fields = Vec::new();
        // `visit` hands out counts to be changed.
        self.clone().visit(|name, count| {
            if *count > 0 {
                fields.push((name(), *count));
            }
        });
        fields
    }

    /// The counts that are kept under these names. Other names are those of newer versions.
    pub fn from_fields(mut kept: impl FnMut(&str) -> Option<u64>) -> Self {
        let mut counts = Self::default();
        counts.visit(|name, count| *count = kept(&name()).unwrap_or(0));
        counts
    }

    /// Shows each count, and its name, to `look`.
    fn visit(&mut self, mut look: impl FnMut(&dyn Fn() -> String, &mut u64)) {
        for (of, operation) in self.operations.iter_mut().zip(Operation::ALL) {
            let name = operation.name();
            let Tally {
                hits,
                misses,
                errors,
            } = &mut of.tally;
            look(&|| format!("{name}:hits"), hits);
            look(&|| format!("{name}:misses"), misses);
            look(&|| format!("{name}:errors"), errors);
            look(&|| format!("{name}:us"), &mut of.latency.microseconds);
            for (index, calls) in of.latency.calls.iter_mut().enumerate() {
                look(
                    &|| match BOUNDS.get(index) {
                        Some(bound) => format!("{name}:le:{bound}"),
                        None => format!("{name}:le:inf"),
                    },
                    calls,
                );
            }
        }
        for (count, event) in self.events.iter_mut().zip(Event::ALL) {
            look(&|| event.name().to_owned(), count);
        }
    }
}

impl Operation {
    /// Whether it looks connections up: it has hits and misses.
    pub fn is_lookup(self) -> bool {
        matches!(
            self,
            Self::Get | Self::GetMany | Self::GetSummary | Self::Exists | Self::Lookup
        )
    }
}

/// What an instance has counted and not yet handed on.
#[derive(Default)]
pub struct Stats {
    counts: RefCell<Counts>,
    /// Whether there are any.
    has_some: Cell<bool>,
    /// Called when something was counted. Without it nothing is.
    listener: OnceCell<Box<dyn Fn()>>,
    /// How many operations are under way, and how many have begun so far.
    under_way: Cell<u64>,
    begun: Cell<u64>,
}

impl Stats {
    /// Has this called whenever something was counted. Until then nothing is.
    pub fn listen(&self, listener: impl Fn() + 'static) {
        let _first = self.listener.set(Box::new(listener));
    }

    /// Counts an event.
    pub fn happen(&self, event: Event) {
        self.count(|counts| counts.happen(event));
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        if let Some(listener) = self.listener.get() {
            count(&mut self.counts.borrow_mut());
            self.has_some.set(true);
            listener();
        }
    }

    /// Carries out `work`, and counts what it comes to and how long it takes.
    pub async fn measure<T: Tallied>(
        &self,
        operation: Operation,
        work: impl Future<Output = T>,
    ) -> T {
        if self.listener.get().is_none() {
            return work.await;
        }
        let _under_way = UnderWay::new(self);
        let begun = monotonic_clock::now();
        let result = work.await;
        let took = monotonic_clock::now().saturating_sub(begun);
        self.count(|counts| counts.record(operation, result.tally(), took));
        result
    }

    /// What was counted; from now on it counts as handed on.
    pub fn take(&self) -> Counts {
        self.has_some.set(false);
        mem::take(&mut *self.counts.borrow_mut())
    }

    /// Whether nothing was counted since.
    pub fn is_empty(&self) -> bool {
        !self.has_some.get()
    }

    /// Whether nothing is under way.
    pub fn is_quiet(&self) -> bool {
        self.under_way.get() == 0
    }

    /// How many operations have begun so far.
    pub fn begun(&self) -> u64 {
        self.begun.get()
    }
}

struct UnderWay<'a>(&'a Stats);

impl<'a> UnderWay<'a> {
    fn new(stats: &'a Stats) -> Self {
        stats.under_way.update(|count| count + 1);
        stats.begun.update(|count| count + 1);
        Self(stats)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.update(|count| count - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const HIT: Tally = Tally {
        hits: 1,
        misses: 0,
        errors: 0,
    };

    #[test]
    fn what_is_kept_by_name_is_read_back() {
        let mut counts = Counts::default();
        for (index, operation) in Operation::ALL.iter().enumerate() {
            for _ in 0..=index {
                counts.record(*operation, HIT, 1_000_000 * index as u64);
            }
        }
        let failed = Err::<(), ()>(()).tally();
        counts.record(Operation::Set, failed, u64::MAX);
        for (index, event) in Event::ALL.iter().enumerate() {
            for _ in 0..=index {
                counts.happen(*event);
            }
        }
        let fields: BTreeMap<_, _> = counts.fields().into_iter().collect();
        assert_eq!(fields["get-summary:hits"], 3);
        assert_eq!(fields["set:errors"], 1);
        assert_eq!(fields["set:le:inf"], 1);
        assert_eq!(fields["corrupt-entries"], 1);
        assert!(!fields.contains_key("set:misses"));
        assert_eq!(
            Counts::from_fields(|name| fields.get(name).copied()),
            counts
        );
    }

    #[test]
    fn the_hit_rate_has_four_digits() {
        for (hits, misses, rate) in [
            (0, 0, 0),
            (0, 9, 0),
            (2, 1, 6_667),
            (1, 2, 3_333),
            (7, 0, 10_000),
        ] {
            let tally = Tally {
                hits,
                misses,
                errors: 0,
            };
            assert_eq!(tally.hit_rate(), rate, "{tally:?}");
        }
    }

    #[test]
    fn writes_are_no_lookups() {
        let mut counts = Counts::default();
        counts.record(Operation::Get, HIT, 0);
        counts.record(Operation::Set, Ok::<(), ()>(()).tally(), 0);
        let lookups = counts.lookups();
        assert_eq!((lookups.tally, lookups.latency.count()), (HIT, 1));
    }
}
