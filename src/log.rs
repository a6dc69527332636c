//! The log: a line of JSON on standard error for each event that a person should see. Spin keeps
//! standard error. docs/observability.md lists the events.
//!
//! The lines go through `wasi:cli/stderr@0.3.0`. The standard error of `std` would import the
//! environment, standard input, terminals and exit as well.

use std::cell::RefCell;
use std::fmt::Display;
use std::panic::{self, PanicHookInfo};

use futures_util::FutureExt;
use serde::ser::{Serialize, SerializeMap, Serializer};
use spin_sdk::wasip3::clocks::monotonic_clock;
use spin_sdk::wasip3::wit_stream;
use strum::{IntoStaticStr, VariantArray};

use self::bindings::wasi::cli::stderr;
use crate::config::ConfigError;
use crate::connection::json;
use crate::rt::{clock, task, trace};

/// The bindings of `wasip3` would not do: they define the future of a write together with standard
/// input, and so import it.
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

/// Something worth a line. Names are stable, because alerts are built on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// The stored bytes are not a connection.
    CorruptEntry,
    /// The answer of the origin is not a connection.
    CorruptAnswer,
    /// Redis failed and is left alone for a while.
    BreakerOpened,
    /// Redis is in use again.
    BreakerClosed,
    /// Redis began to refuse reads, or refuses them in a new way.
    ReadRefused,
    /// Redis began to refuse writes, or refuses them in a new way.
    WriteRefused,
    /// The origin began to fail, or fails in a new way.
    OriginFailed,
    /// The origin does not let this cache have a connection.
    OriginRefused,
    /// The origin is down and is asked less often.
    OriginBreakerOpened,
    /// The origin is asked as usual again.
    OriginBreakerClosed,
    /// The key-value store of the host began to fail.
    EdgeCacheFailed,
    /// A variable has an unusable value.
    BadConfiguration,
    /// A caller showed a token that does not grant the request.
    TokenRefused,
    /// A bug.
    Panicked,
}

impl Event {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the severity.
    pub fn level(self) -> &'static str {
        match self {
            Self::BreakerClosed | Self::OriginBreakerClosed => "info",
            Self::CorruptEntry | Self::CorruptAnswer | Self::TokenRefused => "warn",
            Self::BreakerOpened
            | Self::ReadRefused
            | Self::WriteRefused
            | Self::OriginFailed
            | Self::OriginRefused
            | Self::OriginBreakerOpened
            | Self::EdgeCacheFailed
            | Self::BadConfiguration
            | Self::Panicked => "error",
        }
    }
}

/// An instance writes at most this many lines of one event in a second.
const LINES: u32 = 10;

/// A second, in nanoseconds.
const WINDOW: u64 = 1_000_000_000;

thread_local! {
    static LIMITS: RefCell<[Limit; Event::VARIANTS.len()]> =
        const { RefCell::new([Limit::NEW; Event::VARIANTS.len()]) };
}

/// The lines of one event.
#[derive(Clone, Copy)]
struct Limit {
    /// When this second began. None before the first line.
    since: Option<u64>,
    /// The lines written in this second.
    lines: u32,
    /// The lines left out since the last one written.
    suppressed: u32,
}

impl Limit {
    const NEW: Self = Self {
        since: None,
        lines: 0,
        suppressed: 0,
    };

    /// Returns how many lines were left out before this one, or none if it is left out too.
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

/// Logs an event. Fields must not show secrets: no stored content, no token, no password.
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
    // The component works without a log, so a failed write is not an error.
    let _written = stderr::write_via_stream(reader);
    let mut write = Box::pin(async move {
        let _unwritten = writer.write_all(line).await;
    });
    // The host usually takes a line at once. If it does not, the request need not wait.
    if write.as_mut().now_or_never().is_none() {
        task::spawn(write);
    }
}

/// Passes a configuration on, and logs it if it is unusable.
pub fn checked<T>(configured: Result<T, ConfigError>) -> Result<T, ConfigError> {
    if let Err(error) = &configured {
        event(
            Event::BadConfiguration,
            &[("variable", &error.variable), ("reason", error)],
        );
    }
    configured
}

/// Makes every panic from now on log its place before the instance ends. A panic is a bug.
///
/// Its message is not logged. Messages of `std` show text that could not be sliced, or a value that
/// was not expected, and both may be secrets.
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
}
