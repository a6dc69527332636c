//! The log: one line of JSON for each event that is worth a human's eye, to standard error, where
//! Spin keeps what a component says. docs/observability.md lists the events.
//!
//! Through `wasi:cli/stderr@0.3.0` and not through `std`, whose standard error would bring
//! the environment, standard input, terminals and exit along as imports.

use std::cell::RefCell;
use std::fmt::Display;
use std::panic::{self, PanicHookInfo};

use futures_util::FutureExt;
use serde::ser::{Serialize, SerializeMap, Serializer};
use spin_sdk::wasip3::clocks::monotonic_clock;
use spin_sdk::wasip3::wit_stream;

use self::bindings::wasi::cli::stderr;
use crate::{clock, json, task, trace};

/// Not those of `wasip3`, which name the future that the write answers by standard input,
/// and so would have it imported.
#[allow(missing_docs, unsafe_code, reason = "generated")]
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        inline: "package provider:connection-cache-log;
                 world log { import wasi:cli/stderr@0.3.0; }",
        path: "wit",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

/// Something that happened. Names are stable: alerts are made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// What is stored is no connection.
    CorruptEntry,
    /// What the origin answered is no connection.
    CorruptAnswer,
    /// A Redis that failed is left alone for a while.
    BreakerOpened,
    /// It is in use again.
    BreakerClosed,
    /// The origin fails, or fails in another way than before.
    OriginFailed,
    /// A variable cannot be used.
    BadConfiguration,
    /// A token was shown that does not grant what was asked for.
    TokenRefused,
    /// A bug.
    Panicked,
}

impl Event {
    /// Every event.
    pub const ALL: &[Self] = &[
        Self::CorruptEntry,
        Self::CorruptAnswer,
        Self::BreakerOpened,
        Self::BreakerClosed,
        Self::OriginFailed,
        Self::BadConfiguration,
        Self::TokenRefused,
        Self::Panicked,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// How bad it is.
    pub fn level(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::CorruptEntry => ("corrupt_entry", "warn"),
            Self::CorruptAnswer => ("corrupt_answer", "warn"),
            Self::BreakerOpened => ("breaker_opened", "error"),
            Self::BreakerClosed => ("breaker_closed", "info"),
            Self::OriginFailed => ("origin_failed", "error"),
            Self::BadConfiguration => ("bad_configuration", "error"),
            Self::TokenRefused => ("token_refused", "warn"),
            Self::Panicked => ("panicked", "error"),
        }
    }
}

/// How many lines of one event an instance writes in a second.
const LINES: u32 = 10;

/// A second, in nanoseconds.
const WINDOW: u64 = 1_000_000_000;

thread_local! {
    static LIMITS: RefCell<[Limit; Event::ALL.len()]> =
        const { RefCell::new([Limit::NEW; Event::ALL.len()]) };
}

/// What was written of one event.
#[derive(Clone, Copy)]
struct Limit {
    /// When this second began; none before the first line.
    since: Option<u64>,
    /// The lines in it.
    lines: u32,
    /// The lines that were left out since the last that was not.
    suppressed: u32,
}

impl Limit {
    const NEW: Self = Self {
        since: None,
        lines: 0,
        suppressed: 0,
    };

    /// Whether a line may be written now; if so, how many were left out before it.
    fn admit(&mut self, now: u64) -> Option<u32> {
        let is_over = |since: u64| now.saturating_sub(since) >= WINDOW;
        if self.since.is_none_or(is_over) {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines == LINES {
            self.suppressed += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// Logs an event. The fields must show nothing secret: no stored content, no token, no password.
pub fn event(event: Event, fields: &[(&'static str, &dyn Display)]) {
    let now = monotonic_clock::now();
    let admitted = LIMITS.with_borrow_mut(|limits| limits[event as usize].admit(now));
    if let Some(suppressed) = admitted {
        write(json::encode(&Line {
            event,
            fields,
            suppressed,
            traceparent: trace::parent(),
        }));
    }
}

struct Line<'a> {
    event: Event,
    fields: &'a [(&'static str, &'a dyn Display)],
    suppressed: u32,
    traceparent: Option<String>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("time", &clock::now())?;
        line.serialize_entry("level", self.event.level())?;
        line.serialize_entry("event", self.event.name())?;
        for (name, value) in self.fields {
            line.serialize_entry(name, &value.to_string())?;
        }
        if let Some(traceparent) = &self.traceparent {
            line.serialize_entry("traceparent", traceparent)?;
        }
        if self.suppressed > 0 {
            line.serialize_entry("suppressed", &self.suppressed)?;
        }
        line.end()
    }
}

fn write(mut line: Vec<u8>) {
    line.push(b'\n');
    let (mut writer, reader) = wit_stream::new();
    // Without a log the component still works, so a failure to write is no error.
    let _written = stderr::write_via_stream(reader);
    let mut write = Box::pin(async move {
        let _unwritten = writer.write_all(line).await;
    });
    // The host takes a line at once, or else in its own time.
    if write.as_mut().now_or_never().is_none() {
        task::spawn(write);
    }
}

/// From now on a panic, which is a bug, says where it happened before the instance ends.
/// Not what it says: the messages of `std` show text that could not be cut, or the value
/// that was not expected, and that may be a secret.
pub fn panics() {
    panic::set_hook(Box::new(|panic| {
        event(Event::Panicked, &[("place", &place(panic))]);
    }));
}

fn place(panic: &PanicHookInfo<'_>) -> String {
    panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_panic_is_logged_by_its_place_alone() {
        static SAID: Mutex<String> = Mutex::new(String::new());
        let before = panic::take_hook();
        panic::set_hook(Box::new(|panic| *SAID.lock().unwrap() = place(panic)));
        let text = "é-secret".to_owned();
        let cut = panic::catch_unwind(|| text[1..].len());
        panic::set_hook(before);
        assert!(cut.is_err());
        let said = SAID.lock().unwrap().clone();
        assert!(said.starts_with("src/log.rs:"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn lines_beyond_ten_in_a_second_are_counted_and_left_out() {
        let mut limit = Limit::NEW;
        for _ in 0..LINES {
            assert_eq!(limit.admit(5), Some(0));
        }
        for _ in 0..3 {
            assert_eq!(limit.admit(5 + WINDOW - 1), None);
        }
        assert_eq!(limit.admit(5 + WINDOW), Some(3));
        assert_eq!(limit.admit(5 + WINDOW), Some(0));
    }

    #[test]
    fn events_are_in_the_order_of_their_list() {
        for (index, event) in Event::ALL.iter().enumerate() {
            assert_eq!(*event as usize, index);
        }
    }
}
