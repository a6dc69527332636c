//! What a read may see, given what was written: the model that every answer is checked
//! against.
//!
//! Each key has one writer, so its operations follow each other. Where an operation took
//! effect between its start and its end is not known, so a read is a violation only if no
//! such moments explain it.

use std::fmt;
use std::time::Duration;

/// A moment: the time since the run began.
pub type Moment = Duration;

/// How far the clock of Redis, which ends lifetimes, may be from that of the test.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(100);

/// What an operation does to its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It holds this value, which no other operation writes, for so long.
    Put { value: String, ttl: Duration },
    /// It holds nothing.
    Delete,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Acknowledged,
    /// It never takes effect.
    Refused,
    /// It may have taken effect, may do so at any later time, or never: a stopped Redis
    /// carries out what waits for it when it goes on.
    Unknown,
}

#[derive(Clone, Debug)]
struct Operation {
    effect: Effect,
    start: Moment,
    /// None while it is under way.
    end: Option<(Moment, Outcome)>,
}

impl Operation {
    fn outcome(&self) -> Option<Outcome> {
        self.end.map(|(_, outcome)| outcome)
    }

    fn is_acknowledged_before(&self, moment: Moment) -> bool {
        matches!(self.end, Some((end, Outcome::Acknowledged)) if end < moment)
    }

    /// Whether its value may be there at some time from this moment on.
    fn may_hold_from(&self, moment: Moment) -> bool {
        match (&self.effect, self.end) {
            (Effect::Put { ttl, .. }, Some((end, Outcome::Acknowledged))) => {
                moment <= end + *ttl + CLOCK_TOLERANCE
            }
            (Effect::Put { .. }, _) => true,
            (Effect::Delete, _) => false,
        }
    }

    /// Whether it may leave nothing, by this moment.
    fn may_be_nothing_by(&self, moment: Moment) -> bool {
        match self.effect {
            Effect::Put { ttl, .. } => moment + CLOCK_TOLERANCE >= self.start + ttl,
            Effect::Delete => true,
        }
    }

    fn puts(&self, wanted: &str) -> bool {
        matches!(&self.effect, Effect::Put { value, .. } if value == wanted)
    }
}

/// A time in which a Redis ended, with all that it held. What is acknowledged after that
/// is kept by the one that follows.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Before it was told to end.
    pub start: Moment,
    /// After it had ended; none while it may not have.
    pub end: Option<Moment>,
}

/// What was seen of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// This value.
    Value(String),
    /// Some value: a delete says that there was one, not which.
    Something,
    /// Nothing.
    Nothing,
}

/// One look at a key.
#[derive(Clone, Debug)]
pub struct Read {
    /// Before it was sent.
    pub start: Moment,
    /// After it was answered.
    pub end: Moment,
    /// What it saw.
    pub seen: Seen,
}

/// All that was done to one key.
#[derive(Clone, Debug)]
pub struct History {
    id: String,
    operations: Vec<Operation>,
}

impl History {
    /// That of a key which was never written.
    pub fn new(id: String) -> Self {
        let operations = Vec::new();
        Self { id, operations }
    }

    /// An operation is about to be sent.
    pub fn begin(&mut self, effect: Effect, start: Moment) {
        let end = None;
        self.operations.push(Operation { effect, start, end });
    }

    /// The operation that was begun last has ended.
    pub fn end(&mut self, outcome: Outcome, end: Moment) {
        if let Some(operation) = self.operations.last_mut() {
            operation.end = Some((end, outcome));
        }
    }

    /// How many operations it has.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// How many operations followed the first one of which it is not known whether it takes
    /// effect.
    pub fn since_unknown(&self) -> Option<usize> {
        let unknown = |it: &Operation| it.outcome() == Some(Outcome::Unknown);
        let first = self.operations.iter().position(unknown)?;
        Some(self.operations.len() - 1 - first)
    }

    /// Whether the read can be explained. Answers may be older than the read by `staleness`.
    pub fn explains(&self, read: &Read, losses: &[Loss], staleness: Duration) -> bool {
        let since = read.start.saturating_sub(staleness);
        let settled = self
            .operations
            .iter()
            .rposition(|it| it.is_acknowledged_before(since));
        // What took effect last before the read, whatever may follow it up to the read's
        // end, and what may take effect at any time.
        let mut visible = self.operations.iter().enumerate().filter(|(at, it)| {
            it.start <= read.end
                && match it.outcome() {
                    Some(Outcome::Refused) => false,
                    Some(Outcome::Unknown) => true,
                    Some(Outcome::Acknowledged) | None => Some(*at) >= settled,
                }
        });
        match &read.seen {
            Seen::Value(value) => visible.any(|(_, it)| it.puts(value) && it.may_hold_from(since)),
            Seen::Something => visible.any(|(_, it)| it.may_hold_from(since)),
            Seen::Nothing => {
                let may_be_lost = |settled: usize| {
                    let written = self.operations[settled].start;
                    losses.iter().any(|loss| {
                        loss.start <= read.end && loss.end.is_none_or(|end| written <= end)
                    })
                };
                settled.is_none_or(may_be_lost)
                    || visible.any(|(_, it)| it.may_be_nothing_by(read.end))
            }
        }
    }
}

