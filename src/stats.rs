//! Counts: how often the cache helped, how it failed, and how long it took. No I/O.

mod histogram;
mod hours;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::mem;
use std::pin::Pin;

use spin_sdk::wasip3::clocks::monotonic_clock;
use strum::{IntoStaticStr, VariantArray};

pub use self::histogram::BOUNDS;
pub(crate) use self::histogram::Histogram;
pub use self::hours::{Hour, HourStats, Hours};

use crate::rt::timings::{self, Part};

/// An operation of the cache, under the name of its WIT function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "wit/cache.wit documents the functions")]
pub enum Operation {
    Get,
    GetMany,
    GetSummary,
    Exists,
    Lookup,
    Set,
    SetMany,
    Delete,
    DeleteMany,
    Ping,
}

impl Operation {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns true if the operation looks connections up, and so has hits and misses.
    pub(crate) fn is_lookup(self) -> bool {
        matches!(
            self,
            Self::Get | Self::GetMany | Self::GetSummary | Self::Exists | Self::Lookup
        )
    }
}

/// Something that happens in operations, and is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Counter {
    /// The stored bytes are not a connection.
    CorruptEntries,
    /// Redis did not answer a command, or an attempt to connect, in time.
    Timeouts,
    /// Redis failed and is left alone for a while.
    BreakerOpenings,
    /// The edge cache answered a lookup.
    EdgeHits,
    /// A lookup shared the answer of another one.
    CoalescedLookups,
    /// A new connection to Redis replaced a lost one.
    Reconnections,
    /// The origin was asked.
    OriginRequests,
    /// The origin did not answer as it should.
    OriginFailures,
}

impl Counter {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The result of operations. As in the existing application, a lookup is a hit or a miss; one that
/// Redis could not answer is a miss and an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that the cache had, or knew not to exist.
    pub hits: u64,
    /// Connections that the cache did not have.
    pub misses: u64,
    /// Operations, or lookups in them, that Redis did not carry out.
    pub errors: u64,
}

/// The result of an operation, which can be tallied.
pub(crate) trait Tallied {
    fn tally(&self) -> Tally;
}

/// The result of a write or a ping.
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

    /// Returns the number of lookups.
    pub(crate) fn total(self) -> u64 {
        self.hits.saturating_add(self.misses)
    }

    /// Returns the share of hits in ten-thousandths, as `round(hits / total, 4)` in the existing
    /// application: the exact value of the quotient, which is a binary fraction, is rounded, and half of
    /// a ten-thousandth to the even one. Without lookups it is 0.
    pub(crate) fn hit_rate(self) -> u64 {
        const FRACTION_BITS: u64 = f64::MANTISSA_DIGITS as u64 - 1;
        if self.hits == 0 {
            return 0;
        }
        let bits = (self.hits as f64 / self.total() as f64).to_bits();
        // The quotient is `fraction >> places`; it is at least 1 / 2^64.
        let fraction = bits & ((1 << FRACTION_BITS) - 1) | 1 << FRACTION_BITS;
        let places = 1_023 + FRACTION_BITS - (bits >> FRACTION_BITS);
        let exact = u128::from(fraction) * 10_000;
        let (whole, rest, half) = (
            exact >> places,
            exact & ((1 << places) - 1),
            1 << (places - 1),
        );
        let up = rest > half || rest == half && whole % 2 == 1;
        whole as u64 + u64::from(up)
    }
}

/// The counts of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationCounts {
    /// How often it helped and failed.
    pub tally: Tally,
    /// How often it was called, and how long it took.
    pub latency: Histogram,
}

/// Everything that was counted in some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    operations: [OperationCounts; Operation::VARIANTS.len()],
    counters: [u64; Counter::VARIANTS.len()],
}

impl Counts {
    /// Returns the counts of one operation.
    pub fn of(&self, operation: Operation) -> &OperationCounts {
        &self.operations[operation as usize]
    }

    /// Returns the value of a counter.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    /// Adds up the counts of all lookups.
    pub(crate) fn lookups(&self) -> OperationCounts {
        let mut sum = OperationCounts::default();
        for operation in Operation::VARIANTS.iter().filter(|one| one.is_lookup()) {
            let of = self.of(*operation);
            sum.tally.add(of.tally);
            sum.latency.add(&of.latency);
        }
        sum
    }

    /// Adds up the errors of all operations.
    pub(crate) fn errors(&self) -> u64 {
        let errors = self.operations.iter().map(|of| of.tally.errors);
        errors.fold(0, u64::saturating_add)
    }

