//! The keys beside entries. What they say of an entry becomes untrue when it is written.

use std::time::Duration;

use super::command::{Command, Purpose, millis};

/// Sets the first `ARGV[2]` keys for `ARGV[1]` milliseconds, and removes the others.
const MARK: &str = "for i = 1, #KEYS do \
     if i <= tonumber(ARGV[2]) then redis.call('SET', KEYS[i], '', 'PX', ARGV[1]) \
     else redis.call('DEL', KEYS[i]) end end";

/// The auxiliary keys of some entries.
#[derive(Default)]
pub(crate) struct AuxiliaryKeys {
    /// Each exists while its entry needs no refreshing.
    pub(crate) fresh: Vec<String>,
    /// How long an entry needs no refreshing after a write.
    pub(crate) fresh_for: Duration,
    /// The stale copies.
    pub(crate) stale: Vec<String>,
}

impl AuxiliaryKeys {
    /// Returns the command to send with a write, or none if there are no such keys.
    pub(super) fn after_write(&self) -> Option<Command> {
        if self.fresh.is_empty() && self.stale.is_empty() {
            return None;
        }
        let keys = self.fresh.iter().chain(&self.stale);
        let count = i64::try_from(self.fresh.len()).ok()?;
        let command = Command::script(Purpose::Write, MARK, keys).integer(millis(self.fresh_for));
        Some(command.integer(count))
    }
}
