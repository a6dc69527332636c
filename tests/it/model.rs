//! What a read may see, given what was written: the model that every answer is checked
//! against, in the soak and in the interleavings.
//!
//! Where an operation took effect between its start and its end is not known, so a read is a violation
//! only if no such moments explain it. The rule is that of a regular register, with the origin in it:
//! what a read returns was stored, or was what the database of the origin said, at some moment since
//! the last write that ended before the read began. A removal is such a write: what is read after it
//! is no older than the database was when the removal began.

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
    /// Its lifetime ends. Nobody wrote, so what is read after it may be older.
    Expire,
}

/// What a conditional write asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The key holds this value.
    Holds(String),
    /// The key holds no entry.
    HoldsNothing,
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
    condition: Option<Condition>,
    /// The host it went through. None if that is not known, or if there was none.
    host: Option<usize>,
    start: Moment,
    /// None while it is under way.
    end: Option<(Moment, Outcome)>,
}

impl Operation {
    fn outcome(&self) -> Option<Outcome> {
        self.end.map(|(_, outcome)| outcome)
    }

    fn is_write(&self) -> bool {
        self.effect != Effect::Expire
    }

    fn acknowledged(&self) -> Option<Moment> {
        match self.end {
            Some((end, Outcome::Acknowledged)) => Some(end),
            _ => None,
        }
    }

    /// Whether its value may be there at some time from this moment on.
    fn may_hold_from(&self, moment: Moment) -> bool {
        match (&self.effect, self.acknowledged()) {
            (Effect::Put { ttl, .. }, Some(end)) => moment <= end + *ttl + CLOCK_TOLERANCE,
            (Effect::Put { .. }, None) => true,
            (Effect::Delete | Effect::Expire, _) => false,
        }
    }

    /// Whether it may leave nothing, by this moment.
    fn may_be_nothing_by(&self, moment: Moment) -> bool {
        match self.effect {
            Effect::Put { ttl, .. } => moment + CLOCK_TOLERANCE >= self.start + ttl,
            Effect::Delete | Effect::Expire => true,
        }
    }

    fn puts(&self, wanted: &str) -> bool {
        matches!(&self.effect, Effect::Put { value, .. } if value == wanted)
    }
}

/// What the database of the origin said, and when.
#[derive(Clone, Debug)]
struct Version {
    value: Option<String>,
    from: Moment,
    /// None if it is the last one.
    until: Option<Moment>,
}

/// A request to the origin.
#[derive(Clone, Debug)]
struct Request {
    /// When who asks had read that it has to.
    looked: Moment,
    /// When it took the lease.
    start: Moment,
    /// When its result was there for others to read. None if it never was.
    end: Option<Moment>,
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
    /// Nothing is cached.
    Nothing,
    /// There is no such connection: so the origin said.
    NotFound,
    /// A part of what can only be written together.
    Torn,
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
    /// The host it went through, if that is known.
    pub host: Option<usize>,
}

/// All that was done to one key.
#[derive(Clone, Debug)]
pub struct History {
    id: String,
    operations: Vec<Operation>,
    database: Vec<Version>,
    requests: Vec<Request>,
}

impl History {
    /// That of a key which was never written.
    pub fn new(id: String) -> Self {
        Self {
            id,
            operations: Vec::new(),
            database: Vec::new(),
            requests: Vec::new(),
        }
    }

    /// An operation is about to be sent. Returns its number.
    pub fn begin(&mut self, effect: Effect, start: Moment) -> usize {
        self.begin_on(None, effect, None, start)
    }

    /// The same, through a host, and maybe under a condition.
    pub fn begin_on(
        &mut self,
        host: Option<usize>,
        effect: Effect,
        condition: Option<Condition>,
        start: Moment,
    ) -> usize {
        self.operations.push(Operation {
            effect,
            condition,
            host,
            start,
            end: None,
        });
        self.operations.len() - 1
    }

    /// The operation with this number has ended.
    pub fn end(&mut self, number: usize, outcome: Outcome, end: Moment) {
        self.operations[number].end = Some((end, outcome));
    }

