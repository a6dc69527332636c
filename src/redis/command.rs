//! A Redis command, and its reply.

use std::time::Duration;

use futures_util::future::try_join;
use spin_sdk::redis::{Connection, RedisParameter, RedisResult};

use super::error::Error;

/// One value, or the values of an array without its nesting.
pub(super) type Reply = Vec<RedisResult>;

const SCRIPT: &str = "EVAL";

/// One command, or two that are sent together. Both must be idempotent, because a lost connection may cause
/// them to be sent twice; if not, say so ([`Command::once`]).
pub(super) struct Command {
    name: &'static str,
    purpose: Purpose,
    once: bool,
    arguments: Vec<RedisParameter>,
    next: Option<Box<Command>>,
}

/// What a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

impl Command {
    pub(super) fn read(name: &'static str) -> Self {
        Self::new(name, Purpose::Read)
    }

    pub(super) fn write(name: &'static str) -> Self {
        Self::new(name, Purpose::Write)
    }

    fn new(name: &'static str, purpose: Purpose) -> Self {
        Self {
            name,
            purpose,
            once: false,
            arguments: Vec::new(),
            next: None,
        }
    }

    /// Begins EVAL of a script over these keys. The arguments of the script follow.
    pub(super) fn script(
        purpose: Purpose,
        script: &'static str,
        keys: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        let keys: Vec<_> = keys.into_iter().collect();
        let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
        let command = Self::new(SCRIPT, purpose).arg(script).integer(count);
        command.args(keys.iter().map(AsRef::as_ref))
    }

    pub(super) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Returns true if `CLIENT PAUSE WRITE` holds the command back. Redis does not know whether a
    /// script writes.
    pub(super) fn waits_for_writes(&self) -> bool {
        self.purpose == Purpose::Write || self.name == SCRIPT
    }

    /// Keeps it from being sent again after a lost connection, when nobody knows whether Redis carried it
    /// out. The caller learns of [`Error::ConnectionLost`].
    pub(super) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    pub(super) fn is_sent_once(&self) -> bool {
        self.once
    }

    pub(super) fn arg(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.arguments.push(RedisParameter::Binary(bytes.into()));
        self
    }

    pub(super) fn args(self, all: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        all.into_iter().fold(self, Self::arg)
    }

    pub(super) fn integer(mut self, integer: i64) -> Self {
        self.arguments.push(RedisParameter::Int64(integer));
        self
    }

    /// Adds a command to send together with this one.
    pub(super) fn and(mut self, next: Self) -> Self {
        self.next = Some(Box::new(next));
        self
    }

    /// Sends it. If there are two commands, their replies come in a row.
    pub(super) async fn run(&self, connection: &Connection) -> Result<Reply, Error> {
        let Some(next) = &self.next else {
            return self.send(connection).await;
        };
        let (mut reply, more) = try_join(self.send(connection), next.send(connection)).await?;
        reply.extend(more);
        Ok(reply)
    }

    async fn send(&self, connection: &Connection) -> Result<Reply, Error> {
        let reply = connection
            .execute(self.name, self.arguments.iter().cloned())
            .await;
        reply.map_err(|error| Error::from_command(&error, self.name))
    }
}

/// Converts a lifetime to milliseconds: at least 1, because Redis refuses 0.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis())
        .unwrap_or(i64::MAX)
        .max(1)
}

/// Reads the reply of a command that counts.
pub(super) fn count(reply: &Reply) -> Result<u32, Error> {
    match reply.as_slice() {
        [RedisResult::Int64(count)] => u32::try_from(*count).map_err(|_| Error::Unexpected),
        _ => Err(Error::Unexpected),
    }
}

/// Reads one value of a reply as text.
pub(super) fn text(value: RedisResult) -> Option<String> {
    match value {
        RedisResult::Binary(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}
