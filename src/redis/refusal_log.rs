//! The log of what Redis refuses.

use std::cell::RefCell;

use super::command::{Purpose, Reply};
use super::error::Error;
use super::refusal::Refusal;
use crate::log;

/// Logs refusals: one line for as long as Redis refuses in the same way, not one for each command.
pub(super) struct RefusalLog {
    /// The name of the server in the log.
    redis: &'static str,
    reads: RefCell<Option<Refusal>>,
    writes: RefCell<Option<Refusal>>,
}

impl RefusalLog {
    pub(super) fn new(redis: &'static str) -> Self {
        Self {
            redis,
            reads: RefCell::new(None),
            writes: RefCell::new(None),
        }
    }

    pub(super) fn note(&self, purpose: Purpose, result: &Result<Reply, Error>) {
        let (event, last) = match purpose {
            Purpose::Read => (log::Event::ReadRefused, &self.reads),
            Purpose::Write => (log::Event::WriteRefused, &self.writes),
        };
        let mut last = last.borrow_mut();
        match result {
            Err(Error::Refused(refusal)) if last.as_ref() != Some(refusal) => {
                let code = refusal.code();
                log::event(
                    event,
                    &[("redis", &self.redis), ("code", &code), ("reason", refusal)],
                );
                *last = Some(refusal.clone());
            }
            // Another command may succeed although nobody has corrected what refused the last.
            Ok(_) if last.as_ref().is_some_and(Refusal::is_temporary) => *last = None,
            _ => {}
        }
    }
}