    /// The database of the origin says this from now on; none if it has no such connection.
    pub fn say(&mut self, value: Option<String>, from: Moment) {
        if let Some(last) = self.database.last_mut() {
            last.until = Some(from);
        }
        let until = None;
        self.database.push(Version { value, from, until });
    }

    /// The origin is asked, by who took a lease at `start` because of what it read when it `looked`.
    /// Returns the number of the request.
    pub fn ask(&mut self, looked: Moment, start: Moment) -> usize {
        let end = None;
        self.requests.push(Request { looked, start, end });
        self.requests.len() - 1
    }

    /// The result of the request with this number can be read.
    pub fn publish(&mut self, number: usize, end: Moment) {
        self.requests[number].end = Some(end);
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

    /// Whether the read can be explained. Answers may be older than the read by `staleness`, but for
    /// writes through the same host.
    pub fn explains(&self, read: &Read, losses: &[Loss], staleness: Duration) -> bool {
        let since = read.start.saturating_sub(staleness);
        // The write that began last of those that ended before the read. What it replaced, which ended
        // before it began, is gone.
        let ended_before = |it: &&Operation| {
            let same_host = it.host.is_some() && it.host == read.host;
            let limit = if same_host { read.start } else { since };
            it.is_write() && it.acknowledged().is_some_and(|end| end < limit)
        };
        let settled = self.operations.iter().filter(ended_before);
        let settled = settled.max_by_key(|it| it.start);
        let is_gone = |end: Moment| settled.is_some_and(|settled| end < settled.start);
        // What took effect last before the read, whatever may follow it up to the read's
        // end, and what may take effect at any time.
        let mut visible = self.operations.iter().filter(|it| {
            it.start <= read.end
                && match it.end {
                    Some((_, Outcome::Refused)) => false,
                    Some((_, Outcome::Unknown)) | None => true,
                    Some((end, Outcome::Acknowledged)) => !is_gone(end),
                }
        });
        let mut said = self.database.iter().filter(|version| {
            version.from <= read.end && version.until.is_none_or(|until| !is_gone(until))
        });
        match &read.seen {
            Seen::Value(value) => {
                visible.any(|it| it.puts(value) && it.may_hold_from(since))
                    || said.any(|version| version.value.as_ref() == Some(value))
            }
            Seen::Something => {
                visible.any(|it| it.may_hold_from(since))
                    || said.any(|version| version.value.is_some())
            }
            Seen::Nothing => {
                let may_be_lost = |settled: &Operation| {
                    losses.iter().any(|loss| {
                        loss.start <= read.end && loss.end.is_none_or(|end| settled.start <= end)
                    })
                };
                settled.is_none_or(may_be_lost)
                    || visible.any(|it| it.may_be_nothing_by(read.end))
                    || said.any(|version| version.value.is_none())
            }
            Seen::NotFound => said.any(|version| version.value.is_none()),
            Seen::Torn => false,
        }
    }

    /// Returns what is wrong with its conditional writes, if anything is: one was done, or refused,
    /// although what it asked for was not there, or was; or two replaced the same value.
    pub fn broken_condition(&self) -> Option<String> {
        for (number, operation) in self.operations.iter().enumerate() {
            let (Some(condition), Some((end, outcome))) = (&operation.condition, operation.end)
            else {
                continue;
            };
            let others = self.clone().without(number);
            let seen = match condition {
                Condition::Holds(value) => Seen::Value(value.clone()),
                Condition::HoldsNothing => Seen::Nothing,
            };
            let read = |seen| Read {
                start: operation.start,
                end,
                seen,
                host: operation.host,
            };
            let has = |seen| others.explains(&read(seen), &[], Duration::ZERO);
            match outcome {
                Outcome::Acknowledged if !has(seen.clone()) => {
                    return Some(format!(
                        "{operation:?} was done, and there never was {seen:?}"
                    ));
                }
                Outcome::Acknowledged => {
                    let twice = self.operations[..number].iter().any(|other| {
                        other.condition.as_ref() == Some(condition)
                            && other.acknowledged().is_some()
                    });
                    let removed = |it: &Operation| {
                        matches!(it.effect, Effect::Delete | Effect::Expire)
                            && it.outcome() != Some(Outcome::Refused)
                    };
                    let again = seen == Seen::Nothing && self.operations.iter().any(removed);
                    if twice && !again {
                        return Some(format!("{operation:?} replaced what another had replaced"));
                    }
                }
                Outcome::Refused => {
                    let put = others.operations.iter().filter_map(|it| match &it.effect {
                        Effect::Put { value, .. } => Some(value),
                        Effect::Delete | Effect::Expire => None,
                    });
                    let said = others.database.iter().filter_map(|it| it.value.as_ref());
                    let values = put.chain(said).cloned().map(Seen::Value);
                    let mut other = values.chain([Seen::Nothing]).filter(|other| *other != seen);
                    if !other.any(has) {
                        return Some(format!("{operation:?} was refused, and all held"));
                    }
                }
                Outcome::Unknown => {}
            }
        }
        None
    }

    /// Whether the operation with this number, which is acknowledged, may have found nothing.
    pub fn had_nothing(&self, number: usize) -> bool {
        let operation = &self.operations[number];
        let read = Read {
            start: operation.start,
            end: operation.acknowledged().unwrap_or(operation.start),
            seen: Seen::Nothing,
            host: operation.host,
        };
        let others = self.clone().without(number);
        others.explains(&read, &[], Duration::ZERO)
    }

    fn without(mut self, number: usize) -> Self {
        self.operations.remove(number);
        self
    }

    /// Returns whether the origin was asked again although it was being asked, and nothing was done to
    /// the key meanwhile.
    pub fn asked_twice(&self) -> bool {
        // Who took a lease first may come to ask last.
        let mut requests: Vec<_> = self.requests.iter().collect();
        requests.sort_by_key(|request| request.start);
        requests.iter().enumerate().any(|(number, second)| {
            requests[..number].iter().any(|first| {
                let asked = first.end.is_none_or(|end| second.start < end);
                // Somebody wrote, and one of them may have read what was there before.
                let looked = first.looked.min(second.looked);
                let disturbed = self.operations.iter().any(|it| {
                    it.start <= second.start && it.end.is_none_or(|(end, _)| end >= looked)
                });
                asked && !disturbed
            })
        })
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
        let Read {
            start, end, seen, ..
        } = self.read;
        writeln!(
            f,
            "{}: {start:?} to {end:?}: {seen:?}, after",
            self.history.id
        )?;
        write!(f, "{}", self.history)?;
        for Loss { start, end } in self.losses {
            writeln!(f, "  {start:?} to {end:?}: Redis lost all")?;
        }
        Ok(())
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Version { value, from, .. } in &self.database {
            writeln!(f, "  {from:?}: the database says {value:?}")?;
        }
        for Operation {
            effect, start, end, ..
        } in &self.operations
        {
            match end {
                Some((end, outcome)) => {
                    writeln!(f, "  {start:?} to {end:?}: {effect:?}, {outcome:?}")?;
                }
                None => writeln!(f, "  {start:?}: {effect:?}, under way")?,
            }
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
            let number = history.begin(effect.clone(), ms(*start));
            history.end(number, *outcome, ms(*end));
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
            "-" => Seen::NotFound,
            value => Seen::Value(value.to_owned()),
        };
        let (start, end) = (ms(start), ms(end));
        let host = None;
        let read = Read {
            start,
            end,
            seen,
            host,
        };
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

    #[test]
    fn writes_at_the_same_time_leave_either_value_and_nothing_older() {
        let both = history(&[
            (10, 20, put("a", MINUTES), Acknowledged),
            (30, 60, put("b", MINUTES), Acknowledged),
            (40, 50, put("c", MINUTES), Acknowledged),
        ]);
        for value in ["b", "c"] {
            assert!(may_see(&both, &[], (70, 80), value));
        }
        assert!(may_see(&both, &[], (45, 80), "a"));
        assert!(!may_see(&both, &[], (70, 80), "a"));
        assert!(!may_see(&both, &[], (70, 80), ""));
    }

    /// What the database says: "a" at first, and "b" from 30 on.
    fn with_database(operations: &[(u64, u64, Effect, Outcome)]) -> History {
        let mut history = history(operations);
        history.say(Some("a".to_owned()), ms(0));
        history.say(Some("b".to_owned()), ms(30));
        history
    }

    #[test]
    fn what_the_database_said_is_seen_until_a_write_after_it() {
        let without = with_database(&[]);
        assert!(may_see(&without, &[], (50, 60), "a"), "it may be cached");
        assert!(may_see(&without, &[], (50, 60), "b"));
        assert!(!may_see(&without, &[], (10, 20), "b"), "not yet said");
        assert!(!may_see(&without, &[], (50, 60), "-"));
        for write in [Effect::Delete, put("b", MINUTES)] {
            let written = with_database(&[(40, 45, write, Acknowledged)]);
            assert!(!may_see(&written, &[], (50, 60), "a"), "older");
            assert!(may_see(&written, &[], (50, 60), "b"));
            assert!(may_see(&written, &[], (42, 60), "a"), "at the same time");
        }
        let early = with_database(&[(20, 25, Effect::Delete, Acknowledged)]);
        assert!(may_see(&early, &[], (50, 60), "a"), "still said after it");
        let expired = with_database(&[(40, 45, Effect::Expire, Acknowledged)]);
        assert!(may_see(&expired, &[], (50, 60), "a"), "nobody wrote");
    }

    #[test]
    fn what_the_database_does_not_have_is_not_found() {
        let mut created = history(&[(20, 25, put("a", MINUTES), Acknowledged)]);
        created.say(None, ms(0));
        created.say(Some("a".to_owned()), ms(10));
        assert!(may_see(&created, &[], (12, 15), "-"));
        assert!(!may_see(&created, &[], (30, 40), "-"));
    }

    #[test]
    fn only_writes_through_another_host_may_go_unnoticed() {
        let mut written = History::new("key".to_owned());
        for (at, value) in [(10, "a"), (30, "b")] {
            let number = written.begin_on(Some(0), put(value, MINUTES), None, ms(at));
            written.end(number, Acknowledged, ms(at + 5));
        }
        let sees = |host| {
            let seen = Seen::Value("a".to_owned());
            let (start, end) = (ms(50), ms(60));
            let host = Some(host);
            let read = Read {
                start,
                end,
                seen,
                host,
            };
            written.explains(&read, &[], ms(1_000))
        };
        assert!(!sees(0));
        assert!(sees(1));
    }

    fn conditional(writes: &[(u64, u64, &str, Outcome)], condition: &Condition) -> History {
        let mut history = history(&[(0, 1, put("a", MINUTES), Acknowledged)]);
        for (start, end, value, outcome) in writes {
            let effect = put(value, MINUTES);
            let number = history.begin_on(None, effect, Some(condition.clone()), ms(*start));
            history.end(number, *outcome, ms(*end));
        }
        history
    }

    #[test]
    fn of_two_who_replace_the_same_value_one_wins() {
        let holds_a = Condition::Holds("a".to_owned());
        let broken = |writes: &[_], condition| conditional(writes, condition).broken_condition();
        let (b, c) = ((10, 30, "b", Acknowledged), (20, 40, "c", Acknowledged));
        let refused = (20, 40, "c", Refused);
        assert_eq!(broken(&[b, refused], &holds_a), None);
        assert!(broken(&[b, c], &holds_a).is_some());
        assert!(broken(&[refused], &holds_a).is_some(), "all held");
        assert!(broken(&[b], &Condition::HoldsNothing).is_some());
        assert_eq!(broken(&[refused], &Condition::HoldsNothing), None);
    }

    #[test]
    fn the_origin_is_asked_once_at_a_time_unless_somebody_writes() {
        let asked = |operations: &[_], (looked, first, until), second| {
            let mut history = history(operations);
            let number = history.ask(ms(looked), ms(first));
            history.publish(number, ms(until));
            history.ask(ms(second), ms(second));
            history.asked_twice()
        };
        assert!(asked(&[], (9, 10, 30), 20));
        assert!(!asked(&[], (9, 10, 30), 40));
        let delete = |start, end| [(start, end, Effect::Delete, Acknowledged)];
        assert!(!asked(&delete(15, 18), (9, 10, 30), 20));
        assert!(!asked(&delete(6, 8), (5, 10, 30), 20), "of what is gone");
        assert!(asked(&delete(1, 2), (5, 10, 30), 20));
    }
}