    /// Adds counts from elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (sum, of) in self.operations.iter_mut().zip(&other.operations) {
            sum.tally.add(of.tally);
            sum.latency.add(&of.latency);
        }
        for (sum, count) in self.counters.iter_mut().zip(&other.counters) {
            *sum = sum.saturating_add(*count);
        }
    }

    /// Counts one operation.
    pub fn record(&mut self, operation: Operation, tally: Tally, nanoseconds: u64) {
        let of = &mut self.operations[operation as usize];
        of.tally.add(tally);
        of.latency.record(nanoseconds);
    }

    /// Adds 1 to a counter.
    pub fn increment(&mut self, counter: Counter) {
        self.counters[counter as usize] += 1;
    }

    /// Returns each count that is not 0, under the name of its field in Redis.
    pub fn fields(&self) -> Vec<(String, u64)> {
        let mut fields = Vec::new();
        // `visit` hands out counts that can be changed.
        self.clone().visit(|name, count| {
            if *count > 0 {
                fields.push((name(), *count));
            }
        });
        fields
    }

    /// Reads counts by the names of their fields. Newer versions may have other names besides.
    pub fn from_fields(mut field: impl FnMut(&str) -> Option<u64>) -> Self {
        let mut counts = Self::default();
        counts.visit(|name, count| *count = field(&name()).unwrap_or(0));
        counts
    }

    /// Shows each count, and its name, to `look`.
    fn visit(&mut self, mut look: impl FnMut(&dyn Fn() -> String, &mut u64)) {
        for (of, operation) in self.operations.iter_mut().zip(Operation::VARIANTS) {
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
        for (count, counter) in self.counters.iter_mut().zip(Counter::VARIANTS) {
            look(&|| counter.name().to_owned(), count);
        }
    }
}

/// Counts that an instance has not flushed to Redis yet.
#[derive(Default)]
pub(crate) struct Stats {
    counts: RefCell<Counts>,
    has_some: Cell<bool>,
    /// Called whenever something is counted. Nothing is counted without a listener.
    listener: OnceCell<Box<dyn Fn()>>,
    /// How many operations are under way.
    under_way: Cell<u64>,
    /// When the last one ended, by the monotonic clock, in nanoseconds.
    last_end: Cell<u64>,
}

impl Stats {
    /// Begins to count, and calls the listener whenever something is counted.
    pub(crate) fn listen(&self, listener: impl Fn() + 'static) {
        let _first = self.listener.set(Box::new(listener));
    }

    /// Adds 1 to a counter.
    pub(crate) fn increment(&self, counter: Counter) {
        self.count(|counts| counts.increment(counter));
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        if let Some(listener) = self.listener.get() {
            count(&mut self.counts.borrow_mut());
            self.has_some.set(true);
            listener();
        }
    }

    /// Does the work, and counts its result and how long it takes.
    pub(crate) async fn measure<T: Tallied>(
        &self,
        operation: Operation,
        work: Pin<&mut dyn Future<Output = T>>,
    ) -> T {
        let _part = match operation.is_lookup() {
            true => timings::begin(Part::Lookup),
            false => None,
        };
        if self.listener.get().is_none() {
            return work.await;
        }
        let _under_way = UnderWay::new(self);
        let begun = monotonic_clock::now();
        let result = work.await;
        let end = monotonic_clock::now();
        self.last_end.set(end);
        let took = end.saturating_sub(begun);
        self.count(|counts| counts.record(operation, result.tally(), took));
        result
    }

    /// Takes the counts away.
    pub(crate) fn take(&self) -> Counts {
        self.has_some.set(false);
        mem::take(&mut *self.counts.borrow_mut())
    }

    /// Adds counts that were taken and went nowhere.
    pub(crate) fn put_back(&self, counts: &Counts) {
        self.counts.borrow_mut().add(counts);
        self.has_some.set(true);
    }

    /// Returns true if nothing was counted since [`Self::take`].
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_some.get()
    }

    /// Returns true if no operation is under way, and none has ended since this moment, by the monotonic
    /// clock, in nanoseconds.
    pub(crate) fn is_quiet_since(&self, moment: u64) -> bool {
        self.under_way.get() == 0 && self.last_end.get() <= moment
    }
}

struct UnderWay<'a>(&'a Stats);

impl<'a> UnderWay<'a> {
    fn new(stats: &'a Stats) -> Self {
        stats.under_way.update(|count| count + 1);
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
        for (index, operation) in Operation::VARIANTS.iter().enumerate() {
            for _ in 0..=index {
                counts.record(*operation, HIT, 1_000_000 * index as u64);
            }
        }
        let failed = Err::<(), ()>(()).tally();
        counts.record(Operation::Set, failed, u64::MAX);
        for (index, counter) in Counter::VARIANTS.iter().enumerate() {
            for _ in 0..=index {
                counts.increment(*counter);
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
            // Ties, to the even one.
            (1, 31, 312),
            (3, 29, 938),
            // In binary these are a little more and a little less than a tie.
            (1, 19_999, 1),
            (3, 19_997, 1),
            (u64::MAX, u64::MAX, 10_000),
            (1, u64::MAX - 1, 0),
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
