//! Why a Redis command has no answer.

use std::fmt;

use spin_sdk::redis::Error;

use crate::config::ConfigError;

/// Why Redis did not carry out a command, or did not say so. The text goes to callers:
/// it shows no address, no key and no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The configuration is wrong: mend the variable.
    Misconfigured(ConfigError),
    /// No answer in time, connecting included.
    Timeout,
    /// No connection could be made.
    Unreachable,
    /// The host does not let this component out to that address: the address must stand
    /// in `allowed_outbound_hosts`.
    NotAllowed,
    /// Redis refused the user, the password or the database.
    Refused,
    /// The connection broke before the answer came.
    ConnectionLost,
    /// The key holds a value of another type than a string.
    WrongType,
    /// Redis answered with an error: its code, such as `OOM` or `READONLY`.
    Error(String),
    /// Redis answered what this command never answers.
    Unexpected,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Misconfigured(error) => return error.fmt(f),
            Self::Error(code) => return write!(f, "Redis answered the error {code}"),
            Self::Timeout => "Redis did not answer within redis_timeout_ms",
            Self::Unreachable => "Redis cannot be reached",
            Self::NotAllowed => "the host does not allow the address of Redis",
            Self::Refused => "Redis refused the configured user, password or database",
            Self::ConnectionLost => "the connection to Redis was lost",
            Self::WrongType => "the key holds a value of another type",
            Self::Unexpected => "Redis answered what it should not",
        })
    }
}

impl Failure {
    /// Why no connection could be opened.
    pub(super) fn from_open(error: &Error) -> Self {
        match error {
            Error::InvalidAddress => Self::NotAllowed,
            Error::Other(_) | Error::TooManyConnections | Error::TypeError => Self::Unreachable,
        }
    }

    /// Why a command on an open connection failed.
    ///
    /// Spin hands on the text of the `redis` crate and nothing else, so what Redis itself
    /// answered is known by its form: `CODE: text`, or the crate's own words for the
    /// codes it knows. What is in no known form is taken for a broken connection, which
    /// costs a new one and is otherwise harmless.
    pub(super) fn from_command(error: &Error) -> Self {
        let text = match error {
            Error::Other(text) => text.as_str(),
            Error::TypeError => return Self::Unexpected,
            Error::InvalidAddress | Error::TooManyConnections => return Self::ConnectionLost,
        };
        let known = ["An error was signalled by the server - ", "Server error - "]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix));
        let code = known
            .unwrap_or(text)
            .split_once(':')
            .map_or("", |(code, _)| code);
        let is_code = !code.is_empty() && code.bytes().all(|b| b.is_ascii_uppercase());
        match code {
            "WRONGTYPE" => Self::WrongType,
            "NOAUTH" | "WRONGPASS" | "NOPERM" => Self::Refused,
            _ if known.is_some() || is_code => Self::Error(code.to_owned()),
            _ => Self::ConnectionLost,
        }
    }

    /// Whether the connection it happened on must not be used again.
    pub(super) fn is_transport(&self) -> bool {
        matches!(self, Self::ConnectionLost | Self::Timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_answers_is_told_from_a_broken_connection() {
        let cases = [
            (
                "WRONGTYPE: Operation against a key holding the wrong kind of value",
                Failure::WrongType,
            ),
            ("NOAUTH: Authentication required.", Failure::Refused),
            (
                "NOPERM: this user has no permissions to run it",
                Failure::Refused,
            ),
            ("OOM: command not allowed", Failure::Error("OOM".to_owned())),
            (
                "An error was signalled by the server - BusyLoadingError: Redis is loading",
                Failure::Error("BusyLoadingError".to_owned()),
            ),
            (
                "Connection reset by peer (os error 104)",
                Failure::ConnectionLost,
            ),
            ("broken pipe", Failure::ConnectionLost),
            (
                "Multiplexed connection driver unexpectedly terminated- IoError",
                Failure::ConnectionLost,
            ),
            ("", Failure::ConnectionLost),
        ];
        for (text, failure) in cases {
            assert_eq!(
                Failure::from_command(&Error::Other(text.to_owned())),
                failure,
                "{text}"
            );
        }
    }
}
