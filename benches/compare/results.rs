//! What was measured.

use std::collections::HashMap;
use std::time::Duration;

use crate::entries::Kind;
use crate::wrk::Sample;

/// One cell in one round.
pub struct Measurement {
    /// What the callers saw.
    pub sample: Sample,
    /// The CPU time that the server took meanwhile, where it can be told.
    pub cpu: Option<Duration>,
}

/// Every cell, by row, kind of lookup and number of callers.
#[derive(Default)]
pub struct Results(HashMap<(&'static str, Kind, usize), Vec<Measurement>>);

/// The medians of a cell.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Requests answered in a second.
    pub per_second: f64,
    /// The median of the times, in microseconds.
    pub p50: f64,
    /// The time that one request in a hundred exceeds, in microseconds.
    pub p99: f64,
    /// The CPU time that the server took for each request, in microseconds.
    pub cpu: Option<f64>,
}

impl Results {
    /// Adds what one round found.
    pub fn add(&mut self, row: &'static str, lookup: Kind, callers: usize, found: Measurement) {
        self.0
            .entry((row, lookup, callers))
            .or_default()
            .push(found);
    }

    /// The figures of a cell, if it was measured.
    pub fn get(&self, row: &'static str, lookup: Kind, callers: usize) -> Option<Figures> {
        let rounds = self.0.get(&(row, lookup, callers))?;
        let of =
            |figure: fn(&Sample) -> f64| median(rounds.iter().map(|round| figure(&round.sample)));
        // Of all rounds together: it comes in ticks of 10 ms, a coarse measure for one.
        let cpu: Option<Duration> = rounds.iter().map(|round| round.cpu).sum();
        let requests: f64 = rounds.iter().map(|round| round.sample.requests).sum();
        Some(Figures {
            per_second: of(|sample| sample.per_second),
            p50: of(|sample| sample.p50),
            p99: of(|sample| sample.p99),
            cpu: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / requests),
        })
    }

    /// The requests/s of a row in relation to those of another in the same round: the median of
    /// that.
    pub fn ratio(
        &self,
        row: &'static str,
        of: &'static str,
        lookup: Kind,
        callers: usize,
    ) -> Option<f64> {
        let rounds = |row| self.0.get(&(row, lookup, callers));
        let pairs = rounds(row)?.iter().zip(rounds(of)?);
        Some(median(pairs.map(|(row, of)| {
            row.sample.per_second / of.sample.per_second
        })))
    }
}

/// The value in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