/// A read that nothing explains, and all that might have.
pub struct Violation<'a> {
    /// The read.
    pub read: &'a Read,
    /// What was done to its key.
    pub history: &'a History,
    /// When Redis lost what it held.
    pub losses: &'a [Loss],
}

impl fmt::Display for Violation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Read { start, end, seen } = self.read;
        let History { id, operations } = self.history;
        writeln!(f, "{id}: {start:?} to {end:?}: {seen:?}, after")?;
        for Operation { effect, start, end } in operations {
            match end {
                Some((end, outcome)) => {
                    writeln!(f, "  {start:?} to {end:?}: {effect:?}, {outcome:?}")?;
                }
                None => writeln!(f, "  {start:?}: {effect:?}, under way")?,
            }
        }
        for Loss { start, end } in self.losses {
            writeln!(f, "  {start:?} to {end:?}: Redis lost all")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: u64 = 300_000;

    fn ms(millis: u64) -> Moment {
        Duration::from_millis(millis)
    }

    fn put(value: &str, ttl: u64) -> Effect {
        Effect::Put {
            value: value.to_owned(),
            ttl: ms(ttl),
        }
    }

    fn history(operations: &[(u64, u64, Effect, Outcome)]) -> History {
        let mut history = History::new("key".to_owned());
        for (start, end, effect, outcome) in operations {
            history.begin(effect.clone(), ms(*start));
            history.end(*outcome, ms(*end));
        }
        history
    }

    /// Whether a read between these moments may see this; `""` is nothing.
    fn may_see(history: &History, losses: &[Loss], (start, end): (u64, u64), seen: &str) -> bool {
        may_see_stale(history, losses, (start, end), seen, 0)
    }

    fn may_see_stale(
        history: &History,
        losses: &[Loss],
        (start, end): (u64, u64),
        seen: &str,
        staleness: u64,
    ) -> bool {
        let seen = match seen {
            "" => Seen::Nothing,
            "*" => Seen::Something,
            value => Seen::Value(value.to_owned()),
        };
        let (start, end) = (ms(start), ms(end));
        let read = Read { start, end, seen };
        history.explains(&read, losses, ms(staleness))
    }

    use Outcome::{Acknowledged, Refused, Unknown};

    #[test]
    fn a_key_never_written_holds_nothing() {
        let never = history(&[]);
        assert!(may_see(&never, &[], (5, 6), ""));
        assert!(!may_see(&never, &[], (5, 6), "a"));
        assert!(!may_see(&never, &[], (5, 6), "*"));
    }

    #[test]
    fn an_acknowledged_write_is_seen_and_not_lost() {
        let written = history(&[(10, 20, put("a", MINUTES), Acknowledged)]);
        assert!(may_see(&written, &[], (30, 40), "a"));
        assert!(may_see(&written, &[], (30, 40), "*"));
        assert!(!may_see(&written, &[], (30, 40), ""), "a lost write");
        assert!(!may_see(&written, &[], (30, 40), "b"), "another's value");
        assert!(!may_see(&written, &[], (1, 9), "a"), "before it was sent");
    }

    #[test]
    fn a_read_beside_a_write_sees_what_was_before_or_after_it() {
        let written = history(&[
            (10, 20, put("a", MINUTES), Acknowledged),
            (30, 40, put("b", MINUTES), Acknowledged),
        ]);
        for value in ["a", "b"] {
            assert!(may_see(&written, &[], (25, 35), value));
            assert!(may_see(&written, &[], (35, 38), value));
            assert!(may_see(&written, &[], (39, 50), value));
        }
        assert!(!may_see(&written, &[], (39, 50), ""));
        assert!(!may_see(&written, &[], (41, 50), "a"), "a stale read");
    }

    #[test]
    fn a_write_under_way_may_be_seen_or_not() {
        let mut written = history(&[(10, 20, put("a", MINUTES), Acknowledged)]);
        written.begin(Effect::Delete, ms(30));
        assert!(may_see(&written, &[], (40, 50), "a"));
        assert!(may_see(&written, &[], (40, 50), ""));
        assert!(!may_see(&written, &[], (22, 28), ""), "before it was sent");
    }

    #[test]
    fn what_was_deleted_is_gone() {
        let deleted = history(&[
            (10, 20, put("a", MINUTES), Acknowledged),
            (30, 40, Effect::Delete, Acknowledged),
        ]);
        assert!(may_see(&deleted, &[], (35, 50), "a"));
        assert!(may_see(&deleted, &[], (45, 50), ""));
        assert!(!may_see(&deleted, &[], (45, 50), "a"), "stale");
        assert!(!may_see(&deleted, &[], (45, 50), "*"), "stale");
    }

    #[test]
    fn what_was_refused_never_takes_effect() {
        let refused = history(&[
            (10, 20, put("a", MINUTES), Acknowledged),
            (30, 40, put("b", MINUTES), Refused),
        ]);
        assert!(may_see(&refused, &[], (45, 50), "a"));
        assert!(!may_see(&refused, &[], (45, 50), "b"));
        assert!(!may_see(&refused, &[], (45, 50), ""));
    }

    #[test]
    fn what_is_unknown_may_take_effect_at_any_later_time() {
        let unknown = history(&[
            (10, 20, put("a", MINUTES), Acknowledged),
            (30, 40, put("b", MINUTES), Unknown),
            (50, 60, put("c", MINUTES), Acknowledged),
        ]);
        assert_eq!(unknown.since_unknown(), Some(1));
        assert!(may_see(&unknown, &[], (45, 48), "a"));
        assert!(may_see(&unknown, &[], (45, 48), "b"));
        assert!(may_see(&unknown, &[], (70, 80), "b"));
        assert!(may_see(&unknown, &[], (70, 80), "c"));
        assert!(!may_see(&unknown, &[], (70, 80), "a"), "known to be dead");
        assert!(!may_see(&unknown, &[], (70, 80), ""));
        let delete = history(&[
            (10, 20, Effect::Delete, Unknown),
            (30, 40, put("a", MINUTES), Acknowledged),
        ]);
        assert!(may_see(&delete, &[], (50, 60), ""));
    }

    #[test]
    fn a_lifetime_ends_and_not_before_its_time() {
        let short = history(&[(1_000, 1_500, put("a", 2_000), Acknowledged)]);
        assert!(may_see(&short, &[], (2_000, 2_800), "a"));
        assert!(!may_see(&short, &[], (2_000, 2_800), ""), "too early");
        for seen in ["a", ""] {
            assert!(may_see(&short, &[], (2_950, 3_550), seen));
        }
        assert!(may_see(&short, &[], (3_700, 3_800), ""));
        assert!(!may_see(&short, &[], (3_700, 3_800), "a"), "too late");
        let unknown = history(&[
            (0, 1, put("a", MINUTES), Acknowledged),
            (10, 20, put("b", 1_000), Unknown),
        ]);
        assert!(!may_see(&unknown, &[], (500, 600), ""));
        assert!(may_see(&unknown, &[], (5_000, 5_100), ""));
        assert!(may_see(&unknown, &[], (5_000, 5_100), "b"));
    }

    #[test]
    fn redis_loses_what_was_written_before() {
        let written = history(&[(10, 20, put("a", MINUTES), Acknowledged)]);
        let lost = |start, end: Option<u64>| {
            let (start, end) = (ms(start), end.map(ms));
            [Loss { start, end }]
        };
        assert!(may_see(&written, &lost(30, Some(40)), (50, 60), ""));
        assert!(may_see(&written, &lost(30, None), (50, 60), ""));
        // Acknowledged by the Redis that is about to be killed.
        assert!(may_see(&written, &lost(5, Some(15)), (50, 60), ""));
        assert!(!may_see(&written, &lost(1, Some(5)), (50, 60), ""));
        assert!(!may_see(&written, &lost(70, Some(80)), (50, 60), ""));
        assert!(may_see(&written, &lost(30, Some(40)), (50, 60), "a"));
    }

    #[test]
    fn allowed_staleness_keeps_what_was_replaced_for_so_long() {
        let replaced = history(&[
            (10, 20, put("a", MINUTES), Acknowledged),
            (30, 40, put("b", MINUTES), Acknowledged),
        ]);
        assert!(may_see_stale(&replaced, &[], (100, 110), "a", 60));
        assert!(!may_see_stale(&replaced, &[], (101, 110), "a", 60));
        assert!(may_see_stale(&replaced, &[], (101, 110), "b", 60));
    }
}
